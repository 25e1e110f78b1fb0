//! When to look at what. Pure: time is handed in.
//!
//! Nothing here makes the daemon wake up by itself but the rescan; all other times follow an event.

use super::engine::{Dir, Name};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};
use tmux_sockets::kernel::Label;

/// How long a socket is left alone that was just bound and does not listen yet. tmux listens before
/// this. One that is bound and does not listen at the look afterwards is looked at again, each time
/// after [`LONGER`] times as long, [`TRIES`] times; then the rescan finds it.
const SETTLE: Duration = Duration::from_millis(20);
const LONGER: u32 = 4;

/// How long after a directory was emptied it is looked for again. Where a live server's socket was in
/// it, or somebody's working directory, the kernel does not tell that the directory is removed.
const EMPTIED: Duration = Duration::from_millis(50);

/// How often a socket whose lock was held is looked at again because the lock was let go. Our own
/// look lets go of it too, which must not go round in a circle.
const TRIES: u8 = 4;

/// A look may take this fraction of the time: it is followed by a pause that is longer by this.
const PAUSE: u32 = 4;

/// Rescans for lost events are at least this far apart.
const BETWEEN_RESCANS: Duration = Duration::from_secs(1);

/// How many names may wait for a look before everything is looked at instead.
const MOST_NAMES: usize = 4096;

/// How many names one look at everything takes at a time; between two the loop turns.
const CHUNK: usize = 2048;

/// What is to be done, and when.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Names to glance at as soon as the pause is over.
    unsettled: BTreeSet<Name>,
    pause_until: Option<Instant>,
    /// Names that a glance could not decide.
    settling: BTreeMap<Name, Instant>,
    /// Names that looks could not decide: how many looks.
    undecided: BTreeMap<Name, u8>,
    /// Names with servers that the table did not list, seen so once.
    unlisted: BTreeSet<Name>,
    /// When to see whether the directories are still the same.
    directories_at: Option<Instant>,
    /// When to look for ghosts.
    ghosts_at: Option<Instant>,
    /// The rest of a rescan.
    chunks: VecDeque<(Dir, Vec<Label>)>,
    rescan_at: Option<Instant>,
    last_rescan: Option<Instant>,
    interval: Option<Duration>,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// See whether the directories are still the same.
    Directories,
    /// Look for ghosts.
    Ghosts,
    /// Look at everything: make the list of it.
    Rescan,
    /// A part of that.
    Chunk(Dir, Vec<Label>),
    /// Glance at these names.
    Glance(Vec<Name>),
    /// Look at these names closely.
    Look(Vec<Name>),
}

impl Schedule {
    /// A schedule that begins with looking at everything.
    pub(super) fn new(interval: Option<Duration>, now: Instant) -> Self {
        Self {
            unsettled: BTreeSet::new(),
            pause_until: None,
            settling: BTreeMap::new(),
            undecided: BTreeMap::new(),
            unlisted: BTreeSet::new(),
            directories_at: None,
            ghosts_at: None,
            chunks: VecDeque::new(),
            rescan_at: Some(now),
            last_rescan: None,
            interval,
        }
    }

    /// Another interval between rescans, and one now.
    pub(super) fn reload(&mut self, interval: Option<Duration>, now: Instant) {
        self.interval = interval;
        self.rescan_at = Some(now);
    }

    /// Something has happened at a name.
    pub(super) fn unsettled(&mut self, name: Name, now: Instant) {
        self.unsettled.insert(name);
        if self.unsettled.len() > MOST_NAMES {
            self.unsettled.clear();
            self.events_lost(now);
        }
    }

    /// A glance could not decide on a name.
    pub(super) fn unclear(&mut self, name: Name, now: Instant) {
        self.settling.entry(name).or_insert(now + SETTLE);
    }

    /// A look found the lock of a name held.
    pub(super) fn lock_held(&mut self, name: Name) {
        *self.undecided.entry(name).or_insert(0) += 1;
    }

    /// A look found a socket that is bound and does not listen yet.
    pub(super) fn bound_only(&mut self, name: Name, now: Instant) {
        let tries = self.undecided.entry(name.clone()).or_insert(0);
        *tries += 1;
        if *tries <= TRIES {
            let wait = SETTLE * LONGER.pow(u32::from(*tries));
            self.settling.entry(name).or_insert(now + wait);
        }
    }

    /// A look found a server that the kernel's table does not list: a dump has missed it, or it is in another network
    /// namespace. Whether another look is to decide; what is announced without its process, its end is not noticed.
    pub(super) fn unlisted(&mut self, name: &Name, now: Instant) -> bool {
        if !self.unlisted.insert(name.clone()) {
            self.unlisted.remove(name);
            return false;
        }
        self.unclear(name.clone(), now);
        true
    }

    /// A name is decided.
    pub(super) fn settled(&mut self, name: &Name) {
        self.undecided.remove(name);
    }

    /// Somebody has let go of a name's lock.
    pub(super) fn lock_released(&mut self, name: Name, now: Instant) {
        if self.undecided.get(&name).is_some_and(|tries| *tries < TRIES) {
            self.settling.entry(name).or_insert(now);
        }
    }

    /// The directories may have changed.
    pub(super) fn directories_changed(&mut self, now: Instant) {
        self.directories_at = Some(now);
    }

    /// A directory was emptied, and may be removed next.
    pub(super) fn emptied(&mut self, now: Instant) {
        self.directories_at.get_or_insert(now + EMPTIED);
    }

    /// A server has lost its place. One that makes its socket anew has none for a moment.
    pub(super) fn ghost_seen(&mut self, now: Instant) {
        self.look_for_ghosts(now + SETTLE);
    }

    /// Ghosts are to be looked for then, or earlier.
    pub(super) fn look_for_ghosts(&mut self, at: Instant) {
        self.ghosts_at = Some(self.ghosts_at.map_or(at, |planned| planned.min(at)));
    }

    /// A look has taken from `started` to `now`.
    pub(super) fn looked(&mut self, started: Instant, now: Instant) {
        self.pause_until = Some(now + (now - started) * PAUSE);
    }

    /// Events were lost: everything is looked at, soon.
    pub(super) fn events_lost(&mut self, now: Instant) {
        let at = self.last_rescan.map_or(now, |last| now.max(last + BETWEEN_RESCANS));
        if self.rescan_at.is_none_or(|planned| at < planned) {
            self.rescan_at = Some(at);
        }
    }

    /// All names of a directory, to be looked at in parts.
    pub(super) fn look_at_all(&mut self, dir: Dir, mut labels: Vec<Label>) {
        // One that is empty is looked at too: it may have become unreadable or have gone.
        loop {
            let rest = labels.split_off(CHUNK.min(labels.len()));
            self.chunks.push_back((dir, labels));
            if rest.is_empty() {
                return;
            }
            labels = rest;
        }
    }

    /// Whether a look at everything is under way.
    pub(super) fn is_rescanning(&self) -> bool {
        !self.chunks.is_empty()
    }

    /// Whether no name waits for another look.
    pub(super) fn is_settled(&self) -> bool {
        self.unsettled.is_empty() && self.settling.is_empty() && self.chunks.is_empty()
    }

    /// What is due now; one thing at a time, so that between two the loop can turn.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        let due = |at: &Instant| *at <= now;
        if self.directories_at.as_ref().is_some_and(due) {
            self.directories_at = None;
            return Some(Due::Directories);
        }
        if !self.unsettled.is_empty() && self.pause_until.as_ref().is_none_or(due) {
            return Some(Due::Glance(std::mem::take(&mut self.unsettled).into_iter().collect()));
        }
        if self.settling.values().any(due) {
            let (ready, waiting) =
                std::mem::take(&mut self.settling).into_iter().partition(|(_, at)| due(at));
            self.settling = waiting;
            let ready: BTreeMap<Name, Instant> = ready;
            return Some(Due::Look(ready.into_keys().collect()));
        }
        if let Some((dir, labels)) = self.chunks.pop_front() {
            return Some(Due::Chunk(dir, labels));
        }
        if self.ghosts_at.as_ref().is_some_and(due) {
            self.ghosts_at = None;
            return Some(Due::Ghosts);
        }
        if self.rescan_at.as_ref().is_some_and(due) {
            self.last_rescan = Some(now);
            // Beyond what the clock can say: never.
            self.rescan_at = self.interval.and_then(|interval| now.checked_add(interval));
            self.unsettled.clear();
            self.settling.clear();
            self.undecided.clear();
            self.unlisted.clear();
            return Some(Due::Rescan);
        }
        None
    }

    /// When something will be due; `None`: never without another event.
    pub(super) fn next(&self) -> Option<Instant> {
        if !self.chunks.is_empty() {
            return self.last_rescan;
        }
        let glance = if self.unsettled.is_empty() { None } else { self.pause_until.or(self.last_rescan) };
        glance
            .into_iter()
            .chain(self.settling.values().min().copied())
            .chain(self.rescan_at)
            .chain(self.directories_at)
            .chain(self.ghosts_at)
            .min()
    }
}

#[cfg(test)]
mod tests;
