//! What has happened at a name, and what follows of it for the next looks.

use super::Looks;
use crate::view::events::{Event, EventKind};
use crate::watch::engine::{Happening, Name, Renamed};
use crate::watch::tools::Tools;
use std::time::Instant;

impl Looks {
    /// Tells what a look came to.
    pub(super) fn pass_on(&mut self, tools: &mut Tools<'_>, name: &Name, happenings: Vec<Happening>) {
        for happening in happenings {
            let (kind, server_pid) = (happening.kind, happening.pid());
            let mut ended = None;
            match (kind, server_pid) {
                (EventKind::ServerGone, Some(pid)) => ended = tools.deaths.let_go(pid, name.into()),
                (EventKind::Ghost | EventKind::Rescued, _) => {
                    // What to do about it is looked at when it has settled. Its directory may go without a word.
                    self.schedule.ghost_seen(Instant::now());
                    self.schedule.directories_changed(Instant::now());
                }
                (
                    EventKind::ServerGone
                    | EventKind::ServerUp
                    | EventKind::SocketRemoved
                    | EventKind::Renamed
                    | EventKind::Dead,
                    _,
                ) => {}
            }
            let started = match (kind, server_pid, happening.server.and_then(|server| server.socket)) {
                (EventKind::ServerUp, Some(pid), Some(socket)) => tools.deaths.started(pid, socket),
                _ => None,
            };
            tools.books.note_news();
            let path = tools.directories.full_path(name);
            if let (EventKind::ServerUp, Some(server)) = (kind, happening.server) {
                if tools.is_told_at(&path, &server) {
                    continue;
                }
            }
            tools.enter(Event { started, ..Event::of(kind, path, server_pid) }, ended);
        }
        for Renamed { home, to, pid } in self.engine.take_renamed() {
            let [home, to] = [home, to].map(|name| tools.directories.full_path(&name));
            tools.enter(Event { to: Some(to), ..Event::of(EventKind::Renamed, home, pid) }, None);
        }
        for name in self.engine.take_restless() {
            self.schedule.unclear(name, Instant::now());
        }
    }
}
