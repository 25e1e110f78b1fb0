//! Ghosts beside the watch: told once, and rescued where the configuration wants it.
//!
//! A rescue waits for the server's answer, seconds if it is busy, under the path's start lock. So it
//! has a thread of its own, and the loop goes on; that the socket is back is seen like any birth.

use super::engine::Dir;
use super::line_writer::ReaderGone;
use super::watcher::Watcher;
use crate::logging::journal;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tmux_sockets::ghost::{self, Anew, Ghost, Scope};
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::report::Outcome;
use tmux_sockets::report::Report;
use tmux_sockets::sweep::{Act, Target};
use tmux_sockets::witness::Witness;

/// What was said of ghosts: path, process, what.
type Said = Arc<Mutex<HashSet<(PathBuf, Option<i32>, String)>>>;

/// What is known of ghosts, and the one rescue that is under way.
#[derive(Debug, Default)]
pub(super) struct Ghosts {
    said: Said,
    rescue: Option<std::thread::JoinHandle<()>>,
    /// Some were found while it was under way.
    is_asked_again: bool,
    allowance: Allowance,
}

/// How many rescues there may be in a minute. Whoever deletes sockets again and again is to be found,
/// not to be raced.
const A_MINUTE: usize = 20;
const MINUTE: Duration = Duration::from_secs(60);

/// When the rescues of the last minute were.
#[derive(Debug, Default)]
struct Allowance {
    given: VecDeque<Instant>,
    warned: bool,
}

impl Allowance {
    /// Whether there may be another one now.
    fn take(&mut self, now: Instant) -> bool {
        while self.given.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            self.given.pop_front();
            self.warned = false;
        }
        let is_left = self.given.len() < A_MINUTE;
        if is_left {
            self.given.push_back(now);
        }
        is_left
    }

    /// Whether it is yet to be said that none is left.
    fn is_news(&mut self) -> bool {
        !std::mem::replace(&mut self.warned, true)
    }

    /// When there may be the next one after those that there were.
    fn next(&self) -> Option<Instant> {
        self.given.front().map(|first| *first + MINUTE)
    }
}

impl Watcher {
    /// Looks for ghosts everywhere; tells of those that are new, and rescues.
    pub(super) fn look_for_ghosts(&mut self) -> Result<(), ReaderGone> {
        let wanted = self.places.wanted().to_vec();
        let targets: Vec<Target> =
            wanted.iter().map(|dir| Target::whole(self.places.path(*dir).to_owned())).collect();
        let scope = Scope::new(&targets, self.is_everywhere());
        self.witness.refresh();
        let found = ghost::find(self.user, &mut self.witness, &scope);
        for ghost in &found {
            if let Some((dir, label)) = self.name_of(ghost) {
                self.haunt(dir, &label, ghost)?;
            }
        }
        if self.act != Act::Remove {
            return Ok(());
        }
        forget_others(&self.ghosts.said, |pid| found.iter().any(|ghost| ghost.pid == pid));
        for ghost in &found {
            let mut report = Report::default();
            ghost::enter(&mut report, self.user, ghost, Outcome::Kept, false);
            say(&self.ghosts.said, &report);
        }
        if self.settings.watch.rescue && !found.is_empty() {
            self.rescue(found);
        }
        Ok(())
    }

    /// A ghost that may have been one before we came.
    fn haunt(&mut self, dir: Dir, label: &OsStr, ghost: &Ghost) -> Result<(), ReaderGone> {
        let happenings = self.engine.haunt(dir, label, ghost.socket, ghost.pid);
        if !happenings.is_empty() {
            let sockets = HashMap::from([(ghost.socket, (dir, label.to_owned()))]);
            self.deaths.tie(&sockets);
        }
        for happening in happenings {
            self.happened(dir, label, happening)?;
        }
        Ok(())
    }

    /// The directory of ours that a ghost belongs to, and its label.
    fn name_of(&self, ghost: &Ghost) -> Option<(Dir, OsString)> {
        let (parent, label) = (ghost.path.parent()?, ghost.path.file_name()?);
        let dir = self.places.wanted().iter().copied().find(|dir| {
            self.places.path(*dir) == parent || self.places.full_path(*dir, label) == ghost.path
        })?;
        Some((dir, label.to_owned()))
    }

    /// Rescues them one after the other, beside the loop. While one rescue is under way no other
    /// begins: a later look finds who is a ghost still.
    fn rescue(&mut self, mut ghosts: Vec<Ghost>) {
        if self.ghosts.rescue.is_some() {
            self.ghosts.is_asked_again = true;
            return;
        }
        let (allowance, found) = (&mut self.ghosts.allowance, ghosts.len());
        // One that cannot be rescued takes nobody's turn.
        ghosts.retain(|ghost| {
            let is_allowed = ghost.plight.bar.is_some() || allowance.take(Instant::now());
            if !is_allowed && allowance.is_news() {
                tracing::warn!(
                    "sockets are deleted again and again: {A_MINUTE} rescues in a minute; {} stays a ghost for the \
                     rest of it; find out who deletes it (`tmux-janitor doctor`)",
                    escaped(&ghost.path)
                );
            }
            is_allowed
        });
        let next = allowance.next().filter(|_| ghosts.len() < found);
        if let Some(at) = next {
            self.schedule.look_for_ghosts(at);
        }
        if ghosts.is_empty() {
            return;
        }
        let (user, said) = (self.user, Arc::clone(&self.ghosts.said));
        let done = self.event_loop.rescued();
        let rescue = move || {
            let mut witness = Witness::new(user);
            for ghost in ghosts {
                let rescue = ghost::rescue(user, &mut witness, &ghost, Anew::Folder);
                let mut report = Report::default();
                ghost::enter_rescue(&mut report, user, &ghost, rescue);
                say(&said, &report);
            }
            done.notify_one();
        };
        let thread = std::thread::Builder::new().name("rescue".to_owned());
        self.ghosts.rescue = thread.spawn(rescue).ok();
    }

    /// The rescue has come to its end.
    pub(super) fn rescued(&mut self) {
        if let Some(rescue) = self.ghosts.rescue.take() {
            // It has nothing left to do; a panic has ended the program.
            let _ = rescue.join();
        }
        if std::mem::take(&mut self.ghosts.is_asked_again) {
            self.schedule.ghost_seen(Instant::now());
        }
    }

    /// A server has become a ghost: what to do about it is looked at when it has settled.
    pub(super) fn ghost_seen(&mut self) {
        let now = Instant::now();
        self.schedule.ghost_seen(now);
        // Its directory may go without a word.
        self.schedule.places_changed(now);
    }
}

/// Forgets what was said of processes that are no ghosts any more: a daemon lives for long.
fn forget_others(said: &Said, is_one: impl Fn(Option<i32>) -> bool) {
    said.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, pid, _)| is_one(*pid));
}

/// Logs the entries of which the same was not said before.
fn say(said: &Said, report: &Report) {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    for entry in &report.entries {
        let what = format!("{:?} {}", entry.outcome, entry.verdict.reason);
        if entry.outcome == Outcome::Rescued {
            // Should it become one again, that is news.
            said.retain(|(path, pid, _)| (path, *pid) != (&report.path_of(entry), entry.server_pid));
            journal::entry(report, entry);
        } else if said.insert((report.path_of(entry), entry.server_pid, what)) {
            journal::entry(report, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_of_a_ghost_is_kept_as_long_as_it_is_one() {
        let of = |pid| (PathBuf::from("/x"), Some(pid), "a ghost".to_owned());
        let said: Said = Arc::new(Mutex::new(HashSet::from([of(1), of(2)])));
        forget_others(&said, |pid| pid == Some(2));
        assert_eq!(*said.lock().unwrap_or_else(PoisonError::into_inner), HashSet::from([of(2)]));
    }

    #[test]
    fn a_minute_has_so_many_rescues_and_one_warning() {
        let (mut allowance, now) = (Allowance::default(), Instant::now());
        assert!((0..A_MINUTE).all(|_| allowance.take(now)));
        assert!(!allowance.take(now) && allowance.is_news() && !allowance.is_news());
        assert!(!allowance.take(now + Duration::from_secs(59)));
        assert_eq!(allowance.next(), Some(now + MINUTE));
        assert!(allowance.take(now + Duration::from_secs(60)));
        assert!(allowance.is_news(), "the next time is news again");
    }
}
