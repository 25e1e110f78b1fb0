//! When to look at what. Pure: time is handed in.
//!
//! Nothing here makes the daemon wake up by itself but the rescan; all other times follow an event.

use super::engine::Dir;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// A name in a directory.
pub type Name = (Dir, OsString);

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
pub struct Schedule {
    /// Names to glance at as soon as the pause is over.
    unsettled: BTreeSet<Name>,
    pause_until: Option<Instant>,
    /// Names that a glance could not decide.
    settling: BTreeMap<Name, Instant>,
    /// Names that looks could not decide: how many looks.
    undecided: BTreeMap<Name, u8>,
    /// When to see whether the directories are still the same.
    places_at: Option<Instant>,
    /// When to look for ghosts.
    ghosts_at: Option<Instant>,
    /// The rest of a rescan.
    chunks: VecDeque<(Dir, Vec<OsString>)>,
    rescan_at: Option<Instant>,
    last_rescan: Option<Instant>,
    interval: Option<Duration>,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// See whether the directories are still the same.
    Places,
    /// Look for ghosts.
    Ghosts,
    /// Look at everything: make the list of it.
    Rescan,
    /// A part of that.
    Chunk(Dir, Vec<OsString>),
    /// Glance at these names.
    Glance(Vec<Name>),
    /// Look at these names closely.
    Look(Vec<Name>),
}

impl Schedule {
    /// A schedule that begins with looking at everything.
    pub fn new(interval: Option<Duration>, now: Instant) -> Self {
        Self {
            unsettled: BTreeSet::new(),
            pause_until: None,
            settling: BTreeMap::new(),
            undecided: BTreeMap::new(),
            places_at: None,
            ghosts_at: None,
            chunks: VecDeque::new(),
            rescan_at: Some(now),
            last_rescan: None,
            interval,
        }
    }

    /// Another interval between rescans, and one now.
    pub fn reload(&mut self, interval: Option<Duration>, now: Instant) {
        self.interval = interval;
        self.rescan_at = Some(now);
    }

    /// Something has happened at a name.
    pub fn unsettled(&mut self, name: Name, now: Instant) {
        self.unsettled.insert(name);
        if self.unsettled.len() > MOST_NAMES {
            self.unsettled.clear();
            self.events_lost(now);
        }
    }

    /// A glance could not decide on a name.
    pub fn unclear(&mut self, name: Name, now: Instant) {
        self.settling.entry(name).or_insert(now + SETTLE);
    }

    /// A look found the lock of a name held.
    pub fn lock_held(&mut self, name: Name) {
        *self.undecided.entry(name).or_insert(0) += 1;
    }

    /// A look found a socket that is bound and does not listen yet.
    pub fn bound_only(&mut self, name: Name, now: Instant) {
        let tries = self.undecided.entry(name.clone()).or_insert(0);
        *tries += 1;
        if *tries <= TRIES {
            let wait = SETTLE * LONGER.pow(u32::from(*tries));
            self.settling.entry(name).or_insert(now + wait);
        }
    }

    /// A name is decided.
    pub fn settled(&mut self, name: &Name) {
        self.undecided.remove(name);
    }

    /// Somebody has let go of a name's lock.
    pub fn lock_released(&mut self, name: Name, now: Instant) {
        if self.undecided.get(&name).is_some_and(|tries| *tries < TRIES) {
            self.settling.entry(name).or_insert(now);
        }
    }

    /// The directories may have changed.
    pub fn places_changed(&mut self, now: Instant) {
        self.places_at = Some(now);
    }

    /// A directory was emptied, and may be removed next.
    pub fn emptied(&mut self, now: Instant) {
        self.places_at.get_or_insert(now + EMPTIED);
    }

    /// A server has lost its place. One that makes its socket anew has none for a moment.
    pub fn ghost_seen(&mut self, now: Instant) {
        self.ghosts_at.get_or_insert(now + SETTLE);
    }

    /// A look has taken from `started` to `now`.
    pub fn looked(&mut self, started: Instant, now: Instant) {
        self.pause_until = Some(now + (now - started) * PAUSE);
    }

    /// Events were lost: everything is looked at, soon.
    pub fn events_lost(&mut self, now: Instant) {
        let at = self.last_rescan.map_or(now, |last| now.max(last + BETWEEN_RESCANS));
        if self.rescan_at.is_none_or(|planned| at < planned) {
            self.rescan_at = Some(at);
        }
    }

    /// All names of a directory, to be looked at in parts.
    pub fn look_at_all(&mut self, dir: Dir, mut labels: Vec<OsString>) {
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
    pub fn is_rescanning(&self) -> bool {
        !self.chunks.is_empty()
    }

    /// What is due now; one thing at a time, so that between two the loop can turn.
    pub fn due(&mut self, now: Instant) -> Option<Due> {
        let due = |at: &Instant| *at <= now;
        if self.places_at.as_ref().is_some_and(due) {
            self.places_at = None;
            return Some(Due::Places);
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
            self.rescan_at = self.interval.map(|interval| now + interval);
            self.unsettled.clear();
            self.settling.clear();
            self.undecided.clear();
            return Some(Due::Rescan);
        }
        None
    }

    /// When something will be due; `None`: never without another event.
    pub fn next(&self) -> Option<Instant> {
        if !self.chunks.is_empty() {
            return self.last_rescan;
        }
        let glance = if self.unsettled.is_empty() { None } else { self.pause_until.or(self.last_rescan) };
        glance
            .into_iter()
            .chain(self.settling.values().min().copied())
            .chain(self.rescan_at)
            .chain(self.places_at)
            .chain(self.ghosts_at)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(label: &str) -> Name {
        (0, label.into())
    }

    fn begun(interval: u64) -> (Schedule, Instant) {
        let now = Instant::now();
        let mut schedule = Schedule::new(Some(Duration::from_secs(interval)), now);
        assert_eq!(schedule.due(now), Some(Due::Rescan));
        (schedule, now)
    }

    #[test]
    fn without_events_only_the_rescan_wakes() {
        let (mut schedule, now) = begun(600);
        assert_eq!(schedule.due(now), None);
        assert_eq!(schedule.next(), Some(now + Duration::from_secs(600)));
        schedule.reload(None, now);
        assert_eq!(schedule.due(now), Some(Due::Rescan));
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn a_birth_is_glanced_at_and_after_a_costly_look_it_waits() {
        let (mut schedule, now) = begun(600);
        schedule.unsettled(name("a"), now);
        assert_eq!(schedule.next(), Some(now));
        assert_eq!(schedule.due(now), Some(Due::Glance(vec![name("a")])));
        schedule.looked(now, now + Duration::from_millis(3));
        schedule.unsettled(name("b"), now);
        let later = now + Duration::from_millis(15);
        assert_eq!(schedule.due(now + Duration::from_millis(14)), None);
        assert_eq!(schedule.next(), Some(later));
        assert_eq!(schedule.due(later), Some(Due::Glance(vec![name("b")])));
    }

    #[test]
    fn what_is_unclear_gets_time_to_settle() {
        let (mut schedule, now) = begun(600);
        schedule.unclear(name("a"), now);
        assert_eq!(schedule.due(now), None);
        assert_eq!(schedule.next(), Some(now + SETTLE));
        assert_eq!(schedule.due(now + SETTLE), Some(Due::Look(vec![name("a")])));
    }

    #[test]
    fn an_emptied_directory_is_looked_for_a_little_later() {
        let (mut schedule, now) = begun(600);
        schedule.emptied(now);
        schedule.emptied(now + EMPTIED / 2);
        assert_eq!(schedule.due(now), None);
        assert_eq!(schedule.next(), Some(now + EMPTIED));
        assert_eq!(schedule.due(now + EMPTIED), Some(Due::Places));
        schedule.places_changed(now);
        assert_eq!(schedule.due(now), Some(Due::Places));
        schedule.ghost_seen(now);
        assert_eq!(schedule.next(), Some(now + SETTLE));
        assert_eq!(schedule.due(now + SETTLE), Some(Due::Ghosts));
    }

    #[test]
    fn a_lock_that_is_let_go_leads_to_few_looks() {
        let (mut schedule, now) = begun(600);
        schedule.lock_released(name("a"), now);
        assert_eq!(schedule.due(now), None, "nobody waits for it");
        let mut looks = 0;
        schedule.lock_held(name("a"));
        schedule.lock_released(name("a"), now);
        while let Some(Due::Look(_)) = schedule.due(now) {
            looks += 1;
            schedule.lock_held(name("a"));
            schedule.lock_released(name("a"), now);
        }
        assert_eq!(looks, TRIES - 1);
    }

    #[test]
    fn a_socket_that_does_not_listen_yet_is_looked_at_ever_more_rarely() {
        let (mut schedule, now) = begun(600);
        let mut waits = Vec::new();
        loop {
            schedule.bound_only(name("a"), now);
            match schedule.next() {
                Some(at) if at < now + Duration::from_secs(600) => waits.push((at - now).as_millis()),
                _ => break,
            }
            assert_eq!(schedule.due(now + Duration::from_secs(6)), Some(Due::Look(vec![name("a")])));
        }
        assert_eq!(waits, [80, 320, 1280, 5120]);
    }

    #[test]
    fn lost_events_lead_to_one_rescan_and_a_storm_to_one_per_second() {
        let (mut schedule, now) = begun(600);
        schedule.events_lost(now);
        schedule.events_lost(now);
        assert_eq!(schedule.due(now), None);
        let later = now + BETWEEN_RESCANS;
        assert_eq!(schedule.due(later), Some(Due::Rescan));
        assert_eq!(schedule.due(later), None);
        assert_eq!(schedule.next(), Some(later + Duration::from_secs(600)));
    }

    #[test]
    fn too_many_names_are_a_rescan() {
        let (mut schedule, now) = begun(600);
        for number in 0..=MOST_NAMES {
            schedule.unsettled(name(&number.to_string()), now);
        }
        assert_eq!(schedule.due(now + BETWEEN_RESCANS), Some(Due::Rescan));
    }

    #[test]
    fn a_rescan_is_taken_in_parts_and_events_come_between() {
        let (mut schedule, now) = begun(600);
        schedule.look_at_all(0, (0..=CHUNK).map(|n| n.to_string().into()).collect());
        assert!(matches!(schedule.due(now), Some(Due::Chunk(0, labels)) if labels.len() == CHUNK));
        schedule.unsettled(name("new"), now);
        assert_eq!(schedule.due(now), Some(Due::Glance(vec![name("new")])));
        assert!(matches!(schedule.due(now), Some(Due::Chunk(0, labels)) if labels.len() == 1));
        assert!(!schedule.is_rescanning());
    }
}
