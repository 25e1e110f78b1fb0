//! How many of each there are, also of those that are too many to be told of one by one.

use super::{Entry, Remark, Report, Why};
use crate::judge::{Reason, State};
use crate::kernel::Uid;
use crate::report::Outcome;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are those of `State`, `Outcome` and `Reason`")]
pub struct Counts {
    pub live: usize,
    pub starting: usize,
    pub dead: usize,
    pub spared: usize,
    pub ghost: usize,
    pub foreign: usize,
    pub unknown: usize,
    pub not_a_socket: usize,
    pub removed: usize,
    pub rescued: usize,
    pub failed: usize,
    pub orphaned_locks: usize,
    pub strays: usize,
    /// Those of the live servers that are bound outside of the directories.
    pub elsewhere: usize,
    #[serde(skip)]
    pub would_remove: usize,
    #[serde(skip)]
    pub would_rescue: usize,
    #[serde(skip)]
    pub not_reached: usize,
}

impl Counts {
    /// Counts an entry.
    pub fn add(&mut self, entry: &Entry) {
        match entry.verdict.state {
            State::Dead if entry.is_litter() => {}
            State::Dead if entry.is_spared() => self.spared += 1,
            State::Live => self.live += 1,
            State::Starting => self.starting += 1,
            State::Dead => self.dead += 1,
            State::Ghost => self.ghost += 1,
            State::Foreign => self.foreign += 1,
            State::Unknown => self.unknown += 1,
            State::NotASocket => self.not_a_socket += 1,
        }
        self.elsewhere += usize::from(entry.verdict.state == State::Live && entry.outside.is_some());
        match entry.outcome {
            Outcome::Removed if !entry.is_litter() => self.removed += 1,
            Outcome::WouldRemove if !entry.is_litter() => self.would_remove += 1,
            Outcome::Rescued => self.rescued += 1,
            Outcome::WouldRescue => self.would_rescue += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Kept if entry.verdict.reason == Reason::OrphanedLock => self.orphaned_locks += 1,
            _ => {}
        }
        self.not_reached += usize::from(entry.verdict.reason == Reason::NotReached);
    }

    /// All of them, in an order of their own.
    fn fields(&mut self) -> [&mut usize; 17] {
        let Self { live, starting, dead, spared, ghost, foreign, unknown, not_a_socket, .. } = self;
        let Self { removed, rescued, failed, orphaned_locks, strays, .. } = self;
        let Self { elsewhere, would_remove, would_rescue, not_reached, .. } = self;
        [
            live,
            starting,
            dead,
            spared,
            ghost,
            foreign,
            unknown,
            not_a_socket,
            removed,
            rescued,
            failed,
            orphaned_locks,
            strays,
            elsewhere,
            would_remove,
            would_rescue,
            not_reached,
        ]
    }
}

/// Entries that are only counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    /// How many.
    pub entries: usize,
    /// What they are, and what became of them.
    #[serde(with = "all_fields")]
    pub counts: Counts,
    /// Of how many users.
    pub users: usize,
    /// One of these.
    pub user: Option<Uid>,
}

/// Counts as they go from process to process: all of them, unlike in JSON. As large as they are, their sums are numbers.
mod all_fields {
    use super::Counts;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(counts: &Counts, to: S) -> Result<S::Ok, S::Error> {
        let mut counts = *counts;
        counts.fields().map(|count| u32::try_from(*count).unwrap_or(u32::MAX)).serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Counts, D::Error> {
        let mut counts = Counts::default();
        let told: [u32; 17] = Deserialize::deserialize(from)?;
        for (count, told) in counts.fields().into_iter().zip(told) {
            *count = told as usize;
        }
        Ok(counts)
    }
}

impl Untold {
    /// More of them.
    pub fn add(&mut self, mut more: Self) {
        if self.users == 0 {
            self.user = more.user;
        }
        self.entries += more.entries;
        self.users += more.users;
        for (sum, count) in self.counts.fields().into_iter().zip(more.counts.fields()) {
            *sum += *count;
        }
    }
}

/// How many places of one kind are told of.
const MOST_PLACES: usize = 256;

impl Report {
    /// Counts what in this report of `user`'s is more than `most` entries, and leaves it out. What somebody has to see to
    /// is left out last.
    pub fn sum_up(&mut self, user: Uid, most: usize) {
        for places in [&mut self.unseen, &mut self.strays, &mut self.held] {
            sum_up_places(places);
        }
        if self.entries.len() <= most {
            return;
        }
        let (mut left, mut room) = (most, [0; Entry::RANKS]);
        for (rank, room) in room.iter_mut().enumerate() {
            let wanted = self.entries.iter().filter(|entry| entry.rank() == rank).count();
            *room = wanted.min(left);
            left -= *room;
        }
        let users = usize::from(self.untold.users == 0);
        let mut more = Untold { users, user: Some(user), ..Untold::default() };
        self.entries.retain(|entry| {
            let room = &mut room[entry.rank()];
            if *room > 0 {
                *room -= 1;
                return true;
            }
            more.entries += 1;
            more.counts.add(entry);
            false
        });
        self.untold.add(more);
    }
}

fn sum_up_places(places: &mut Vec<Remark>) {
    let more = places.len().saturating_sub(MOST_PLACES);
    if more > 0 {
        let first = places.drain(MOST_PLACES..).next();
        places.extend(first.map(|first| Remark { why: Why::More(more), ..first }));
    }
}

impl Entry {
    const RANKS: usize = 4;

    /// How soon it is left out where there are too many: ghosts and failures last.
    fn rank(&self) -> usize {
        match (self.verdict.state, self.outcome) {
            (State::Ghost, _) => 0,
            (_, Outcome::Failed(_)) => 1,
            (State::NotASocket | State::Foreign, Outcome::Kept) => 3,
            _ => 2,
        }
    }
}

impl Display for Untold {
    /// What one user, or several, have too much of.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { entries, users, user, .. } = self;
        let whose = user.map(|user| format!(" of uid {user}")).unwrap_or_default();
        let others = match users.saturating_sub(1) {
            0 => String::new(),
            1 => " and another user".to_owned(),
            more => format!(" and {more} other users"),
        };
        write!(f, "{entries} more entries{whose}{others} are counted and not listed one by one: too many")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use crate::judge::Verdict;
    use crate::kernel::Label;
    use crate::report::Folder;

    fn entry(state: State, outcome: Outcome) -> Entry {
        let folder = Folder::Other("/x".into());
        Entry::new(
            folder,
            Label::new("x").unwrap(),
            Uid::new(1),
            Verdict::new(state, Reason::NobodyListens),
            outcome,
        )
    }

    #[test]
    fn what_is_left_out_is_counted_and_what_matters_is_told() {
        let mut report = Report::default();
        report.entries.extend((0..50).map(|_| entry(State::NotASocket, Outcome::Kept)));
        report.entries.extend((0..50).map(|_| entry(State::Dead, Outcome::Removed)));
        report.entries.extend((0..3).map(|_| entry(State::Ghost, Outcome::Kept)));
        let all = report.counts();
        report.sum_up(Uid::new(7), 200);
        assert_eq!((report.entries.len(), report.untold), (103, Untold::default()));
        report.sum_up(Uid::new(7), 10);
        assert_eq!((report.entries.len(), report.untold.entries, report.untold.users), (10, 93, 1));
        assert_eq!(report.counts(), all);
        let is_ghost = |entry: &&Entry| entry.verdict.state == State::Ghost;
        assert_eq!(report.entries.iter().filter(is_ghost).count(), 3);
        assert!(report.entries.iter().all(|entry| entry.verdict.state != State::NotASocket));
        // A second time, as for the sum of all users.
        report.sum_up(Uid::new(7), 2);
        assert_eq!((report.entries.len(), report.untold.entries, report.untold.users), (2, 101, 1));
        assert_eq!((report.counts(), report.leaves_ghosts()), (all, true));
        report.entries.clear();
        assert!(report.leaves_ghosts());
        let told = report.untold.to_string();
        assert!(told.starts_with("101 more entries of uid 7 are counted"), "{told}");
    }

    #[test]
    fn of_many_places_the_rest_is_one() {
        let place = |number: usize| Remark { path: format!("/{number}").into(), why: Why::NoProc };
        let mut report = Report { held: (0..1000).map(place).collect(), ..Report::default() };
        report.sum_up(Uid::new(7), 1);
        assert_eq!(report.held.len(), MOST_PLACES + 1);
        assert_eq!(report.held[MOST_PLACES].why, Why::More(744));
    }
}
