//! Who holds which listening socket.

use crate::kernel::Mounts;
use crate::kernel::Pid;
use crate::kernel::{Process, Processes};
use crate::kernel::{SocketNumber, Uid};
use std::collections::HashSet;
use std::path::Path;

/// A process and the numbers of the sockets it holds.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) process: Process,
    pub(super) sockets: Vec<SocketNumber>,
    pub(super) is_tmux: bool,
}

/// Whose a socket may be that nobody is seen to hold, where servers hide theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hiding {
    /// That of a server that sees the same files as we do.
    Ours,
    /// That of one which sees other files: nothing is wrong with it.
    Others,
    /// There are servers of both kinds, and nothing tells them apart.
    Doubtful,
}

/// The user's tmux servers, and others as they are asked for.
#[derive(Debug, Default)]
pub(super) struct Holders {
    known: Vec<Holder>,
    /// The servers that do not show their sockets to us.
    hidden: Vec<Process>,
}

impl Holders {
    /// The tmux servers of `user` with their sockets.
    pub(super) fn servers(processes: &Processes, user: Uid) -> Self {
        Self::servers_besides(processes, user, &HashSet::new())
    }

    /// The same without those that are known.
    pub(super) fn servers_besides(processes: &Processes, user: Uid, known: &HashSet<Pid>) -> Self {
        let mut holders = Self::default();
        let Ok(servers) = processes.tmux_servers(user) else {
            return holders;
        };
        for process in servers.filter(|process| !known.contains(&process.pid)) {
            match process.sockets() {
                Ok(sockets) if sockets.is_empty() => {}
                Ok(sockets) => holders.known.push(Holder { process, sockets, is_tmux: true }),
                Err(_) if process.has_ended() => {}
                Err(_) => holders.hidden.push(process),
            }
        }
        holders
    }

    /// Adds whoever else of `user` holds one of `sockets`.
    pub(super) fn add_others(&mut self, processes: &Processes, user: Uid, sockets: &HashSet<SocketNumber>) {
        let Ok(others) = processes.of_user(user) else {
            return;
        };
        for process in others.filter(|process| !process.is_tmux_server()) {
            let held = process.sockets().unwrap_or_default();
            if held.iter().any(|number| sockets.contains(number)) {
                self.known.push(Holder { process, sockets: held, is_tmux: false });
            }
        }
    }

    /// Whether some server does not show its sockets.
    pub(super) fn hide_something(&self) -> bool {
        !self.hidden.is_empty()
    }

    /// Whether a socket that was bound in a directory, on that device, is that of a server that hides its sockets from
    /// us and sees `ours` there. With `PrivateTmp=` a server lives well behind the same path, in files of its own,
    /// which may be on the same device.
    pub(super) fn may_hide(&self, dir: &Path, device: u32, ours: &Mounts) -> Hiding {
        let here = ours.place(dir);
        let (mut same, mut others) = (false, false);
        for process in &self.hidden {
            match process.mounts().and_then(|theirs| theirs.place(dir)) {
                None => (same, others) = (true, true),
                there if there == here => same = true,
                Some((their_device, _)) => others |= their_device == device,
            }
        }
        match (same, others) {
            (true, false) => Hiding::Ours,
            (true, true) => Hiding::Doubtful,
            (false, _) => Hiding::Others,
        }
    }

    /// Whether a tmux server holds a socket.
    pub(super) fn is_held_by_tmux(&self, socket: SocketNumber) -> bool {
        self.known.iter().any(|holder| holder.is_tmux && holder.sockets.contains(&socket))
    }

    /// Whether somebody else than a tmux server is known to hold a socket.
    pub(super) fn is_held_by_another(&self, socket: SocketNumber) -> bool {
        self.known.iter().any(|holder| !holder.is_tmux && holder.sockets.contains(&socket))
    }

    /// The server of a socket: a tmux server before others, and a parent before its child, which
    /// has its parent's descriptors and name until exec.
    pub(super) fn of(&self, socket: SocketNumber) -> Option<&Holder> {
        let all: Vec<&Holder> = self.known.iter().filter(|holder| holder.sockets.contains(&socket)).collect();
        let is_child = |holder: &Holder| {
            holder.process.stat().is_some_and(|stat| all.iter().any(|other| other.process.pid == stat.parent))
        };
        let pick =
            |is_tmux: bool| all.iter().copied().find(|holder| holder.is_tmux == is_tmux && !is_child(holder));
        pick(true).or_else(|| pick(false)).or_else(|| all.first().copied())
    }
}
