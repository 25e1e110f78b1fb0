//! What the daemon knows of servers and sockets, and what a look at a name means for it. Pure.
//!
//! A server is known by the number of its listening socket, which the kernel never gives to two at
//! a time. From what stood at a name before, what is seen there now, and how many sockets were bound
//! there in between (inotify tells each), follow the events: each birth and each death once. What was
//! bound while we looked may or may not be what we saw: it counts for the next look.

use crate::events::What;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

/// A directory of the watch, by its place in the list of all that there ever were.
pub type Dir = usize;

/// What was seen at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A server listens. Its socket's number, unless it is in another network namespace; its process,
    /// where it is known.
    Live {
        /// The number that `/proc/PID/fd` shows.
        socket: Option<u32>,
        /// Who listens.
        pid: Option<i32>,
    },
    /// A dead socket, which stays.
    Dead,
    /// A dead socket, which we removed.
    Removed,
    /// Nothing, or no socket.
    Absent,
    /// Not decided: a start is under way, or a witness could not be heard.
    Undecided,
}

/// Whether a server that was announced still has its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listens {
    /// It listens.
    Yes,
    /// It does not, and nobody else on its behalf.
    No,
    /// It lives, but its socket is gone: it may be making it anew (SIGUSR1) or ending.
    Maybe,
}

/// A server that was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// Its listening socket.
    pub socket: Option<u32>,
    /// Its process.
    pub pid: Option<i32>,
    ghost: bool,
}

/// What is known of a name.
#[derive(Debug, Default)]
struct Slot {
    servers: Vec<Server>,
    /// A dead socket stands there.
    dead: Option<Dead>,
    /// How many sockets were bound here since the last look.
    births: u32,
    /// How many since that look began.
    late: u32,
    /// A start lock of tmux came or went here since the last look.
    lock_seen: bool,
}

/// A dead socket.
#[derive(Debug, Clone, Copy)]
struct Dead {
    /// The process whose it was, where that is known.
    pid: Option<i32>,
}

/// Something that happened at the name that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Happening {
    /// What.
    pub what: What,
    /// Whose socket it is or was.
    pub server: Option<Server>,
}

impl Happening {
    /// The server's process.
    pub fn pid(&self) -> Option<i32> {
        self.server.and_then(|server| server.pid)
    }
}

/// How many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Counts {
    pub live: usize,
    pub ghosts: usize,
    pub dead: usize,
}

/// All that is known.
#[derive(Debug, Default)]
pub struct Engine {
    slots: HashMap<Dir, HashMap<OsString, Slot>>,
    looking: bool,
    /// Where sockets were bound while we looked.
    late: Vec<(Dir, OsString)>,
}

impl Engine {
    /// inotify told that a socket was bound at a name.
    pub fn born(&mut self, dir: Dir, label: &OsStr) {
        let looking = self.looking;
        let slot = self.slot(dir, label);
        if looking {
            slot.late = slot.late.saturating_add(1);
            self.late.push((dir, label.to_owned()));
        } else {
            slot.births = slot.births.saturating_add(1);
        }
    }

    /// A look begins: what is told from now on may or may not be what it sees.
    pub fn look_begins(&mut self) {
        self.looking = true;
    }

    /// Whether a birth at a name was told since the look began.
    pub fn is_late(&self, dir: Dir, label: &OsStr) -> bool {
        let slot = self.slots.get(&dir).and_then(|slots| slots.get(label));
        slot.is_some_and(|slot| slot.late > 0)
    }

    /// What was seen has been taken in: what was told meanwhile counts for the next look.
    pub fn look_ends(&mut self) {
        self.looking = false;
        for (dir, label) in std::mem::take(&mut self.late) {
            let slot = self.slot(dir, &label);
            slot.births = slot.births.saturating_add(std::mem::take(&mut slot.late));
        }
    }

    /// inotify told that tmux's start lock of a name came or went.
    pub fn lock_seen(&mut self, dir: Dir, label: &OsStr) {
        self.slot(dir, label).lock_seen = true;
    }

    /// Whether anything is known of a name.
    pub fn knows(&self, dir: Dir, label: &OsStr) -> bool {
        self.slots.get(&dir).is_some_and(|slots| slots.contains_key(label))
    }

    /// Whether a birth at a name was told and not yet looked at.
    pub fn expects(&self, dir: Dir, label: &OsStr) -> bool {
        let slot = self.slots.get(&dir).and_then(|slots| slots.get(label));
        slot.is_some_and(|slot| slot.births + slot.late > 0)
    }

    /// Whether any server is known in a directory, be it a ghost.
    pub fn has_servers(&self, dir: Dir) -> bool {
        let mut slots = self.slots.get(&dir).into_iter().flat_map(HashMap::values);
        slots.any(|slot| !slot.servers.is_empty())
    }

    /// Whether servers live whose files in a directory are gone.
    pub fn is_haunted(&self, dir: Dir) -> bool {
        let slots = self.slots.get(&dir).into_iter().flat_map(HashMap::values);
        slots.flat_map(|slot| &slot.servers).any(|server| server.ghost)
    }

    /// A ghost was found, by its socket. Nothing, if it is known as one.
    pub fn haunt(&mut self, dir: Dir, label: &OsStr, socket: u32, pid: Option<i32>) -> Vec<Happening> {
        let slot = self.slot(dir, label);
        if let Some(known) = slot.servers.iter_mut().find(|server| server.socket == Some(socket)) {
            let was = std::mem::replace(&mut known.ghost, true);
            let happening = Happening { what: What::Ghost, server: Some(*known) };
            return if was { Vec::new() } else { vec![happening] };
        }
        let server = Server { socket: Some(socket), pid, ghost: true };
        slot.servers.push(server);
        [What::ServerUp, What::Ghost].map(|what| Happening { what, server: Some(server) }).to_vec()
    }

    /// Forgets a directory that is not ours to watch any more.
    pub fn forget(&mut self, dir: Dir) {
        self.slots.remove(&dir);
    }

    /// The server that is known by that socket at a name.
    pub fn server(&self, dir: Dir, label: &OsStr, socket: u32) -> Option<&Server> {
        let slot = self.slots.get(&dir).and_then(|slots| slots.get(label))?;
        slot.servers.iter().find(|server| server.socket == Some(socket))
    }

    /// The names of a directory that something is known of.
    pub fn labels(&self, dir: Dir) -> impl Iterator<Item = &OsString> {
        self.slots.get(&dir).into_iter().flat_map(HashMap::keys)
    }

    /// Counts.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for slot in self.slots.values().flat_map(HashMap::values) {
            counts.dead += usize::from(slot.dead.is_some());
            let ghosts = slot.servers.iter().filter(|server| server.ghost).count();
            counts.ghosts += ghosts;
            counts.live += slot.servers.len() - ghosts;
        }
        counts
    }

    /// Takes in what was seen at a name. `listens` tells of each server that was announced.
    pub fn digest(
        &mut self,
        dir: Dir,
        label: &OsStr,
        seen: Seen,
        listens: impl Fn(&Server) -> Listens,
    ) -> Vec<Happening> {
        let Some(mut slot) = self.slots.get_mut(&dir).and_then(|slots| slots.remove(label)).or_else(|| {
            // Nothing was there, nothing is there.
            (!matches!(seen, Seen::Absent | Seen::Undecided)).then(Slot::default)
        }) else {
            return Vec::new();
        };
        let happenings = match seen {
            Seen::Undecided => slot.others(None, Missing::MayBeThere, &listens),
            // Which of them it is, the next look tells.
            Seen::Live { .. } if slot.late > 0 => slot.others(None, Missing::MayBeThere, &listens),
            Seen::Live { socket, pid } => slot.live(Server { socket, pid, ghost: false }, &listens),
            Seen::Dead | Seen::Removed | Seen::Absent => slot.no_longer(seen, &listens),
        };
        if !slot.servers.is_empty()
            || slot.dead.is_some()
            || slot.births > 0
            || slot.late > 0
            || slot.lock_seen
        {
            self.slots.entry(dir).or_default().insert(label.to_owned(), slot);
        }
        happenings
    }

    fn slot(&mut self, dir: Dir, label: &OsStr) -> &mut Slot {
        self.slots.entry(dir).or_default().entry(label.to_owned()).or_default()
    }
}

impl Slot {
    fn live(&mut self, server: Server, listens: &impl Fn(&Server) -> Listens) -> Vec<Happening> {
        let births = std::mem::take(&mut self.births);
        self.lock_seen &= self.late > 0;
        self.dead = None;
        let current = match server.socket {
            Some(_) => self.servers.iter().position(|known| known.socket == server.socket),
            // Not in the table, but it answers: the one we know, if a dump has missed it.
            None => self
                .servers
                .iter()
                .position(|known| !known.ghost && (known.socket.is_none() || listens(known) == Listens::Yes)),
        };
        // SIGUSR1: the same process has made its socket anew.
        let current = current
            .or_else(|| self.servers.iter().position(|known| known.pid.is_some() && known.pid == server.pid));
        let Some(at) = current else {
            let mut happenings = self.others(None, Missing::IsGhost, listens);
            pairs(births.saturating_sub(1), &mut happenings);
            happenings.push(Happening { what: What::ServerUp, server: Some(server) });
            self.servers.push(server);
            return happenings;
        };
        let known = self.servers[at];
        let now = if server.socket.is_some() {
            // A pane's process holds the socket of a server that was killed until it has called exec.
            Server { pid: known.pid.or(server.pid), ..server }
        } else {
            Server { ghost: false, ..known }
        };
        self.servers[at] = now;
        let mut happenings = Vec::new();
        if known.ghost {
            happenings.push(Happening { what: What::Rescued, server: Some(now) });
        }
        happenings.extend(self.others(Some(now), Missing::IsGhost, listens));
        happenings
    }

    fn no_longer(&mut self, seen: Seen, listens: &impl Fn(&Server) -> Listens) -> Vec<Happening> {
        let births = std::mem::take(&mut self.births);
        let started = self.lock_seen;
        // It may belong to the birth that counts for the next look.
        self.lock_seen &= self.late > 0;
        let mut happenings = self.others(None, Missing::IsGhost, listens);
        let gone = happenings
            .iter()
            .rev()
            .filter(|happening| happening.what == What::ServerGone)
            .find_map(|happening| happening.server.filter(|server| !server.ghost));
        let pid = gone.and_then(|server| server.pid).or(self.dead.and_then(|dead| dead.pid));
        // Of a file that came and went, only tmux's lock tells that it was a socket.
        let births = if seen == Seen::Absent && !started { 0 } else { births };
        pairs(births, &mut happenings);
        let was_there = gone.is_some() || self.dead.is_some() || births > 0;
        self.dead = None;
        match seen {
            Seen::Dead => self.dead = Some(Dead { pid }),
            Seen::Absent if !was_there => {}
            _ => {
                let server = Server { socket: None, pid, ghost: false };
                happenings.push(Happening { what: What::SocketRemoved, server: Some(server) });
            }
        }
        happenings
    }

    /// The servers that do not stand at the name any more: ghosts where they still listen, else gone.
    fn others(
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
                Listens::Maybe => return true,
                Listens::No => {
                    happenings.push(Happening { what: What::ServerGone, server: Some(*server) });
                    return false;
                }
            }
            if !server.ghost && missing == Missing::IsGhost {
                server.ghost = true;
                happenings.push(Happening { what: What::Ghost, server: Some(*server) });
            }
            true
        });
        happenings
    }
}

/// What a server is that listens and was not seen at its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    IsGhost,
    MayBeThere,
}

/// Servers that came and went between two looks.
fn pairs(count: u32, happenings: &mut Vec<Happening>) {
    for _ in 0..count {
        for what in [What::ServerUp, What::ServerGone] {
            happenings.push(Happening { what, server: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use What::{Ghost, Rescued, ServerGone, ServerUp, SocketRemoved};
    use std::cell::RefCell;

    /// An engine and the sockets that are listening.
    #[derive(Default)]
    struct World {
        engine: RefCell<Engine>,
        listening: RefCell<Vec<u32>>,
        closing: RefCell<Option<u32>>,
    }

    impl World {
        fn born(&self) {
            self.engine.borrow_mut().born(0, OsStr::new("x"));
        }

        fn lock(&self) {
            self.engine.borrow_mut().lock_seen(0, OsStr::new("x"));
        }

        fn listening(&self, sockets: &[u32]) {
            *self.listening.borrow_mut() = sockets.to_vec();
        }

        /// Looks; what happened, with pids.
        fn see(&self, seen: Seen) -> Vec<(What, Option<i32>)> {
            let listening = self.listening.borrow().clone();
            let listens = |server: &Server| match server.socket {
                Some(socket) if listening.contains(&socket) => Listens::Yes,
                Some(socket) if *self.closing.borrow() == Some(socket) => Listens::Maybe,
                _ => Listens::No,
            };
            let happenings = self.engine.borrow_mut().digest(0, OsStr::new("x"), seen, listens);
            happenings.iter().map(|happening| (happening.what, happening.pid())).collect()
        }

        /// Looks while `socket` of `pid` stands at the name.
        fn live(&self, socket: u32, pid: i32) -> Vec<(What, Option<i32>)> {
            let mut listening = self.listening.borrow().clone();
            listening.push(socket);
            self.listening(&listening);
            self.see(Seen::Live { socket: Some(socket), pid: Some(pid) })
        }
    }

    #[test]
    fn a_birth_and_a_death_are_told_once() {
        let world = World::default();
        world.born();
        assert_eq!(world.live(1, 10), [(ServerUp, Some(10))]);
        assert_eq!(world.live(1, 10), []);
        world.listening(&[]);
        assert_eq!(world.see(Seen::Dead), [(ServerGone, Some(10))]);
        assert_eq!(world.see(Seen::Dead), [], "a socket that is kept makes no drumbeat");
        assert_eq!(world.see(Seen::Absent), [(SocketRemoved, Some(10))]);
        assert_eq!(world.see(Seen::Absent), []);
        assert!(world.engine.borrow().slots[&0].is_empty(), "nothing is left to remember");
    }

    #[test]
    fn a_removal_of_ours_follows_the_death() {
        let world = World::default();
        world.live(1, 10);
        world.listening(&[]);
        assert_eq!(world.see(Seen::Removed), [(ServerGone, Some(10)), (SocketRemoved, Some(10))]);
    }

    #[test]
    fn servers_between_two_looks_get_their_pair() {
        let world = World::default();
        world.born();
        world.born();
        assert_eq!(
            world.see(Seen::Removed),
            [
                (ServerUp, None),
                (ServerGone, None),
                (ServerUp, None),
                (ServerGone, None),
                (SocketRemoved, None)
            ]
        );
        world.live(3, 30);
        world.listening(&[]);
        world.born();
        world.born();
        assert_eq!(
            world.live(5, 50),
            [(ServerGone, Some(30)), (ServerUp, None), (ServerGone, None), (ServerUp, Some(50))]
        );
    }

    #[test]
    fn a_birth_during_a_look_counts_for_the_next() {
        let world = World::default();
        world.live(1, 10);
        world.listening(&[]);
        world.engine.borrow_mut().look_begins();
        world.born();
        assert_eq!(world.live(2, 20), [(ServerGone, Some(10))], "is it the one that was born?");
        world.engine.borrow_mut().look_ends();
        assert_eq!(world.live(2, 20), [(ServerUp, Some(20))]);
        world.listening(&[]);
        world.engine.borrow_mut().look_begins();
        world.born();
        assert_eq!(world.see(Seen::Removed), [(ServerGone, Some(20)), (SocketRemoved, Some(20))]);
        world.engine.borrow_mut().look_ends();
        assert_eq!(world.see(Seen::Dead), [(ServerUp, None), (ServerGone, None)]);
    }

    #[test]
    fn of_a_file_that_came_and_went_only_a_lock_tells_a_server() {
        let world = World::default();
        world.born();
        assert_eq!(world.see(Seen::Absent), []);
        world.lock();
        world.born();
        assert_eq!(world.see(Seen::Absent), [(ServerUp, None), (ServerGone, None), (SocketRemoved, None)]);
        world.engine.borrow_mut().look_begins();
        world.lock();
        world.born();
        assert_eq!(world.see(Seen::Absent), []);
        world.engine.borrow_mut().look_ends();
        assert_eq!(world.see(Seen::Absent), [(ServerUp, None), (ServerGone, None), (SocketRemoved, None)]);
    }

    #[test]
    fn a_server_whose_file_goes_is_a_ghost_and_can_come_back() {
        let world = World::default();
        world.live(1, 10);
        assert_eq!(world.see(Seen::Absent), [(Ghost, Some(10))]);
        assert_eq!(world.see(Seen::Absent), []);
        assert_eq!(world.engine.borrow().counts(), Counts { live: 0, ghosts: 1, dead: 0 });
        world.listening(&[]);
        assert_eq!(world.live(2, 10), [(Rescued, Some(10))], "SIGUSR1 makes another socket");
        world.see(Seen::Absent);
        world.listening(&[]);
        assert_eq!(world.see(Seen::Absent), [(ServerGone, Some(10))], "its file was gone before");
    }

    #[test]
    fn a_server_keeps_the_pid_it_was_announced_with() {
        let world = World::default();
        world.live(1, 10);
        assert_eq!(world.live(1, 11), [], "a child of it holds the socket");
        world.listening(&[]);
        assert_eq!(world.see(Seen::Dead), [(ServerGone, Some(10))]);
    }

    #[test]
    fn a_server_between_two_sockets_has_not_gone() {
        let world = World::default();
        world.live(1, 10);
        world.listening(&[]);
        *world.closing.borrow_mut() = Some(1);
        assert_eq!(world.see(Seen::Absent), []);
        assert_eq!(world.live(2, 10), [], "SIGUSR1 makes another socket");
        world.listening(&[]);
        assert_eq!(world.see(Seen::Dead), [(ServerGone, Some(10))]);
    }

    #[test]
    fn a_stolen_name_makes_a_ghost_of_the_one_who_had_it() {
        let world = World::default();
        world.live(1, 10);
        assert_eq!(world.live(2, 20), [(Ghost, Some(10)), (ServerUp, Some(20))]);
        world.listening(&[2]);
        assert_eq!(world.live(2, 20), [(ServerGone, Some(10))]);
    }

    #[test]
    fn what_is_not_decided_changes_nothing_but_a_death() {
        let world = World::default();
        world.live(1, 10);
        assert_eq!(world.see(Seen::Undecided), []);
        world.listening(&[]);
        world.born();
        assert_eq!(world.see(Seen::Undecided), [(ServerGone, Some(10))]);
        assert_eq!(world.live(7, 70), [(ServerUp, Some(70))]);
    }

    #[test]
    fn a_server_that_a_dump_has_missed_is_the_same_server() {
        let world = World::default();
        world.live(1, 10);
        assert_eq!(world.see(Seen::Live { socket: None, pid: None }), []);
        assert_eq!(world.engine.borrow().counts().live, 1);
    }
}
