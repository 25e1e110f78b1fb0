//! What the daemon knows of servers and sockets, and what a look at a name means for it. Pure.
//!
//! A server is known by the number of its listening socket, which the kernel never gives to two at
//! a time. From what stood at a name before, what is seen there now, and how many sockets were bound
//! there in between (inotify tells each), follow the events: each birth and each death once. What was
//! bound while we looked may or may not be what we saw: it counts for the next look.

mod homes;
mod slot;

pub(super) use homes::Renamed;

use crate::view::events::EventKind;
use homes::Homes;
use slot::{Dead, Missing, NameSlot};
use std::collections::{BTreeMap, HashMap};
use tmux_sockets::kernel::Label;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::SocketNumber;

/// A directory of the watch, by its place in the list of all that there ever were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Dir(pub(super) usize);

/// A name in a directory: what every event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) dir: Dir,
    pub(super) label: Label,
}

impl Name {
    /// The names by their directories.
    pub(super) fn by_dir(names: Vec<Self>) -> BTreeMap<Dir, Vec<Label>> {
        let mut dirs: BTreeMap<Dir, Vec<Label>> = BTreeMap::new();
        for Self { dir, label } in names {
            dirs.entry(dir).or_default().push(label);
        }
        dirs
    }
}

/// What was seen at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// A server listens. Its socket's number, unless it is in another network namespace; its process,
    /// where it is known.
    Live {
        /// The number that `/proc/PID/fd` shows.
        socket: Option<SocketNumber>,
        /// Who listens.
        pid: Option<Pid>,
    },
    /// A dead socket, which stays.
    Dead,
    /// A dead socket, which the configuration keeps.
    Spared,
    /// A dead socket, which we removed.
    Removed,
    /// Nothing, or no socket.
    Absent,
    /// Not decided: a start is under way, or a witness could not be heard.
    Undecided,
}

/// Whether a server that was announced still has its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listens {
    /// It listens, and no file leads to it.
    Yes,
    /// It listens, and another name leads to it, as far as can be told.
    Renamed,
    /// It does not, and nobody else on its behalf.
    No,
    /// It lives, but its socket is gone: it may be ending.
    Maybe,
    /// With another socket, which it made anew (SIGUSR1) and which has this number.
    Anew(u32),
}

/// A server that was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Server {
    /// Its listening socket.
    pub(super) socket: Option<SocketNumber>,
    /// Its process.
    pub(super) pid: Option<Pid>,
    ghost: bool,
    /// Not at the name it was told of at, but at another.
    away: bool,
}

/// Something that happened at the name that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Happening {
    /// What.
    pub(super) kind: EventKind,
    /// Whose socket it is or was.
    pub(super) server: Option<Server>,
}

impl Happening {
    /// The server's process.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.server.and_then(|server| server.pid)
    }
}

/// How many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct NameCounts {
    pub(super) live: usize,
    pub(super) ghosts: usize,
    pub(super) dead: usize,
    pub(super) spared: usize,
}

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Engine {
    slots: HashMap<Dir, HashMap<Label, NameSlot>>,
    looking: bool,
    /// Where sockets were bound while we looked.
    late: Vec<Name>,
    homes: Homes,
    renamed: Vec<Renamed>,
    /// Names to be looked at, since another name of a server of theirs came or went.
    restless: Vec<Name>,
}

impl Engine {
    /// inotify told that a socket was bound at a name.
    pub(super) fn born(&mut self, name: &Name) {
        let looking = self.looking;
        let slot = self.slot(name);
        if looking {
            slot.late = slot.late.saturating_add(1);
            self.late.push(name.clone());
        } else {
            slot.births = slot.births.saturating_add(1);
        }
    }

    /// A look begins: what is told from now on may or may not be what it sees.
    pub(super) fn look_begins(&mut self) {
        self.looking = true;
    }

    /// Whether a birth at a name was told since the look began.
    pub(super) fn is_late(&self, name: &Name) -> bool {
        self.known(name).is_some_and(|slot| slot.late > 0)
    }

    /// What was seen has been taken in: what was told meanwhile counts for the next look.
    pub(super) fn look_ends(&mut self) {
        self.looking = false;
        for name in std::mem::take(&mut self.late) {
            let slot = self.slot(&name);
            slot.births = slot.births.saturating_add(std::mem::take(&mut slot.late));
        }
    }

    /// inotify told that tmux's start lock of a name came or went.
    pub(super) fn lock_seen(&mut self, name: &Name) {
        self.slot(name).lock_seen = true;
    }

    /// Whether anything is known of a name.
    pub(super) fn knows(&self, name: &Name) -> bool {
        self.known(name).is_some() || self.homes.visitor(name).is_some()
    }

    /// Whether a birth at a name was told and not yet looked at.
    pub(super) fn expects(&self, name: &Name) -> bool {
        self.known(name).is_some_and(|slot| slot.births + slot.late > 0)
    }

    /// Whether any server is known in a directory, be it a ghost.
    pub(super) fn has_servers(&self, dir: Dir) -> bool {
        let mut slots = self.slots.get(&dir).into_iter().flat_map(HashMap::values);
        slots.any(|slot| !slot.servers.is_empty())
    }

    /// Whether any server is known at a name that is no ghost.
    pub(super) fn has_server(&self, name: &Name) -> bool {
        self.known(name).is_some_and(|slot| slot.servers.iter().any(|server| !server.ghost))
    }

    /// Whether servers live whose files in a directory are gone.
    pub(super) fn is_haunted(&self, dir: Dir) -> bool {
        let slots = self.slots.get(&dir).into_iter().flat_map(HashMap::values);
        slots.flat_map(|slot| &slot.servers).any(|server| server.ghost)
    }

    /// A ghost was found, by its socket. Nothing, if it is known as one.
    pub(super) fn haunt(&mut self, name: &Name, socket: SocketNumber, pid: Option<Pid>) -> Vec<Happening> {
        let slot = self.slot(name);
        let before = slot.servers.clone();
        let happenings = slot.haunt(socket, pid);
        let now = slot.servers.clone();
        self.settle(name, &before, &now);
        happenings
    }

    /// The servers that are reached at other names than was told before.
    pub(super) fn take_renamed(&mut self) -> Vec<Renamed> {
        std::mem::take(&mut self.renamed)
    }

    /// Names to be looked at: another name of a server that was told of there came or went.
    pub(super) fn take_restless(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.restless)
    }

    /// Whether a server of a name lives whose file is gone.
    pub(super) fn is_haunted_at(&self, name: &Name) -> bool {
        self.known(name).is_some_and(|slot| slot.servers.iter().any(|server| server.ghost))
    }

    /// Forgets a directory that is not ours to watch any more. The servers that were announced in it.
    pub(super) fn forget(&mut self, dir: Dir) -> Vec<(Name, Server)> {
        let slots = self.slots.remove(&dir).unwrap_or_default();
        for socket in slots.values().flat_map(|slot| &slot.servers).filter_map(|server| server.socket) {
            self.homes.forget(socket);
        }
        let servers = |(label, slot): (Label, NameSlot)| {
            slot.servers.into_iter().map(move |server| (Name { dir, label: label.clone() }, server))
        };
        slots.into_iter().flat_map(servers).collect()
    }

    /// The server that is known by that socket at a name.
    pub(super) fn server(&self, name: &Name, socket: SocketNumber) -> Option<&Server> {
        self.known(name)?.servers.iter().find(|server| server.socket == Some(socket))
    }

    /// The process whose the socket at a name is or was, as far as that is known: no ghost's, which has another.
    pub(super) fn owner(&self, name: &Name) -> Option<Pid> {
        if let Some(visitor) = self.visitor(name) {
            return visitor.pid;
        }
        let slot = self.known(name)?;
        let here = slot.servers.iter().rev().find(|server| !server.ghost && !server.away);
        here.map_or(slot.dead.and_then(|dead| dead.pid), |server| server.pid)
    }

    /// The names of a directory that something is known of.
    pub(super) fn labels(&self, dir: Dir) -> impl Iterator<Item = &Label> {
        self.slots.get(&dir).into_iter().flat_map(HashMap::keys)
    }

    /// Counts.
    pub(super) fn counts(&self) -> NameCounts {
        let mut counts = NameCounts::default();
        for slot in self.slots.values().flat_map(HashMap::values) {
            counts.dead += usize::from(slot.dead.is_some_and(|dead| !dead.spared));
            counts.spared += usize::from(slot.dead.is_some_and(|dead| dead.spared));
            let ghosts = slot.servers.iter().filter(|server| server.ghost).count();
            counts.ghosts += ghosts;
            counts.live += slot.servers.len() - ghosts;
        }
        counts
    }

    /// Takes in what was seen at a name. `listens` tells of each server that was announced.
    pub(super) fn digest(
        &mut self,
        name: &Name,
        seen: Seen,
        listens: impl Fn(&Server) -> Listens,
    ) -> Vec<Happening> {
        let away = match seen {
            Seen::Live { socket: Some(socket), .. } => {
                self.homes.away_from(socket, name).map(|home| (socket, home))
            }
            Seen::Live { socket: None, .. }
            | Seen::Dead
            | Seen::Spared
            | Seen::Removed
            | Seen::Absent
            | Seen::Undecided => None,
        };
        if let Some((socket, home)) = away {
            self.homes.found(socket, name);
            let server = self.server(&home, socket).copied();
            if server.is_some_and(|server| server.ghost) {
                self.restless.push(home);
            }
            self.tell_renamed(server.into_iter());
            // Of whom this name is, is told at home.
            return self.digest_at(name, Seen::Absent, listens);
        }
        let is_left = match seen {
            Seen::Dead | Seen::Spared | Seen::Removed => true,
            Seen::Absent => self.visitor(name).is_some_and(|server| listens(&server) == Listens::No),
            Seen::Live { .. } | Seen::Undecided => false,
        };
        if let Some(server) = self.visitor(name).filter(|_| is_left) {
            // The server that had it as another name has ended, and left it.
            self.slot(name).dead = Some(Dead { pid: server.pid, spared: false });
        }
        if seen != Seen::Undecided {
            self.restless.extend(self.homes.left(name));
        }
        self.digest_at(name, seen, listens)
    }

    /// The server that is at home elsewhere and was seen at a name.
    fn visitor(&self, name: &Name) -> Option<Server> {
        let (socket, home) = self.homes.visitor(name)?;
        self.server(&home, socket).copied()
    }

    fn tell_renamed(&mut self, servers: impl Iterator<Item = Server>) {
        for Server { socket, pid, ghost, away } in servers {
            let Some(socket) = socket else { continue };
            if ghost {
                self.homes.lost(socket);
            } else {
                self.renamed.extend(self.homes.tell(socket, pid, away));
            }
        }
    }

    fn digest_at(&mut self, name: &Name, seen: Seen, listens: impl Fn(&Server) -> Listens) -> Vec<Happening> {
        let slots = self.slots.get_mut(&name.dir);
        let Some(mut slot) = slots.and_then(|slots| slots.remove(&name.label)).or_else(|| {
            // An unknown name at which nothing is.
            (!matches!(seen, Seen::Absent | Seen::Undecided)).then(NameSlot::default)
        }) else {
            return Vec::new();
        };
        let before = slot.servers.clone();
        let happenings = match seen {
            Seen::Undecided => slot.undecided(&listens),
            // A socket was bound during this look: the next one tells which server it belongs to.
            Seen::Live { .. } if slot.late > 0 => slot.others(None, Missing::MayBeThere, &listens),
            Seen::Live { socket, pid } => {
                slot.live(Server { socket, pid, ghost: false, away: false }, &listens)
            }
            Seen::Dead | Seen::Spared | Seen::Removed | Seen::Absent => slot.no_longer(seen, &listens),
        };
        self.settle(name, &before, &slot.servers);
        if !slot.servers.is_empty()
            || slot.dead.is_some()
            || slot.births > 0
            || slot.late > 0
            || slot.lock_seen
        {
            self.slots.entry(name.dir).or_default().insert(name.label.clone(), slot);
        }
        happenings
    }

    /// Where the servers of a name are at home, and are now.
    fn settle(&mut self, name: &Name, before: &[Server], now: &[Server]) {
        for server in before {
            let Some(old) = server.socket.filter(|old| !now.iter().any(|other| other.socket == Some(*old)))
            else {
                continue;
            };
            let heir = now.iter().find(|other| other.pid.is_some() && other.pid == server.pid);
            if let Some(new) = heir.and_then(|heir| heir.socket) {
                self.homes.renumber(old, new);
            }
            if let (Some(other), None) = (self.homes.other(old).cloned(), heir) {
                // What stands there by now is its dead socket.
                self.slot(&other).dead = Some(Dead { pid: server.pid, spared: false });
                self.restless.push(other);
            }
            self.homes.forget(old);
        }
        for socket in now.iter().filter_map(|server| server.socket) {
            self.homes.settle(socket, name);
        }
        self.tell_renamed(now.iter().copied());
    }

    fn known(&self, name: &Name) -> Option<&NameSlot> {
        self.slots.get(&name.dir)?.get(&name.label)
    }

    fn slot(&mut self, name: &Name) -> &mut NameSlot {
        self.slots.entry(name.dir).or_default().entry(name.label.clone()).or_default()
    }
}

#[cfg(test)]
mod tests;
