//! What the kernel answers: who listens, who holds a lock, who breaks a lease.

use crate::{
    pc::{Client, Server},
    world::{Ino, Lease, NONE, World},
};

impl World {
    /// connect(2) on this socket would succeed.
    pub(crate) fn listening(&self, ino: Ino) -> bool {
        ino != NONE
            && self.starts.iter().any(|s| {
                (s.sock == ino && s.server.listens()) || (s.next_sock == ino && s.server == Server::CloseOld)
            })
    }

    /// The kernel's socket table shows it: bound, listening or not.
    pub(crate) fn bound(&self, ino: Ino) -> bool {
        ino != NONE
            && self.starts.iter().any(|s| s.server != Server::Dead && (s.sock == ino || s.next_sock == ino))
    }

    /// Somebody has an exclusive flock on it (`/proc/locks`).
    pub(crate) fn flocked(&self, ino: Ino) -> bool {
        self.starts.iter().any(|s| s.flocked && s.lock == ino)
            || self.janitors.iter().any(|j| j.fds.iter().any(|fd| fd.flocked && fd.ino == ino))
    }

    /// An opener of this file waits in open(2).
    pub(crate) fn leased(&self, ino: Ino) -> bool {
        self.janitors.iter().any(|j| {
            j.fds.iter().any(|fd| fd.ino == ino && matches!(fd.lease, Lease::Held | Lease::Breaking))
        })
    }

    /// open(2) meets a lease: its holder can see from now on that somebody came.
    pub(crate) fn break_lease(&mut self, ino: Ino) {
        for fd in self.janitors.iter_mut().flat_map(|j| &mut j.fds) {
            if fd.ino == ino && fd.lease == Lease::Held {
                fd.lease = Lease::Breaking;
            }
        }
    }

    /// `F_SETLEASE F_WRLCK` by janitor `j`: refused while anybody else has it open for writing,
    /// which includes an opener that waits in open(2), but not one that has only looked up the name.
    pub(crate) fn open_elsewhere(&self, ino: Ino, j: usize) -> bool {
        self.starts.iter().any(|s| s.lock == ino && s.client != Client::Walked)
            || self
                .janitors
                .iter()
                .enumerate()
                .any(|(other, jan)| other != j && jan.fds.iter().any(|fd| fd.ino == ino))
    }

    /// Some process has this file open and has not come to wait for it in flock(2).
    pub(crate) fn opener_on_its_way(&self, ino: Ino) -> bool {
        self.starts
            .iter()
            .any(|s| s.lock == ino && !matches!(s.client, Client::Walked | Client::Blocked | Client::Wait))
    }

    /// A client has this file open, or waits in open(2) for it, and its label's lock name does not lead there.
    pub(crate) fn opened_by_a_lost_name(&self, ino: Ino) -> bool {
        self.starts
            .iter()
            .any(|s| s.lock == ino && s.client != Client::Walked && self.lock[usize::from(s.label)] != ino)
    }

    /// Some opener waits in flock(2): a `->` line of `/proc/locks`.
    pub(crate) fn waited_for(&self, ino: Ino) -> bool {
        self.starts.iter().any(|s| s.lock == ino && s.client == Client::Wait)
    }

    /// The same by another label's lock name.
    pub(crate) fn walked_to_before(&self, ino: Ino, label: u8) -> bool {
        self.starts.iter().any(|s| s.lock == ino && s.client == Client::Walked && s.label != label)
    }

    /// Some client has looked up this file's name and not yet met its lease.
    pub(crate) fn walked_to(&self, ino: Ino) -> bool {
        self.starts.iter().any(|s| s.lock == ino && s.client == Client::Walked)
    }
}
