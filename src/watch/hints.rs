//! What inotify's hints are taken for.

use super::births::{Change, Hint};
use super::directories::Directories;
use super::engine::{Dir, Engine, Name};
use super::schedule::Schedule;
use std::collections::HashMap;
use std::time::Instant;
use tmux_sockets::kernel::FileFacts;
use tmux_sockets::tmux::SocketDir;
use tmux_sockets::tmux::paths;

/// Takes in what inotify has told since it was last asked. Whether some of it was lost.
pub(super) fn take_in(
    directories: &mut Directories,
    engine: &mut Engine,
    schedule: &mut Schedule,
    protect: bool,
) -> bool {
    let mut is_lost = false;
    let mut opened: HashMap<Dir, Option<SocketDir>> = HashMap::new();
    let mut emptied: Vec<Dir> = Vec::new();
    for hint in directories.hints() {
        match hint {
            Hint::Lost => {
                is_lost = true;
                schedule.events_lost(Instant::now());
            }
            Hint::Directories => schedule.directories_changed(Instant::now()),
            Hint::Name(name, change) => {
                let dir = name.dir;
                if matches!(change, Change::Gone | Change::Left) && !emptied.contains(&dir) {
                    emptied.push(dir);
                }
                let directory = opened.entry(dir).or_insert_with(|| directories.open(dir));
                let facts = match change {
                    Change::Made => directory.as_ref().and_then(|directory| directory.look(&name.label).ok()),
                    Change::Arrived | Change::Gone | Change::Left | Change::Touched | Change::Closed => None,
                };
                note(engine, schedule, name, change, facts);
            }
        }
    }
    for dir in opened.into_keys() {
        directories.shield(dir, protect);
    }
    for dir in emptied {
        if directories.is_empty(dir) && engine.has_servers(dir) {
            schedule.emptied(Instant::now());
        }
    }
    is_lost
}

/// One name: `facts` is what stands there, where something was made.
fn note(engine: &mut Engine, schedule: &mut Schedule, name: Name, change: Change, facts: Option<FileFacts>) {
    let now = Instant::now();
    let of_lock = paths::socket_of_lock(&name.label);
    let of_lock = of_lock.map(|label| Name { dir: name.dir, label });
    match (change, of_lock) {
        (Change::Made, None) => {
            if facts.is_none_or(|facts| facts.is_socket()) {
                engine.born(&name);
                schedule.unsettled(name, now);
            }
        }
        (Change::Made, Some(socket)) => {
            engine.lock_seen(&socket);
            // A server's own label may end like a lock's name.
            if facts.is_some_and(|facts| facts.is_socket()) {
                engine.born(&name);
                schedule.unsettled(name, now);
            }
        }
        (Change::Gone, Some(socket)) => {
            engine.lock_seen(&socket);
            schedule.unsettled(socket, now);
            if engine.knows(&name) {
                schedule.unsettled(name, now);
            }
        }
        (Change::Gone, None) | (Change::Left, _) => {
            if engine.knows(&name) {
                schedule.unsettled(name, now);
            }
        }
        (Change::Closed, Some(socket)) => schedule.lock_released(socket, now),
        (Change::Touched, _) => {
            if engine.expects(&name) {
                schedule.unsettled(name, now);
            }
        }
        (Change::Arrived, None) => schedule.unsettled(name, now),
        (Change::Closed, None) | (Change::Arrived, Some(_)) => {}
    }
}
