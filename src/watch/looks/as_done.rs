//! What a look removes is told of when it is done: whoever is ended in the middle has said what he did.

use crate::watch::announce::Announcer;
use crate::watch::bookkeeping::Books;
use std::collections::HashSet;
use tmux_sockets::kernel::Label;
use tmux_sockets::kernel::Pid;
use tmux_sockets::remove::Next;
use tmux_sockets::report::{Entry, EntryNumber, Outcome, Report};
use tmux_sockets::sweep::{Done, Follower};

/// Logs and enters each removal, with the process whose socket it was.
pub(super) struct AsDone<'w> {
    announcer: &'w mut Announcer,
    books: &'w mut Books,
    owner: &'w dyn Fn(&Label) -> Option<Pid>,
    told: HashSet<EntryNumber>,
}

impl<'w> AsDone<'w> {
    pub(super) fn new(
        announcer: &'w mut Announcer,
        books: &'w mut Books,
        owner: &'w dyn Fn(&Label) -> Option<Pid>,
    ) -> Self {
        Self { announcer, books, owner, told: HashSet::new() }
    }

    /// The entries that were told of.
    pub(super) fn told(self) -> HashSet<EntryNumber> {
        self.told
    }
}

impl Follower for AsDone<'_> {
    fn expect(&mut self, _: usize) {}

    fn hear(&mut self, report: &Report, done: &[Done<'_>]) -> Next {
        for Done { number, entry } in done {
            if entry.outcome == Outcome::Removed {
                let entry = Entry { server_pid: (self.owner)(&entry.label), ..(*entry).clone() };
                self.books.enter(&entry);
                self.announcer.removed(report, &entry);
                self.told.insert(*number);
            }
        }
        Next::GoOn
    }

    fn linger(&mut self) {}

    fn is_over(&mut self) -> bool {
        false
    }
}
