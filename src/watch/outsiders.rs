//! Live servers that are bound outside of the directories, for a reader of `events`: found beside the engine, which knows
//! names in directories and looks there. In the folder of an outsider nobody looks: strangers' sockets may lie in it.
//!
//! One is told of when it is found and when its process has ended, and of nothing in between. So it stays told of when its
//! file is deleted, or when it makes its socket anew (SIGUSR1). Nothing of the kernel tells that one is born: that is seen
//! whenever ghosts are looked for, at each rescan.
//!
//! Where a directory is not watched any more (no pattern of the configuration matches it), the servers that were announced
//! in it are such from then on, without a word. And a folder can become a socket directory: the engine finds there whom the
//! reader was told of. Where it is the same path the server is handed over in silence, so that each `server-up` has its one
//! `server-gone`. By another path (a link in it, a file that was moved) it goes at the one, without a cause, before it comes
//! at the other.

use super::causes::EndedProcess;
use super::deaths::{Deaths, Served, Untied};
use super::engine::{Name, Server};
use crate::view::events::{Event, EventKind};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tmux_sockets::ghost::{Known, Outsider};
use tmux_sockets::kernel::{Pid, SocketNumber};
use tmux_sockets::report::Outside;
use tmux_sockets::witness::Witness;

/// How long after the end of one is looked whether it was started again.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

/// Those that were told of, by their processes: a server has one socket.
#[derive(Debug, Default)]
pub(super) struct Outsiders {
    told: BTreeMap<Pid, ToldOutsider>,
}

/// One of them.
#[derive(Debug)]
struct ToldOutsider {
    path: PathBuf,
    socket: SocketNumber,
    started: Option<SystemTime>,
    /// Its end is not waited for: each look sees whether it lives.
    is_untied: bool,
}

impl Outsiders {
    /// Who is not to be found again: whose end is waited for.
    pub(super) fn known(&self, deaths: &Deaths) -> Known {
        let tied = self.told.values().filter(|told| !told.is_untied);
        Known { pids: deaths.pids().collect(), sockets: tied.map(|told| told.socket).collect() }
    }

    /// What is told of one that was found: nothing, if it was told of before.
    pub(super) fn meet(
        &mut self,
        deaths: &mut Deaths,
        found: Outsider,
        warn: impl FnOnce(PathBuf, Untied),
    ) -> Vec<Event> {
        let Outsider { path, socket, pid, outside } = found;
        let is_untied = match deaths.watch(pid, socket, Served::Elsewhere) {
            Ok(_) => false,
            // It has just ended.
            Err(Untied::Unseen) => return Vec::new(),
            Err(why) => {
                warn(path.clone(), why);
                true
            }
        };
        let started = deaths.started(pid, socket);
        let mut events = Vec::new();
        if let Some(told) = self.told.get_mut(&pid) {
            if told.path == path && told.started == started {
                (told.socket, told.is_untied) = (socket, is_untied);
                return events;
            }
            // Another process than the one that had this number.
            events.push(told.gone(pid));
        }
        events.push(Event {
            reachable: Some(outside == Outside::Reached),
            started,
            ..Event::of(EventKind::ServerUp, path.clone(), Some(pid))
        });
        self.told.insert(pid, ToldOutsider { path, socket, started, is_untied });
        events
    }

    /// Unknown is alive: of a table that could not be read nothing is concluded.
    pub(super) fn bury_untied(&mut self, deaths: &Deaths, witness: &Witness) -> Vec<Event> {
        let mut events = Vec::new();
        self.told.retain(|pid, told| {
            let lives = !told.is_untied
                || !witness.was_read()
                || witness.table().shows_socket(told.socket)
                || deaths.holds(*pid, told.socket);
            if !lives {
                events.push(told.gone(*pid));
            }
            lives
        });
        events
    }

    /// The process of one has ended: what is told, and how to ask for its cause.
    pub(super) fn ended(&mut self, deaths: &mut Deaths, pid: Pid) -> Option<(Event, Option<EndedProcess>)> {
        let told = self.told.remove(&pid)?;
        Some((told.gone(pid), deaths.let_go(pid, Served::Elsewhere)))
    }

    /// The directory of an announced server is not ours to watch any more: its end is told by its process, as that of any
    /// that is bound elsewhere. Nothing, if its process is not known. What is told if it has ended by now.
    pub(super) fn take_over(
        &mut self,
        deaths: &mut Deaths,
        path: PathBuf,
        name: Name,
        server: &Server,
    ) -> Option<(Event, Option<EndedProcess>)> {
        let (pid, socket) = (server.pid?, server.socket?);
        let tied = deaths.watch(pid, socket, Served::Elsewhere);
        let started = deaths.started(pid, socket);
        let ended = deaths.let_go(pid, Served::Name(name));
        let told = ToldOutsider { path, socket, started, is_untied: tied.is_err() };
        if tied == Err(Untied::Unseen) {
            return Some((told.gone(pid), ended));
        }
        self.told.insert(pid, told);
        None
    }

    /// The engine has found a server in a directory: its process and its socket, as far as they are known. If the reader was
    /// told of it here: that it has gone, which is to be told where it is found by another path.
    pub(super) fn hand_over(
        &mut self,
        deaths: &mut Deaths,
        pid: Option<Pid>,
        socket: Option<SocketNumber>,
    ) -> Option<Event> {
        let is_it = |(its, told): &(&Pid, &ToldOutsider)| pid == Some(**its) || socket == Some(told.socket);
        let pid = self.told.iter().find(is_it).map(|(pid, _)| *pid)?;
        let told = self.told.remove(&pid)?;
        deaths.let_go(pid, Served::Elsewhere);
        Some(told.gone(pid))
    }
}

impl ToldOutsider {
    fn gone(&self, pid: Pid) -> Event {
        Event::of(EventKind::ServerGone, self.path.clone(), Some(pid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::engine::{Dir, Engine, Listens, Seen};
    use tmux_sockets::kernel::{Label, Uid};

    /// A server of a directory that is forgotten, as the engine gives it away.
    fn forgotten(pid: Option<Pid>) -> Option<(Name, Server)> {
        let name = Name { dir: Dir(0), label: Label::new("a")? };
        let mut engine = Engine::default();
        let seen = Seen::Live { socket: Some(SocketNumber::new(0)), pid };
        engine.digest(&name, seen, |_| Listens::No);
        engine.forget(Dir(0)).pop()
    }

    /// This process holds no socket of that number, as one that has been given the number of a server that has ended.
    #[test]
    fn one_that_has_ended_when_its_directory_is_forgotten_has_gone() {
        let (me, path) = (Pid::new(rustix::process::getpid().as_raw_nonzero().get()), PathBuf::from("/x/a"));
        let (mut deaths, mut outsiders) = (Deaths::new(Uid::ours()), Outsiders::default());
        for (pid, gone) in
            [(Some(me), Some(Event::of(EventKind::ServerGone, path.clone(), Some(me)))), (None, None)]
        {
            let Some((name, server)) = forgotten(pid) else { panic!("it is known") };
            let told = outsiders.take_over(&mut deaths, path.clone(), name, &server);
            assert_eq!(told.map(|(event, _)| event), gone);
            assert!(outsiders.told.is_empty(), "nothing more is told of it");
        }
    }

    #[test]
    fn one_that_the_engine_finds_is_handed_over_once() {
        let (pid, socket) = (Pid::new(7), SocketNumber::new(9));
        let mut deaths = Deaths::new(Uid::ours());
        for (its, listening) in
            [(Some(pid), None), (None, Some(socket)), (Some(pid), Some(SocketNumber::new(1)))]
        {
            let told = ToldOutsider { path: PathBuf::from("/x/a"), socket, started: None, is_untied: true };
            let mut outsiders = Outsiders { told: BTreeMap::from([(pid, told)]) };
            let mut hand_over = |pid, socket| outsiders.hand_over(&mut deaths, pid, socket);
            assert_eq!(hand_over(None, None), None, "a pair of nobody known");
            let gone = Event::of(EventKind::ServerGone, PathBuf::from("/x/a"), Some(pid));
            assert_eq!(hand_over(its, listening), Some(gone));
            assert_eq!(hand_over(its, listening), None);
        }
    }
}
