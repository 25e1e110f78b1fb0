//! The entries of one directory while a pass settles them, in the order of their names.

use crate::judge::{Reason, State, Verdict};
use crate::kernel::{Label, Uid};
use crate::report::{DirectoryNumber, Entry, EntryNumber, Folder, Outcome, Report};
use std::ffi::OsStr;

/// An entry that a pass is done with, before it stands in the report.
#[derive(Debug, Clone, Copy)]
pub struct Done<'e> {
    /// The number that it will have in the report.
    pub number: EntryNumber,
    /// What it is, and what became of it.
    pub entry: &'e Entry,
}

/// A place on a sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line(usize);

/// A name that a look at the table did not settle: it may be dead.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) place: Line,
    pub(super) label: Label,
    uid: Uid,
}

/// What stands at a place.
#[derive(Debug)]
enum Slot {
    Settled(Entry),
    /// A [`Candidate`] is on its way.
    Open {
        label: Label,
        uid: Uid,
    },
}

#[derive(Debug)]
pub(super) struct Sheet {
    directory: DirectoryNumber,
    /// The number of the first entry.
    first: EntryNumber,
    slots: Vec<Slot>,
}

impl Sheet {
    /// The sheet of one of the report's directories, whose entries will follow those that are there.
    pub(super) fn new(directory: DirectoryNumber, report: &Report) -> Self {
        Self { directory, first: report.next_entry(), slots: Vec::new() }
    }

    fn folder(&self) -> Folder {
        Folder::Of(self.directory)
    }

    /// A name that is settled at once.
    pub(super) fn enter(&mut self, label: Label, uid: Uid, verdict: Verdict) -> Line {
        let entry = Entry::new(self.folder(), label, uid, verdict, Outcome::Kept);
        self.slots.push(Slot::Settled(entry));
        Line(self.slots.len() - 1)
    }

    /// A name that is not settled yet.
    pub(super) fn open(&mut self, label: Label, uid: Uid) -> Candidate {
        self.slots.push(Slot::Open { label: label.clone(), uid });
        Candidate { place: Line(self.slots.len() - 1), label, uid }
    }

    /// What came of a candidate.
    pub(super) fn settle(&mut self, candidate: Candidate, verdict: Verdict, outcome: Outcome) {
        let Candidate { place, label, uid } = candidate;
        self.slots[place.0] = Slot::Settled(Entry::new(self.folder(), label, uid, verdict, outcome));
    }

    /// The entry at a place; `None`: it is not settled yet.
    pub(super) fn entry(&mut self, place: Line) -> Option<&mut Entry> {
        match &mut self.slots[place.0] {
            Slot::Settled(entry) => Some(entry),
            Slot::Open { .. } => None,
        }
    }

    /// The place of a label.
    pub(super) fn find(&self, label: &OsStr) -> Option<Line> {
        let is_it = |slot: &Slot| match slot {
            Slot::Settled(entry) => *entry.label == *label,
            Slot::Open { label: open, .. } => **open == *label,
        };
        self.slots.iter().position(is_it).map(Line)
    }

    /// An entry that is settled, with the number that it will have.
    pub(super) fn done(&self, place: Line) -> Option<Done<'_>> {
        match &self.slots[place.0] {
            Slot::Settled(entry) => Some(Done { number: self.first.after(place.0), entry }),
            Slot::Open { .. } => None,
        }
    }

    /// All of them. What was not settled was not reached: the pass has come to its end before.
    pub(super) fn close(self) -> impl Iterator<Item = Entry> {
        let folder = self.folder();
        self.slots.into_iter().map(move |slot| match slot {
            Slot::Settled(entry) => entry,
            Slot::Open { label, uid } => {
                let verdict = Verdict::new(State::Unknown, Reason::NotReached);
                Entry::new(folder.clone(), label, uid, verdict, Outcome::Kept)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use crate::report::DirectoryReport;

    fn label(name: &str) -> Label {
        Label::new(name).unwrap()
    }

    #[test]
    fn what_was_not_settled_is_unknown_and_keeps_its_place() {
        let mut report = Report::default();
        let directory = report.add_directory(DirectoryReport { path: "/x".into(), error: None });
        let dead = Verdict::new(State::Dead, Reason::NobodyListens);
        let mut sheet = Sheet::new(directory, &report);
        let (left, done) = (sheet.open(label("a"), Uid::ROOT), sheet.open(label("b"), Uid::ROOT));
        sheet.settle(done, dead, Outcome::Removed);
        drop(left);
        let entries: Vec<_> =
            sheet.close().map(|entry| (entry.label, entry.verdict, entry.outcome)).collect();
        let unknown = Verdict::new(State::Unknown, Reason::NotReached);
        assert_eq!(entries, [(label("a"), unknown, Outcome::Kept), (label("b"), dead, Outcome::Removed)]);
    }
}
