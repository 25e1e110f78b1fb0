//! The rules: calls in, objections out.

mod removal;
mod said;
mod service;
mod socket;

use super::call::Call;

/// Something that a rule has against a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Objection {
    pub(super) rule: &'static str,
    /// Where, in bytes.
    pub(super) place: usize,
    /// Where the statement begins.
    pub(super) statement: usize,
    /// What, why it matters, and what to do.
    pub(super) sentence: String,
}

/// A rule: its name and its room. It says of each call of a file, by number, what it has against it.
type Rule = (&'static str, fn(&[Call], usize) -> Option<String>);

const RULES: &[Rule] = &[
    ("default-socket", socket::check_default),
    ("kill-server", socket::check_kill),
    ("exit-code", said::check_exit_code),
    ("rm-lock", removal::check_lock),
    ("rm-socket", removal::check_socket),
    ("rm-tmp", removal::check_tmp),
    ("oneshot", service::check_oneshot),
    ("background", service::check_background),
    ("error-text", said::check_text),
];

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(name, _)| *name)
}

/// Applies every rule to every call; each place is told once per rule, in the order of the file.
pub(super) fn apply(calls: &[Call]) -> Vec<Objection> {
    let mut objections = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        for (rule, check) in RULES {
            if let Some(sentence) = check(calls, number) {
                let (place, statement) = (call.place, call.statement);
                objections.push(Objection { rule, place, statement, sentence });
            }
        }
    }
    objections.sort_by_key(|objection| (objection.place, objection.rule));
    objections.dedup_by_key(|objection| (objection.place, objection.rule));
    objections
}
