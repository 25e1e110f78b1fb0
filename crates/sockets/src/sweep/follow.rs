//! Who follows a pass as it goes on.

use super::sheet::{Candidate, Done, Sheet};
use crate::judge::{Reason, State, Verdict};
use crate::remove::{Audience, Next, Reaped};
use crate::report::{Failure, Outcome, Report};
use crate::tmux::quarantine;

/// Follows a pass that removes.
pub trait Follower {
    /// So many more are to be removed if they are dead.
    fn expect(&mut self, more: usize);

    /// These entries of directories of the report are done, their locks given back. It must not wait.
    fn hear(&mut self, report: &Report, done: &[Done<'_>]) -> Next;

    /// It may wait now: no lock is held.
    fn linger(&mut self);

    /// Whether the pass is to come to its end.
    fn is_over(&mut self) -> bool;
}

/// Nobody.
impl Follower for () {
    fn expect(&mut self, _: usize) {}

    fn hear(&mut self, _: &Report, _: &[Done<'_>]) -> Next {
        Next::GoOn
    }

    fn linger(&mut self) {}

    fn is_over(&mut self) -> bool {
        false
    }
}

/// What is reaped, on its way to the sheet and to whoever follows.
pub(super) struct Noting<'p> {
    pub(super) report: &'p Report,
    pub(super) sheet: &'p mut Sheet,
    /// Those that are still to come.
    pub(super) doomed: std::vec::IntoIter<Candidate>,
    /// Those whose lock could not be taken: not done yet.
    pub(super) unlocked: &'p mut Vec<(Candidate, Failure)>,
    pub(super) follower: &'p mut dyn Follower,
}

impl Audience for Noting<'_> {
    fn hear(&mut self, reaped: &[Reaped]) -> Next {
        let mut done = Vec::with_capacity(reaped.len());
        for (reaped, candidate) in reaped.iter().zip(self.doomed.by_ref()) {
            if let (None, Outcome::Failed(failure @ Failure::Lock(_))) = (reaped.verdict, reaped.outcome) {
                self.unlocked.push((candidate, failure));
            } else {
                let verdict = verdict_of(reaped, &candidate);
                done.push(candidate.place);
                self.sheet.settle(candidate, verdict, reaped.outcome);
            }
        }
        let done: Vec<Done<'_>> = done.into_iter().filter_map(|place| self.sheet.done(place)).collect();
        self.follower.hear(self.report, &done)
    }

    fn linger(&mut self) {
        self.follower.linger();
    }
}

/// What a removal found an entry to be.
fn verdict_of(reaped: &Reaped, candidate: &Candidate) -> Verdict {
    let is_quarantine = quarantine::label_of(&candidate.label).is_some();
    match (reaped.verdict, reaped.outcome) {
        (Some(Verdict { state: State::Dead, .. }), _) if is_quarantine => {
            Verdict::new(State::Dead, Reason::Quarantine)
        }
        (Some(verdict), _) => verdict,
        (None, Outcome::Vanished) => Verdict::new(State::Unknown, Reason::NoSuchSocket),
        (None, Outcome::Failed(Failure::Look(errno))) => {
            Verdict::new(State::Unknown, Reason::Unreadable(errno))
        }
        (None, _) => Verdict::new(State::Dead, Reason::NobodyListens),
    }
}
