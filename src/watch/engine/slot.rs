//! One name: what is known of it, and what a look means for it.

use super::{Happening, Listens, Seen, Server};
use crate::view::events::EventKind;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::SocketNumber;

/// What is known of a name.
#[derive(Debug, Default)]
pub(super) struct NameSlot {
    pub(super) servers: Vec<Server>,
    /// A dead socket stands there.
    pub(super) dead: Option<Dead>,
    /// How many sockets were bound here since the last look.
    pub(super) births: u32,
    /// How many since that look began.
    pub(super) late: u32,
    /// A start lock of tmux came or went here since the last look.
    pub(super) lock_seen: bool,
}

/// A dead socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dead {
    /// The process whose it was, where that is known.
    pub(super) pid: Option<Pid>,
    /// Whether the configuration keeps it.
    pub(super) spared: bool,
}

impl NameSlot {
    pub(super) fn live(&mut self, server: Server, listens: &impl Fn(&Server) -> Listens) -> Vec<Happening> {
        let births = std::mem::take(&mut self.births);
        let started = self.lock_seen;
        self.lock_seen &= self.late > 0;
        self.dead = None;
        let current = match server.socket {
            Some(_) => self.servers.iter().position(|known| {
                // Nothing was bound since: the one that the table did not show.
                known.socket == server.socket || (known.socket.is_none() && !known.ghost && births == 0)
            }),
            // Not in the table, but it answers: the one we know, if a dump has missed it.
            None => self.servers.iter().position(|known| {
                !known.ghost
                    && (known.socket.is_none() || matches!(listens(known), Listens::Yes | Listens::Renamed))
            }),
        };
        // SIGUSR1: the same process has made its socket anew.
        let current = current
            .or_else(|| self.servers.iter().position(|known| known.pid.is_some() && known.pid == server.pid))
            .or_else(|| self.ghost().filter(|_| server.pid.is_none() && births > 0 && !started));
        let Some(at) = current else {
            let mut happenings = self.others(None, Missing::IsGhost, listens);
            pairs(births.saturating_sub(1), &mut happenings);
            happenings.push(Happening { kind: EventKind::ServerUp, server: Some(server) });
            self.servers.push(server);
            return happenings;
        };
        let known = self.servers[at];
        let now = if server.socket.is_some() {
            // A pane's process holds the socket of a server that was killed until it has called exec.
            Server { pid: known.pid.or(server.pid), ..server }
        } else {
            Server { ghost: false, away: false, ..known }
        };
        let mut happenings = Vec::new();
        self.servers[at].back(&mut happenings);
        self.servers[at] = now;
        happenings.extend(self.others(Some(now), Missing::IsGhost, listens));
        happenings
    }

    /// The ghost of this name, if there is one alone. Whatever is made here without a start, and has nobody to be asked
    /// any more, is its own: it was killed as soon as it had made its socket.
    fn ghost(&self) -> Option<usize> {
        let mut ghosts = self.servers.iter().enumerate().filter(|(_, known)| known.ghost).map(|(at, _)| at);
        ghosts.next().filter(|_| ghosts.next().is_none())
    }

    pub(super) fn no_longer(&mut self, seen: Seen, listens: &impl Fn(&Server) -> Listens) -> Vec<Happening> {
        let mut happenings = self.others(None, Missing::IsGhost, listens);
        let births = std::mem::take(&mut self.births);
        let started = self.lock_seen;
        // It may belong to the birth that counts for the next look.
        self.lock_seen &= self.late > 0;
        let gone = last_gone(&happenings);
        let pid = gone.and_then(|server| server.pid).or(self.dead.and_then(|dead| dead.pid));
        // Of a file that came and went, only tmux's lock tells that it was a socket.
        let births = if seen == Seen::Absent && !started { 0 } else { births };
        pairs(births, &mut happenings);
        let was_there = gone.is_some() || self.dead.is_some() || births > 0;
        self.dead = None;
        match seen {
            Seen::Dead | Seen::Spared => {
                if !was_there {
                    happenings.push(Happening { kind: EventKind::Dead, server: None });
                }
                self.dead = Some(Dead { pid, spared: seen == Seen::Spared });
            }
            Seen::Absent if !was_there => {}
            Seen::Removed | Seen::Absent | Seen::Live { .. } | Seen::Undecided => {
                let server = Server { socket: None, pid, ghost: false, away: false };
                happenings.push(Happening { kind: EventKind::SocketRemoved, server: Some(server) });
            }
        }
        happenings
    }

    /// A server was found whose file is gone or is another's.
    pub(super) fn haunt(&mut self, socket: SocketNumber, pid: Option<Pid>) -> Vec<Happening> {
        let by_socket = self.servers.iter().position(|known| known.socket == Some(socket));
        let by_pid = || self.servers.iter().position(|known| known.pid.is_some() && known.pid == pid);
        let Some(at) = by_socket.or_else(by_pid) else {
            let server = Server { socket: Some(socket), pid, ghost: true, away: false };
            self.servers.push(server);
            return [EventKind::ServerUp, EventKind::Ghost]
                .map(|kind| Happening { kind, server: Some(server) })
                .to_vec();
        };
        let known = &mut self.servers[at];
        let mut happenings = Vec::new();
        known.made_anew(socket, &mut happenings);
        known.lost(&mut happenings);
        happenings
    }

    /// Something stands there that could not be judged, as while a janitor holds its lock. What its
    /// server left behind is remembered, so that its removal is told.
    pub(super) fn undecided(&mut self, listens: &impl Fn(&Server) -> Listens) -> Vec<Happening> {
        let happenings = self.others(None, Missing::MayBeThere, listens);
        if let Some(gone) = last_gone(&happenings) {
            self.dead = Some(Dead { pid: gone.pid, spared: false });
        }
        happenings
    }

    /// The servers that do not stand at the name any more: ghosts where they still listen, else gone.
    pub(super) fn others(
        &mut self,
        current: Option<Server>,
        missing: Missing,
        listens: &impl Fn(&Server) -> Listens,
    ) -> Vec<Happening> {
        let mut happenings = Vec::new();
        self.servers.retain_mut(|server| {
            if Some(*server) == current {
                return true;
            }
            match listens(server) {
                Listens::Yes => {}
                Listens::Anew(socket) => {
                    server.made_anew(SocketNumber::new(socket), &mut happenings);
                    if self.late > 0 {
                        // It was made after the name was looked at, and that birth is its own: the next look sees it.
                        self.late -= 1;
                        return true;
                    }
                }
                Listens::Maybe => return true,
                Listens::Renamed => {
                    if missing == Missing::IsGhost {
                        server.away = true;
                        server.back(&mut happenings);
                    }
                    return true;
                }
                Listens::No => {
                    if server.ghost && missing == Missing::IsGhost && self.births > 0 && !self.lock_seen {
                        // No start made these: the ghost itself (SIGUSR1), before it ended.
                        self.births = 0;
                        server.back(&mut happenings);
                    }
                    happenings.push(Happening { kind: EventKind::ServerGone, server: Some(*server) });
                    return false;
                }
            }
            if missing == Missing::IsGhost {
                server.lost(&mut happenings);
            }
            true
        });
        happenings
    }
}

impl Server {
    /// It has made its socket, if that is a new one: for a moment at least a file led to it.
    fn made_anew(&mut self, socket: SocketNumber, happenings: &mut Vec<Happening>) {
        if self.socket.replace(socket) != Some(socket) {
            self.back(happenings);
        }
    }

    /// A file leads to it again, or did for a moment.
    fn back(&mut self, happenings: &mut Vec<Happening>) {
        if std::mem::take(&mut self.ghost) {
            happenings.push(Happening { kind: EventKind::Rescued, server: Some(*self) });
        }
    }

    /// No file leads to it.
    fn lost(&mut self, happenings: &mut Vec<Happening>) {
        self.away = false;
        if !std::mem::replace(&mut self.ghost, true) {
            happenings.push(Happening { kind: EventKind::Ghost, server: Some(*self) });
        }
    }
}

/// What a server is that listens and was not seen at its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    IsGhost,
    MayBeThere,
}

/// The server that ended last and was reached here: what stands at the name is its socket.
fn last_gone(happenings: &[Happening]) -> Option<Server> {
    let mut gone = happenings.iter().rev().filter(|happening| happening.kind == EventKind::ServerGone);
    gone.find_map(|happening| happening.server.filter(|server| !server.ghost && !server.away))
}

/// Servers that came and went between two looks.
fn pairs(count: u32, happenings: &mut Vec<Happening>) {
    for _ in 0..count {
        for kind in [EventKind::ServerUp, EventKind::ServerGone] {
            happenings.push(Happening { kind, server: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Killed as soon as it has made its socket: the table has the socket, and nobody can be asked any more whose it is.
    #[test]
    fn a_socket_that_a_ghost_makes_and_that_is_nobodys_any_more_is_its_own() {
        let of = |socket, pid: Option<i32>| Server {
            socket: Some(SocketNumber::new(socket)),
            pid: pid.map(Pid::new),
            ghost: pid.is_some(),
            away: false,
        };
        let told = |ghosts: &[Server], births, lock_seen| {
            let mut slot = NameSlot { servers: ghosts.to_vec(), births, lock_seen, ..NameSlot::default() };
            let happenings = slot.live(of(9, None), &|_: &Server| Listens::Maybe);
            (happenings.iter().map(|happening| happening.kind).collect::<Vec<_>>(), slot.servers.len())
        };
        let ghost = of(1, Some(10));
        assert_eq!(told(&[ghost], 1, false), (vec![EventKind::Rescued], 1));
        assert_eq!(told(&[ghost], 1, true), (vec![EventKind::ServerUp], 2), "somebody has started one");
        assert_eq!(told(&[ghost, of(2, Some(11))], 1, false), (vec![EventKind::ServerUp], 3), "whose is it?");
    }
}
