//! Servers whose sockets stand at other names than those that they were told of at: renamed, or with a second name
//! (link(2)). A server is told of at one name, its home, from its birth to its end. Pure.

use super::Name;
use std::collections::HashMap;
use tmux_sockets::kernel::{Pid, SocketNumber};

/// By the sockets' numbers.
#[derive(Debug, Default)]
pub(super) struct Homes {
    at_home: HashMap<SocketNumber, Name>,
    /// The other name that was seen last.
    others: HashMap<SocketNumber, Name>,
    /// Where it was told to be, where that is not its home.
    told: HashMap<SocketNumber, Name>,
}

/// A server that is reached at another name than it was told to be at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::watch) struct Renamed {
    /// The name at which it was told of.
    pub(in crate::watch) home: Name,
    /// Where it is now.
    pub(in crate::watch) to: Name,
    /// Its process, where it is known.
    pub(in crate::watch) pid: Option<Pid>,
}

impl Homes {
    /// A server is told of at this name.
    pub(super) fn settle(&mut self, socket: SocketNumber, home: &Name) {
        self.at_home.entry(socket).or_insert_with(|| home.clone());
    }

    /// Nothing more is told of it.
    pub(super) fn forget(&mut self, socket: SocketNumber) {
        self.at_home.remove(&socket);
        self.others.remove(&socket);
        self.told.remove(&socket);
    }

    /// It has made its socket anew (SIGUSR1), at home.
    pub(super) fn renumber(&mut self, old: SocketNumber, new: SocketNumber) {
        if let Some(told) = self.told.remove(&old) {
            self.told.insert(new, told);
        }
    }

    /// The home of a socket that stands at a name, if that is another.
    pub(super) fn away_from(&self, socket: SocketNumber, name: &Name) -> Option<Name> {
        self.at_home.get(&socket).filter(|home| *home != name).cloned()
    }

    /// It stands at another name.
    pub(super) fn found(&mut self, socket: SocketNumber, name: &Name) {
        self.others.insert(socket, name.clone());
    }

    /// Whose socket was seen at a name that is not its home: its number, and that home.
    pub(super) fn visitor(&self, name: &Name) -> Option<(SocketNumber, Name)> {
        let (socket, _) = self.others.iter().find(|(_, other)| *other == name)?;
        Some((*socket, self.at_home.get(socket)?.clone()))
    }

    /// The other name of a socket.
    pub(super) fn other(&self, socket: SocketNumber) -> Option<&Name> {
        self.others.get(&socket)
    }

    /// No socket of these stands at a name any more. The homes of those that did.
    pub(super) fn left(&mut self, name: &Name) -> Vec<Name> {
        let is_it = |(_, other): &(&SocketNumber, &Name)| *other == name;
        let gone: Vec<SocketNumber> = self.others.iter().filter(is_it).map(|(socket, _)| *socket).collect();
        for socket in &gone {
            self.others.remove(socket);
        }
        gone.iter().filter_map(|socket| self.at_home.get(socket).cloned()).collect()
    }

    /// It is a ghost, and was told to be one: when it is reached again, it is at home unless something else is told.
    pub(super) fn lost(&mut self, socket: SocketNumber) {
        self.told.remove(&socket);
    }

    /// What is to be told of a server, whose file is at home or, if it is `away`, at another name.
    pub(super) fn tell(&mut self, socket: SocketNumber, pid: Option<Pid>, away: bool) -> Option<Renamed> {
        let home = self.at_home.get(&socket)?;
        let to = if away { self.others.get(&socket)? } else { home };
        if self.told.get(&socket).unwrap_or(home) == to {
            return None;
        }
        if to == home {
            self.told.remove(&socket);
        } else {
            self.told.insert(socket, to.clone());
        }
        Some(Renamed { home: home.clone(), to: to.clone(), pid })
    }
}
