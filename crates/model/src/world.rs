//! The state of the model: names in one socket directory, and what every process holds.
//!
//! An inode is a number and nothing else. Whether a socket listens, or a lock file is flocked or
//! leased, follows from what the processes hold, so that a process that dies needs no cleaning up.

use std::hash::{Hash, Hasher};

use crate::packed::Packed;
use crate::pc::{Client, Pc, Server};
use crate::setup::Setup;

/// An inode number; sockets and lock files are counted apart.
pub(crate) type Ino = u8;
/// No inode: the name does not exist, the handle is not open.
pub(crate) const NONE: Ino = u8::MAX;
/// An empty directory of a janitor's stands at the name: nobody's socket, taken by no unlink(2), bound by nobody.
pub(crate) const DIR: Ino = u8::MAX - 1;
/// tmux labels (socket names) in the directory.
pub(crate) const LABELS: usize = 2;
/// tmux starts: each is a client and the server that it forks.
pub(crate) const STARTS: usize = 3;
/// Janitor processes; one row always stays free for the sweep that `properties` lets run in quiet.
pub(crate) const JANITORS: usize = 3;
/// Lock files that one janitor can have open, each with a rest name of its own.
pub(crate) const SLOTS: usize = 4;
/// Quarantine names of a label: its own, and the one of that name.
pub(crate) const DEPTHS: usize = 2;
/// Most lock files that can exist at once.
pub(crate) const INODES: usize = 16;

/// One run of the tmux program, with the server it may fork. They share the lock's descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about one process")]
pub(crate) struct Start {
    pub(crate) client: Client,
    pub(crate) server: Server,
    pub(crate) label: u8,
    /// The lock file that this start has open, or is about to have (`Walked`, `Blocked`).
    pub(crate) lock: Ino,
    pub(crate) flocked: bool,
    /// Who still has the shared descriptor of the lock.
    pub(crate) client_copy: bool,
    pub(crate) server_copy: bool,
    /// The socket that the server is bound to, and the one that SIGUSR1 makes it bind next.
    pub(crate) sock: Ino,
    pub(crate) next_sock: Ino,
    /// A janitor took this server's socket away from its name.
    pub(crate) displaced: bool,
    /// The client saw no server, with the lock, because a janitor had it in quarantine.
    pub(crate) misled: bool,
}

impl Start {
    /// Nobody runs tmux here.
    pub(crate) const UNUSED: Self = Self {
        client: Client::Done,
        server: Server::Never,
        label: 0,
        lock: NONE,
        flocked: false,
        client_copy: false,
        server_copy: false,
        sock: NONE,
        next_sock: NONE,
        displaced: false,
        misled: false,
    };

    /// Closes the lock's descriptor where nobody has it any more: only then is the flock gone.
    pub(crate) fn drop_unheld_lock(&mut self) {
        if !self.client_copy && !self.server_copy {
            self.lock = NONE;
            self.flocked = false;
        }
    }
}

/// A write lease (`F_SETLEASE F_WRLCK`) as its holder sees it with `F_GETLEASE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lease {
    /// Never granted.
    Never,
    Held,
    /// An opener came: it waits in open(2) until we let go.
    Breaking,
    /// Let go, or taken by the kernel after `lease-break-time`.
    Gone,
}

/// A lock file that a janitor has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fd {
    pub(crate) ino: Ino,
    pub(crate) flocked: bool,
    pub(crate) lease: Lease,
    /// The label whose lock name this file had last; `NONE` for one that never travelled.
    pub(crate) label: u8,
    /// The label whose lock name it left straight for that one; `NONE`: nobody can still come by it.
    pub(crate) before: u8,
}

impl Fd {
    pub(crate) const CLOSED: Self =
        Self { ino: NONE, flocked: false, lease: Lease::Never, label: NONE, before: NONE };
}

/// A janitor process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about one process")]
pub(crate) struct Janitor {
    pub(crate) pc: Pc,
    /// The label being worked on; past the last one the run is finishing.
    pub(crate) label: u8,
    /// Which of the label's names is worked on: 0 is NAME itself, 1 its quarantine name, 2 that one's, ...
    pub(crate) depth: u8,
    /// The names that are yet to be looked at are those before this one: the deepest comes first.
    pub(crate) todo: u8,
    /// The `O_PATH` handle of what stands there.
    pub(crate) pin: Ino,
    /// The name that it was moved to.
    pub(crate) caught: u8,
    /// A bit for each quarantine name that the table lists: it is put back when all else is done.
    pub(crate) live: u8,
    /// One of them is being put back.
    pub(crate) putting: bool,
    /// What a killed run has left is being given back; that is tried once for each label.
    pub(crate) giving: bool,
    pub(crate) gave: bool,
    /// Tried: what lies at its one quarantine name was found dead there.
    pub(crate) proven: bool,
    /// It is of a version that does as it is done now, and does not know such names.
    pub(crate) older: bool,
    /// The descriptor in use, and all of them.
    pub(crate) cur: u8,
    pub(crate) fds: [Fd; SLOTS],
    /// A second descriptor, while two lock files change places.
    pub(crate) other: u8,
    /// Which rest name of other janitors is looked at next.
    pub(crate) stale: u8,
    /// The label has a lock file and no socket.
    pub(crate) lock_only: bool,
    /// There is no own lock file to move there: the label's is made where there is none.
    pub(crate) creates: bool,
    /// After closing, look at the same label again.
    pub(crate) again: bool,
    pub(crate) tries: u8,
}

#[expect(clippy::cast_possible_truncation, reason = "a handful of names")]
impl Janitor {
    /// A label's names; those after them are the janitors' single ones.
    pub(crate) const ALL: u8 = DEPTHS as u8 + 1;
    /// No name of the label was looked at.
    pub(crate) const EVERY: u8 = Self::ALL + JANITORS as u8;

    pub(crate) const OFF: Self = Self {
        pc: Pc::Off,
        label: 0,
        depth: 0,
        todo: Self::EVERY,
        pin: NONE,
        caught: 0,
        live: 0,
        putting: false,
        giving: false,
        gave: false,
        proven: false,
        older: false,
        cur: 0,
        fds: [Fd::CLOSED; SLOTS],
        other: 0,
        stale: 0,
        lock_only: false,
        creates: false,
        again: false,
        tries: 0,
    };

    pub(crate) fn fd(&self) -> Fd {
        self.fds[usize::from(self.cur)]
    }

    pub(crate) fn fd_mut(&mut self) -> &mut Fd {
        &mut self.fds[usize::from(self.cur)]
    }
}

/// Everything. Two worlds that differ only in numbering are made equal by `normalise`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct World {
    /// `NAME`, its quarantine names, `NAME.lock`, per label.
    pub(crate) sock: [Ino; LABELS],
    pub(crate) quarantine: [[Ino; DEPTHS]; LABELS],
    pub(crate) lock: [Ino; LABELS],
    /// `.tmux-janitor-PID-N.lock`, per janitor and slot. They outlive their janitor.
    pub(crate) rest: [[Ino; SLOTS]; JANITORS],
    /// Tried: the one quarantine name of each janitor, and the label of what it moved there last. They outlive it, too.
    pub(crate) single: [Ino; JANITORS],
    pub(crate) single_label: [u8; JANITORS],
    pub(crate) starts: [Start; STARTS],
    pub(crate) janitors: [Janitor; JANITORS],
    /// Per lock file, a bit for each label whose lock name it lost by a janitor's step.
    pub(crate) torn: [u8; INODES],
    /// A bit for each label where tmux's unlink(NAME) found nothing because of a quarantine.
    pub(crate) unlink_missed: u8,
    /// A bit for each label whose socket was put back after such an unlink.
    pub(crate) put_back: u8,
    /// A bind met an existing name ("Address already in use") that tmux alone would not have met.
    pub(crate) bind_failed: bool,
    /// What may still happen: janitors killed, clients killed, SIGUSR1 sent.
    pub(crate) kills: u8,
    pub(crate) client_kills: u8,
    pub(crate) signals: u8,
    pub(crate) misses: u8,
    /// Next free inode numbers.
    pub(crate) socks: u8,
    pub(crate) locks: u8,
}

// A checker spends its time on this more than on all else, and a hasher takes many bytes at once faster than one by one.
impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Each field by its name: a new one is not forgotten.
        let Self {
            sock,
            quarantine,
            lock,
            rest,
            single,
            single_label,
            starts,
            janitors,
            torn,
            unlink_missed,
            put_back,
            bind_failed,
            kills,
            client_kills,
            signals,
            misses,
            socks,
            locks,
        } = self;
        let mut packed = Packed::default();
        (sock, quarantine, lock, rest, single, single_label, starts, janitors, torn).hash(&mut packed);
        (unlink_missed, put_back, bind_failed).hash(&mut packed);
        (kills, client_kills, signals, misses, socks, locks).hash(&mut packed);
        state.write(packed.bytes());
    }
}

impl World {
    pub(crate) fn new_sock(&mut self) -> Ino {
        self.socks += 1;
        self.socks - 1
    }

    pub(crate) fn new_lock(&mut self) -> Ino {
        self.torn[usize::from(self.locks)] = 0;
        self.locks += 1;
        self.locks - 1
    }

    /// A janitor's lock file is at a lock name, and rests at no name of its own.
    pub(crate) fn stands(&self, setup: &Setup, j: usize, slot: usize) -> bool {
        setup.onward && self.rest[j][slot] == NONE && self.lock.contains(&self.janitors[j].fds[slot].ino)
    }

    /// What one of a label's names leads to.
    pub(crate) fn name(&self, label: u8, depth: u8) -> Ino {
        if let Some(j) = depth.checked_sub(Janitor::ALL).map(usize::from) {
            return if self.single_label[j] == label { self.single[j] } else { NONE };
        }
        let label = usize::from(label);
        depth.checked_sub(1).map_or(self.sock[label], |at| self.quarantine[label][usize::from(at)])
    }

    /// A janitor changes what one of a label's names leads to.
    pub(crate) fn janitor_sets_name(&mut self, label: u8, depth: u8, ino: Ino) {
        if let Some(j) = depth.checked_sub(Janitor::ALL).map(usize::from) {
            (self.single[j], self.single_label[j]) = (ino, if ino == NONE { 0 } else { label });
            return;
        }
        match depth.checked_sub(1) {
            None => self.janitor_sets_sock(label, ino),
            Some(at) => self.quarantine[usize::from(label)][usize::from(at)] = ino,
        }
    }

    /// A janitor lets two of a label's names change places; whether it could.
    pub(crate) fn janitor_exchanges(&mut self, label: u8, one: u8, other: u8) -> bool {
        let (first, second) = (self.name(label, one), self.name(label, other));
        let is_both = first != NONE && second != NONE;
        if is_both {
            self.janitor_sets_name(label, other, first);
            self.janitor_sets_name(label, one, second);
        }
        is_both
    }

    /// rmdir(2): whether our directory stood there.
    pub(crate) fn janitor_rmdirs(&mut self, label: u8, depth: u8) -> bool {
        let is_there = self.name(label, depth) == DIR;
        if is_there {
            self.janitor_sets_name(label, depth, NONE);
        }
        is_there
    }

    /// A janitor renames without replacing; whether it could.
    pub(crate) fn janitor_renames(&mut self, label: u8, from: u8, to: u8) -> bool {
        let moves = self.name(label, from) != NONE && self.name(label, to) == NONE;
        if moves {
            let ino = self.name(label, from);
            self.janitor_sets_name(label, from, NONE);
            self.janitor_sets_name(label, to, ino);
        }
        moves
    }

    /// A janitor changes what `NAME.lock` leads to.
    pub(crate) fn janitor_sets_lock(&mut self, label: u8, ino: Ino) {
        let name = &mut self.lock[usize::from(label)];
        if *name != NONE {
            self.torn[usize::from(*name)] |= 1 << label;
        }
        if ino != NONE {
            self.torn[usize::from(ino)] &= !(1 << label);
        }
        *name = ino;
    }

    /// A janitor changes what `NAME` leads to; remembers which servers it displaced.
    pub(crate) fn janitor_sets_sock(&mut self, label: u8, ino: Ino) {
        let old = std::mem::replace(&mut self.sock[usize::from(label)], ino);
        for start in &mut self.starts {
            if old != NONE && (start.sock == old || start.next_sock == old) {
                start.displaced = true;
            }
            if ino != NONE && (start.sock == ino || start.next_sock == ino) {
                start.displaced = false;
            }
        }
        self.put_back &= !(1 << label);
        if ino != NONE && ino != DIR {
            self.put_back |= self.unlink_missed & (1 << label);
        }
        self.unlink_missed &= !(1 << label);
    }

    /// bind(NAME) makes a socket.
    pub(crate) fn tmux_binds(&mut self, label: u8) -> Ino {
        let ino = self.new_sock();
        self.sock[usize::from(label)] = ino;
        self.put_back &= !(1 << label);
        self.unlink_missed &= !(1 << label);
        ino
    }

    /// Start `i` unlinks NAME, whatever it leads to.
    pub(crate) fn tmux_unlinks(&mut self, i: usize) {
        let label = self.starts[i].label;
        let is_kept = self.sock[usize::from(label)] == DIR;
        if !is_kept {
            self.sock[usize::from(label)] = NONE;
            self.put_back &= !(1 << label);
        }
        let singles = Janitor::ALL..Janitor::EVERY;
        let hidden: Vec<Ino> =
            (1..Janitor::ALL).chain(singles).map(|depth| self.name(label, depth)).collect();
        for hidden in hidden.into_iter().filter(|ino| *ino != NONE && *ino != DIR) {
            self.unlink_missed |= u8::from(!is_kept) << label;
            if !self.starts[i].misled {
                // It would have unlinked the socket in quarantine: what that loses is tmux's doing.
                for start in &mut self.starts {
                    if start.sock == hidden || start.next_sock == hidden {
                        start.displaced = false;
                    }
                }
            }
        }
    }
}
