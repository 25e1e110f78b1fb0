//! One file: from its text to what is told about it.

use super::cron::{self, Table};
use super::grammar;
use super::rules;
use super::shell::{self, Seen};
use super::source::{self, Language};
use super::text::Text;
use super::variables::Variables;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;
use tmux_janitor_audit_wire::{AuditFinding, AuditNote, FileAudit, NotAudited, NoteKind};

/// How long the grammar may take for one file. Scripts that people write take milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most findings of one file that are told.
const MOST: usize = 1000;

pub(super) fn file(path: &Path) -> FileAudit {
    match source::read(path) {
        Ok((text, language)) => look(text, language),
        Err(refusal) => FileAudit { refusal: Some(refusal), ..FileAudit::default() },
    }
}

fn look(text: String, language: Language) -> FileAudit {
    let text = Text::of_file(text);
    let mut seen = Seen::new(grammar::worked() + PATIENCE);
    match language {
        Language::Unit { is_whole } => shell::unit(&text, is_whole, &mut seen),
        Language::Cron { has_user } => {
            let Table { comments, jobs } = cron::read(&text, has_user);
            seen.comments.extend(comments);
            for (job, variables) in jobs {
                shell::script(&job, variables, &mut seen);
            }
        }
        Language::Shell => shell::script(&text, Variables::default(), &mut seen),
    }
    if seen.is_unread {
        return FileAudit { refusal: Some(NotAudited::TooIntricate), ..FileAudit::default() };
    }
    let lines = Lines::of(text.as_str());
    let note = |place: usize, kind: NoteKind| {
        let (line, column) = lines.position(place);
        AuditNote { line, column, kind }
    };
    let mut notes = Vec::new();
    let mut allowed: HashMap<usize, Vec<&str>> = HashMap::new();
    for (place, comment) in &seen.comments {
        let Some(words) = allowance(comment) else { continue };
        for word in words {
            if let Some(rule) = rules::names().find(|name| *name == word) {
                allowed.entry(lines.position(*place).0).or_default().push(rule);
            } else {
                let known = rules::names().map(str::to_owned).collect();
                notes.push(note(*place, NoteKind::NoSuchRule { asked: word.to_owned(), known }));
            }
        }
    }
    let is_allowed = |rule: &str, place: usize| {
        let line = lines.position(place).0;
        let on = |line: usize| allowed.get(&line).is_some_and(|rules| rules.contains(&rule));
        on(line) || on(line - 1)
    };
    let mut findings = rules::apply(&seen.calls);
    findings.retain(|found| !is_allowed(found.rule, found.place) && !is_allowed(found.rule, found.statement));
    if let Some(error) = seen.error {
        notes.push(note(error, NoteKind::NotShell));
    }
    if seen.is_cut {
        notes.push(note(0, NoteKind::Cut));
    }
    if findings.len() > MOST {
        notes.push(note(findings[MOST].place, NoteKind::LeftOut(findings.len())));
        findings.truncate(MOST);
    }
    notes.sort_by_key(|note| (note.line, note.column));
    notes.truncate(MOST);
    let finding = |found: rules::Objection| {
        let (line, column) = lines.position(found.place);
        AuditFinding { line, column, rule: found.rule.to_owned(), message: found.sentence }
    };
    let findings = findings.into_iter().map(finding).collect();
    let is_partial = seen.error.is_some() || seen.is_cut;
    FileAudit { refusal: None, findings, notes, is_partial }
}

/// `# tmux-janitor: allow RULE, RULE: why`: the rules.
fn allowance(comment: &str) -> Option<impl Iterator<Item = &str>> {
    let comment = comment.trim_start_matches(['#', ';']).trim_start();
    let rules = comment.strip_prefix("tmux-janitor:")?.trim_start().strip_prefix("allow ")?;
    let rules = rules.split([':', '(', '#']).next().unwrap_or_default();
    let rules = rules.split(" -- ").next().unwrap_or_default();
    Some(rules.split([',', ' ', '\t']).filter(|rule| !rule.is_empty()))
}

struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Line and column of a byte, from 1, in characters.
    fn position(&self, place: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= place).max(1);
        let before = self.text.get(self.starts[line - 1]..place).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(script: &str) -> Vec<String> {
        let answer = look(script.to_owned(), Language::Shell);
        answer.findings.iter().map(|told| format!("{}:{}: {}", told.line, told.column, told.rule)).collect()
    }

    #[test]
    fn an_allowance_holds_for_its_line_and_the_next() {
        assert_eq!(found("# tmux-janitor: allow default-socket\ntmux ls\ntmux ls"), ["3:1: default-socket"]);
        assert!(found("tmux ls # tmux-janitor: allow kill-server, default-socket: it is ours").is_empty());
        assert_eq!(found("tmux ls # tmux-janitor: allow kill-server").len(), 1);
        assert!(found("# tmux-janitor: allow default-socket\nf \\\n  | tmux ls").is_empty());
        assert_eq!(found("echo '# tmux-janitor: allow default-socket'\ntmux ls").len(), 1);
    }

    #[test]
    fn a_rule_that_is_none_is_told() {
        let answer = look("# tmux-janitor: allow everything\n".to_owned(), Language::Shell);
        let is_told = |note: &AuditNote| matches!(&note.kind, NoteKind::NoSuchRule { asked, .. } if asked == "everything");
        assert!(answer.notes.iter().any(is_told), "{answer:?}");
    }

    #[test]
    fn columns_are_characters() {
        assert_eq!(found("echo é; tmux ls"), ["1:9: default-socket"]);
    }
}
