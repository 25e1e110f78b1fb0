//! Who follows a pass as it goes on.

use super::pass::note;
use crate::judge::{Reason, State, Verdict};
use crate::remove::{Audience, Next, Reaped};
use crate::report::Report;
use crate::report::{Failure, Outcome};

/// Follows a pass that removes.
pub trait Follower {
    /// So many more are to be removed if they are dead.
    fn expect(&mut self, more: usize);

    /// These entries of the report are done, their locks given back. It must not wait.
    fn hear(&mut self, report: &Report, entries: &[usize]) -> Next;

    /// It may wait now: no lock is held.
    fn linger(&mut self);

    /// Whether the pass is to come to its end.
    fn is_over(&mut self) -> bool;
}

/// Nobody.
impl Follower for () {
    fn expect(&mut self, _: usize) {}

    fn hear(&mut self, _: &Report, _: &[usize]) -> Next {
        Next::GoOn
    }

    fn linger(&mut self) {}

    fn is_over(&mut self) -> bool {
        false
    }
}

/// What is reaped, on its way into the report.
pub(super) struct Noting<'p> {
    pub(super) report: &'p mut Report,
    /// Where the entries stand that are still to come.
    pub(super) doomed: std::slice::Iter<'p, usize>,
    /// Those whose lock could not be taken: not done yet.
    pub(super) unlocked: &'p mut Vec<(usize, Failure)>,
    pub(super) follower: &'p mut dyn Follower,
}

impl Audience for Noting<'_> {
    fn hear(&mut self, reaped: &[Reaped]) -> Next {
        let mut done = Vec::with_capacity(reaped.len());
        for (reaped, at) in reaped.iter().zip(self.doomed.by_ref()) {
            if let (None, Outcome::Failed(failure @ Failure::Lock(_))) = (reaped.verdict, reaped.outcome) {
                self.unlocked.push((*at, failure));
            } else {
                note(&mut self.report.entries[*at], *reaped);
                done.push(*at);
            }
        }
        self.follower.hear(self.report, &done)
    }

    fn linger(&mut self) {
        self.follower.linger();
    }
}

/// Enters that a pass has come to its end before these were looked at.
pub(super) fn leave(report: &mut Report, entries: impl Iterator<Item = usize>) {
    for at in entries {
        report.entries[at].verdict = Verdict::new(State::Unknown, Reason::NotReached);
    }
}
