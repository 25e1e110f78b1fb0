//! What inotify's hints are taken for.

use super::births::{Change, Hint};
use super::engine::Dir;
use super::schedule::Name;
use super::warnings::LOST;
use super::watcher::Watcher;
use std::collections::HashMap;
use std::time::Instant;
use tmux_sockets::kernel::FileFacts;
use tmux_sockets::tmux::SocketDir;
use tmux_sockets::tmux::paths;

impl Watcher {
    /// inotify has told something.
    pub(super) fn hints(&mut self) {
        let mut dirs: HashMap<Dir, Option<SocketDir>> = HashMap::new();
        let mut emptied: Vec<Dir> = Vec::new();
        for hint in self.places.births.read() {
            match hint {
                Hint::Lost => {
                    self.once.warn(LOST);
                    self.schedule.events_lost(Instant::now());
                }
                Hint::Places => self.schedule.places_changed(Instant::now()),
                Hint::Name(dir, label, change) => {
                    if matches!(change, Change::Gone | Change::Left) && !emptied.contains(&dir) {
                        emptied.push(dir);
                    }
                    let places = &self.places;
                    let directory = dirs.entry(dir).or_insert_with(|| places.open(dir));
                    let facts = match change {
                        Change::Made => directory.as_ref().and_then(|directory| directory.look(&label).ok()),
                        _ => None,
                    };
                    self.hint((dir, label), change, facts);
                }
            }
        }
        let dirs: Vec<Dir> = dirs.into_keys().collect();
        for dir in dirs {
            self.places.shield(dir, self.settings.watch.protect);
        }
        for dir in emptied {
            if self.places.is_empty(dir) && self.engine.has_servers(dir) {
                self.schedule.emptied(Instant::now());
            }
        }
    }

    /// One name: `facts` is what stands there, where something was made.
    fn hint(&mut self, name: Name, change: Change, facts: Option<FileFacts>) {
        let now = Instant::now();
        let (dir, label) = (name.0, &name.1);
        let of_lock = paths::socket_of_lock(label).map(|socket| (dir, socket.to_owned()));
        match (change, of_lock) {
            (Change::Made, None) if facts.is_none_or(|facts| facts.is_socket()) => {
                self.engine.born(dir, label);
                self.schedule.unsettled(name, now);
            }
            (Change::Made, Some(socket)) => {
                self.engine.lock_seen(dir, &socket.1);
                // A server's own label may end like a lock's name.
                if facts.is_some_and(|facts| facts.is_socket()) {
                    self.engine.born(dir, label);
                    self.schedule.unsettled(name, now);
                }
            }
            (Change::Gone, Some(socket)) => {
                self.engine.lock_seen(dir, &socket.1);
                self.schedule.unsettled(socket, now);
                if self.engine.knows(dir, label) {
                    self.schedule.unsettled(name, now);
                }
            }
            (Change::Closed, Some(socket)) => self.schedule.lock_released(socket, now),
            (Change::Gone | Change::Left, _) if self.engine.knows(dir, label) => {
                self.schedule.unsettled(name, now);
            }
            (Change::Touched, _) if self.engine.expects(dir, label) => self.schedule.unsettled(name, now),
            (Change::Arrived, None) => self.schedule.unsettled(name, now),
            _ => {}
        }
    }
}
