//! Whether the kernel's table can be believed here, and what it says of one inode.
//!
//! The table is per network namespace. In another one (`PrivateNetwork=`, a container beside a
//! shared `/tmp`) every live server is absent from it, and it looks sane all the same.

use super::elsewhere::{self, BoundElsewhere, Standpoint};
use super::listed::{listed, mounts_in};
use super::servers::Servers;
use crate::judge::{Blindness, TableSays};
use crate::kernel::Mounts;
use crate::kernel::Processes;
use crate::kernel::Uid;
use crate::kernel::lack;
use crate::kernel::{FileId, KernelTable, TableError, TableSource};
use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often, and how long apart, the table is asked again when it shows none of the running servers:
/// one that is just starting or ending is in `/proc` and not in the table.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// What was found of namespaces and running servers.
#[derive(Debug, Clone, Copy)]
enum NetworkSeen {
    NotLookedAt,
    /// `None`: nothing speaks against the table.
    Seen(Option<Blindness>),
}

/// The table with all that is needed to know how far to trust it.
#[derive(Debug)]
pub struct Witness {
    source: Result<TableSource, TableError>,
    table: KernelTable,
    failure: Option<Blindness>,
    surroundings: NetworkSeen,
    /// Whether our network namespace is proven to be the one that matters, also outside of a container.
    is_anchored: bool,
    /// As last looked at with the surroundings.
    elsewhere: Vec<BoundElsewhere>,
    /// As old as the table at most: what is asked for each of many sockets is read once.
    mounts: OnceCell<Arc<Mounts>>,
    user: Uid,
}

impl Witness {
    /// Opens the way to the table, for sockets of `user`. Failing is remembered, not fatal: without
    /// a table everything is unknown.
    pub fn new(user: Uid) -> Self {
        Self {
            source: TableSource::open(),
            table: KernelTable::default(),
            failure: Some(Blindness::TableTorn),
            surroundings: NetworkSeen::NotLookedAt,
            is_anchored: false,
            elsewhere: Vec::new(),
            mounts: OnceCell::new(),
            user,
        }
    }

    /// Reads the table anew. A way to it that could not be opened is tried again: a daemon may have begun
    /// while no descriptor was left.
    pub fn refresh(&mut self) {
        self.mounts.take();
        if self.source.is_err() {
            self.source = TableSource::open();
        }
        self.failure = match &mut self.source {
            Err(error) => Some(blindness(*error)),
            Ok(source) => match source.read(&mut self.table) {
                Err(error) => Some(blindness(error)),
                Ok(()) if !self.table.canary_shown() => Some(Blindness::CanaryMissing),
                Ok(()) => None,
            },
        };
    }

    /// Has the surroundings looked at again when they are needed next: a daemon outlives them.
    pub fn forget_surroundings(&mut self) {
        self.surroundings = NetworkSeen::NotLookedAt;
    }

    /// Whether the table could be read the last time.
    pub fn was_read(&self) -> bool {
        self.failure.is_none()
    }

    /// The table as last read; empty if it could not be.
    pub fn table(&self) -> &KernelTable {
        &self.table
    }

    /// Why the table must not be believed, if so. The surroundings (namespaces, running servers) are
    /// looked at once per witness, which may take `LOOKS` times `BETWEEN_LOOKS` and reads the table
    /// anew.
    pub fn blindness(&mut self) -> Option<Blindness> {
        if self.failure.is_none() && matches!(self.surroundings, NetworkSeen::NotLookedAt) {
            let (seen, lack) = lack::during(|| self.look_around());
            // What there was no descriptor for may speak against it.
            self.surroundings = NetworkSeen::Seen(seen.or(lack.map(Blindness::TableUnreadable)));
        }
        match (self.failure, self.surroundings) {
            (None, NetworkSeen::Seen(seen)) => seen,
            (failure, _) => failure,
        }
    }

    /// What the table says of a file in a directory. Of one that came from outside, absence says nothing.
    pub fn says_in(&mut self, dir: &Path, id: FileId) -> TableSays {
        match self.says(id) {
            TableSays::Absent => self.blindness_of(dir).map_or(TableSays::Absent, TableSays::Blind),
            says => says,
        }
    }

    /// Why the table must not be believed for what is in a directory, if so.
    pub fn blindness_in(&mut self, dir: &Path) -> Option<Blindness> {
        self.blindness().or_else(|| self.blindness_of(dir))
    }

    /// A directory that came from outside of a container, into a network namespace that is not proven to be the
    /// outside's.
    fn blindness_of(&self, dir: &Path) -> Option<Blindness> {
        let is_it = !self.is_anchored && mounts_in(&self.mounts).is_from_outside(dir);
        is_it.then_some(Blindness::FromOutside)
    }

    /// What the table says of a file.
    pub fn says(&mut self, id: FileId) -> TableSays {
        if let Some(listed) = self.lists(id) {
            return listed;
        }
        let blindness = self.blindness();
        // Looking around may have read the table anew.
        self.lists(id)
            .or_else(|| self.lists_elsewhere(id))
            .unwrap_or_else(|| blindness.map_or(TableSays::Absent, TableSays::Blind))
    }

    /// What speaks against the table although it shows our own canary.
    fn look_around(&mut self) -> Option<Blindness> {
        let processes = Processes::open().ok()?;
        let own = processes.own()?.network();
        let standpoint = elsewhere::standpoint(&processes, self.user, &own);
        let is_outer = match standpoint {
            Standpoint::Blind(why) => return Some(why),
            Standpoint::Outer | Standpoint::OuterHere => true,
            Standpoint::Unproven => false,
        };
        self.is_anchored = matches!(standpoint, Standpoint::Outer);
        let mut servers = Servers::look(&processes, &self.table, self.user, &own, is_outer);
        for _ in 1..LOOKS {
            if servers.missing.is_none() {
                break;
            }
            std::thread::sleep(BETWEEN_LOOKS);
            self.refresh();
            if self.failure.is_some() {
                return self.failure;
            }
            servers = Servers::look(&processes, &self.table, self.user, &own, is_outer);
        }
        self.elsewhere = servers.elsewhere;
        servers.missing.map(Blindness::ServersMissing)
    }

    /// What the table of another network namespace lists for a file, by the name that one of the user's servers there
    /// is bound to.
    fn lists_elsewhere(&self, id: FileId) -> Option<TableSays> {
        let mut bound = self.elsewhere.iter().filter(|bound| bound.file == id);
        bound.next().map(|bound| TableSays::Elsewhere { role: bound.role, pid: bound.pid })
    }

    /// What the table lists for a file, without judging the table.
    pub fn lists(&self, id: FileId) -> Option<TableSays> {
        listed(&self.table, self.user, id, &self.mounts)
    }
}

fn blindness(error: TableError) -> Blindness {
    match error {
        TableError::Call(errno) => Blindness::TableUnreadable(errno),
        TableError::Refused(errno) => Blindness::TableRefused(errno),
        TableError::Unusable => Blindness::TableTorn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_does_not_show_our_own_socket_is_not_believed() {
        let mut witness = Witness::new(Uid::ours());
        if let Ok(source) = &mut witness.source {
            source.lose_canary();
        }
        witness.refresh();
        assert!(!witness.was_read());
        assert_eq!(witness.blindness(), Some(Blindness::CanaryMissing));
    }

    #[test]
    fn before_it_is_read_the_table_says_nothing() {
        let user = Uid::ours();
        let mut witness = Witness::new(user);
        assert!(!witness.was_read());
        assert_eq!(witness.says(FileId { dev: 1, ino: 1 }), TableSays::Blind(Blindness::TableTorn));
        witness.refresh();
        assert!(witness.was_read());
    }
}
