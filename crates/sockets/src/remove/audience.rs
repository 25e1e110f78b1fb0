//! Who hears of removals, batch by batch.

use crate::judge::Verdict;
use crate::report::Outcome;

/// What a removal found, and what it did.
#[derive(Debug, Clone, Copy)]
pub struct Reaped {
    /// What the socket was under its lock; `None`: it was never looked at under it.
    pub verdict: Option<Verdict>,
    /// What became of it.
    pub outcome: Outcome,
}

/// Who hears of a batch as soon as it is done and its locks were given back.
pub trait Audience {
    /// What became of the next entries, in their order. It must not wait: locks are at rest, and one of them can have
    /// an opener by then.
    fn hear(&mut self, reaped: &[Reaped]) -> Next;

    /// It may wait now: there is no lock at all.
    fn linger(&mut self);
}

/// What comes after a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next one.
    GoOn,
    /// All locks are let go, and whoever hears may wait; then the next one.
    Linger,
    /// Nothing more.
    End,
}

/// Nobody.
impl Audience for () {
    fn hear(&mut self, _: &[Reaped]) -> Next {
        Next::GoOn
    }

    fn linger(&mut self) {}
}
