//! Live servers that are bound outside of the directories of a pass: with `tmux -S`, by a tmux that has its sockets somewhere
//! else, in another mount namespace.
//!
//! They are found as ghosts are: in the kernel's table and in `/proc`, without a connection. Unlike a ghost such a server has
//! its socket; nothing is wrong with it.

use super::area::Area;
use super::find::listener_of;
use super::holders::{Holder, Holders};
use super::proof::{self, OwnView};
use super::reach::{Listener, Reach, View};
use crate::judge::{Reason, State, Verdict};
use crate::kernel::Label;
use crate::kernel::{Bound, KernelTable, Mounts, Pid, Process, Processes, Role, SocketNumber, Uid};
use crate::report::{Entry, Folder, Outcome, Outside, Report};
use crate::tmux::paths::Rule;
use crate::witness::Witness;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// A live server that is bound outside of the directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outsider {
    /// The path that its socket was bound to.
    pub path: PathBuf,
    /// The number of its listening socket, as the kernel's table has it.
    pub socket: SocketNumber,
    /// The server.
    pub pid: Pid,
    /// How it can be reached.
    pub outside: Outside,
}

/// Finds the live servers of `user` that are bound outside of `area`, besides those that are known, in the order of
/// their paths. The table is taken as `witness` read it last.
pub fn find_outside(user: Uid, witness: &Witness, area: &Area, known: &Known) -> Vec<Outsider> {
    OutsiderSearch::new(user, area).map(|search| search.find(witness.table(), known)).unwrap_or_default()
}

/// Finds the live servers of `user` that are bound to this very path and cannot be reached there from here, besides
/// those that are known.
pub fn find_behind(user: Uid, witness: &Witness, path: &Path, known: &[Pid]) -> Vec<Outsider> {
    let Some(area) = Area::path(path) else {
        return Vec::new();
    };
    let known = Known { pids: known.iter().copied().collect(), sockets: HashSet::new() };
    let found = OutsiderSearch::new(user, &area).map(|search| search.find(witness.table(), &known));
    let is_there = |outsider: &Outsider| area.covers(&outsider.path, &mut area.settled());
    found.unwrap_or_default().into_iter().filter(is_there).collect()
}

/// Enters them.
pub fn enter_outside(report: &mut Report, user: Uid, found: Vec<Outsider>) {
    for Outsider { path, socket, pid, outside } in found {
        let folder = Folder::Other(path.parent().unwrap_or(Path::new("/")).to_owned());
        let Some(label) = path.file_name().and_then(Label::new) else { continue };
        let verdict = Verdict::new(State::Live, Reason::Listening);
        report.entries.push(Entry {
            server_pid: Some(pid),
            socket: Some(socket),
            outside: Some(outside),
            ..Entry::new(folder, label, user, verdict, Outcome::Kept)
        });
    }
}

/// What has been found already, and is not looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The servers' processes: what they hold is not looked at.
    pub pids: HashSet<Pid>,
    /// Their listening sockets.
    pub sockets: HashSet<SocketNumber>,
}

impl Known {
    /// What a report names.
    pub fn of(report: &Report) -> Self {
        Self {
            pids: report.entries.iter().filter_map(|entry| entry.server_pid).collect(),
            sockets: report.entries.iter().filter_map(|entry| entry.socket).collect(),
        }
    }
}

struct OutsiderSearch<'a> {
    user: Uid,
    area: &'a Area,
    processes: Processes,
    own: OwnView,
}

impl<'a> OutsiderSearch<'a> {
    fn new(user: Uid, area: &'a Area) -> Option<Self> {
        Some(Self { user, area, processes: Processes::open().ok()?, own: OwnView::new() })
    }

    fn find(&self, table: &KernelTable, known: &Known) -> Vec<Outsider> {
        let mut holders = Holders::servers_besides(&self.processes, self.user, &known.pids);
        let listening: Vec<Bound<'_>> = table
            .iter()
            .filter(|bound| bound.role == Role::Listening && bound.may_be_of(self.user))
            .filter(|bound| bound.name.file_name().is_some() && !known.sockets.contains(&bound.socket))
            .filter(|bound| holders.is_held_by_tmux(bound.socket))
            .collect();
        let mut of_each: BTreeMap<i32, Vec<&Bound<'_>>> = BTreeMap::new();
        for bound in &listening {
            if let Some(holder) = holders.of(bound.socket).filter(|holder| is_server(holder, bound.socket)) {
                of_each.entry(holder.process.pid.raw()).or_default().push(bound);
            }
        }
        let doubtful = of_each.values().filter(|sockets| sockets.len() > 1).flatten();
        let doubtful: HashSet<SocketNumber> = doubtful.map(|bound| bound.socket).collect();
        if !doubtful.is_empty() {
            holders.add_others(&self.processes, self.user, &doubtful);
        }
        let mut view = View::ours(self.area.directories(), self.area.mounts.clone());
        let mut found: Vec<Outsider> = of_each
            .into_values()
            .filter_map(|sockets| self.own_of(&holders, sockets))
            .filter_map(|bound| self.look(table, &mut view, holders.of(bound.socket)?, bound))
            .collect();
        found.sort_by(|a, b| (&a.path, a.pid, a.socket).cmp(&(&b.path, b.pid, b.socket)));
        found
    }

    /// Which of the listening sockets that a server holds is its own: a server has one, and others were inherited from
    /// whoever started it, who as a rule holds them still. It makes its own when it has those.
    fn own_of<'b, 't>(&self, holders: &Holders, sockets: Vec<&'b Bound<'t>>) -> Option<&'b Bound<'t>> {
        let likelihood = |bound: &&Bound<'_>| {
            let is_usual = bound.name.parent().is_some_and(|dir| Rule::of(dir, self.user) == Rule::Tmux);
            (is_usual, !holders.is_held_by_another(bound.socket), bound.socket)
        };
        sockets.into_iter().max_by_key(likelihood)
    }

    /// How a server can be reached. `None`: it is in the area, or a ghost, or its path cannot be told.
    fn look(
        &self,
        table: &KernelTable,
        view: &mut View,
        holder: &Holder,
        bound: &Bound<'_>,
    ) -> Option<Outsider> {
        let process = &holder.process;
        let mut listener = listener_of(bound);
        let is_shared = self.own.is_shared_with(process);
        if !listener.path.is_absolute() {
            // `tmux -S ./x`: it is told by the server's directory, where the file proves it.
            let dir = process.directory()?;
            listener.path = dir.join(bound.name.strip_prefix(".").unwrap_or(bound.name));
            if view.finds(table, &listener) != Some(true) {
                return None;
            }
        }
        let outside = if is_shared {
            if view.reach(table, &listener) != Reach::There {
                return None;
            }
            match view.stands(table, &listener) {
                Reach::Gone(_) => Outside::Renamed,
                Reach::There if view.is_barred(&listener.path) => Outside::Untold,
                Reach::There => Outside::Reached,
            }
        } else {
            self.look_behind(table, view, process, &listener)
        };
        if outside == Outside::Reached && self.area.covers(&listener.path, &mut self.area.settled()) {
            return None;
        }
        Some(Outsider { path: listener.path, socket: listener.socket, pid: process.pid, outside })
    }

    /// How one that sees other files than we do can be reached.
    fn look_behind(
        &self,
        table: &KernelTable,
        view: &View,
        process: &Process,
        listener: &Listener,
    ) -> Outside {
        let here = view.finds(table, listener);
        if here == Some(true) {
            return Outside::Reached;
        }
        let (Some(root), Some(mounts)) = (process.root(), process.mounts()) else {
            return Outside::Unproven;
        };
        // The same mount in both namespaces, which may not answer: it is not looked at.
        if here.is_none() && is_same_place(&self.area.mounts, &mounts, &listener.path) {
            return Outside::Reached;
        }
        match View::behind(root, mounts).finds(table, listener) {
            Some(true) => Outside::Behind(self.own.entrance(process)),
            Some(false) | None => Outside::Unproven,
        }
    }
}

/// Whether a path lies on the same file system and at the same place of it in both lists, by its text.
fn is_same_place(ours: &Mounts, theirs: &Mounts, path: &Path) -> bool {
    theirs.place(path).is_some() && theirs.place(path) == ours.place(path)
}

/// Whether a process is proven to be a tmux server that holds the socket, and no pane before its exec.
fn is_server(holder: &Holder, socket: SocketNumber) -> bool {
    let process = &holder.process;
    holder.is_tmux
        && proof::is_tmux(process)
        && !process.has_ended()
        && proof::has_servers_place(process)
        && process.holds(socket)
}
