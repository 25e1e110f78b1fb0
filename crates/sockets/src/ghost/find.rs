//! Finding ghosts: from the kernel's table and `/proc`, touching nothing.

use super::area::Settled;
use super::folder::{self, FolderTrouble};
use super::holders::{Hiding, Holder, Holders};
use super::proof::{self, OwnView};
use super::reach::{Listener, Reach, View};
use super::{Anew, Area, Found, Ghost};
use crate::judge::{Bar, Plight, Standing, Way};
use crate::kernel::FileId;
use crate::kernel::Pid;
use crate::kernel::Role;
use crate::kernel::lack;
use crate::kernel::{Bound, KernelTable};
use crate::kernel::{Processes, Stat};
use crate::kernel::{SocketNumber, Uid};
use crate::tmux::paths::Rule;
use crate::witness::Witness;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// Finds the ghosts of `user` in `scope`, in the order of their paths.
///
/// The table as `witness` read it last is the first look. Only if that shows something is it read
/// again for the second, and `/proc` searched. What is doubtful is no ghost: a server that is just
/// ending, one that makes its socket anew at this moment, one that sees other files than we do.
pub fn find(user: Uid, witness: &mut Witness, area: &Area) -> Found {
    let (mut found, lack) = lack::during(|| search(user, witness, area));
    if lack.is_some() {
        // That no process holds it is said of nothing where not all could be looked at.
        found.doubtful.clear();
        found.ghosts.retain(|ghost| ghost.pid.is_some());
    }
    Found { lack, ..found }
}

fn search(user: Uid, witness: &mut Witness, area: &Area) -> Found {
    let Ok(processes) = Processes::open() else {
        return Found::default();
    };
    let search = GhostSearch { user, area, processes: &processes, own: OwnView::new() };
    let suspects = search.first_look(witness.table());
    if suspects.is_empty() {
        return Found::default();
    }
    witness.refresh();
    let mut found = search.second_look(witness.table(), &suspects);
    for _ in 0..MORE_LOOKS {
        if !found.ghosts.iter().any(|ghost| is_at_work(&processes, ghost)) {
            break;
        }
        std::thread::yield_now();
        witness.refresh();
        found = search.second_look(witness.table(), &suspects);
    }
    // One whose process is not seen may have ended between the table and `/proc`, or be making its socket anew.
    for _ in 0..LOOKS_AT_NOBODY {
        let is_unseen = |ghost: &Ghost| ghost.plight.bar == Some(Bar::Unseen);
        if found.doubtful.is_empty() && !found.ghosts.iter().any(is_unseen) {
            break;
        }
        std::thread::sleep(BETWEEN_LOOKS);
        witness.refresh();
        found = search.second_look(witness.table(), &suspects);
    }
    found
}

/// What a listener is that cannot be reached.
enum Judged {
    Ghost(Ghost),
    /// It is one, or sees other files.
    Doubtful,
}

/// How often, and how long apart, a listener that nobody is seen to hold is looked at again.
const LOOKS_AT_NOBODY: u32 = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// How often a server that is at work is looked at again: it may be between two sockets.
const MORE_LOOKS: u32 = 20;

/// Whether a ghost's process runs at this moment, or waits for a processor. One that has no socket for
/// good sleeps in poll(2) nearly always; one that makes its socket anew does not.
fn is_at_work(processes: &Processes, ghost: &Ghost) -> bool {
    let process = ghost.pid.and_then(|pid| processes.by_pid(pid));
    process.and_then(|process| process.stat()).is_some_and(|stat| matches!(stat.state, b'R' | b'D'))
}

struct GhostSearch<'a> {
    user: Uid,
    area: &'a Area,
    processes: &'a Processes,
    own: OwnView,
}

/// A listener that seems to be a ghost's.
struct Suspect {
    listener: Listener,
    /// Whether the path is in a place of the area, not only some tmux server's.
    is_placed: bool,
}

impl GhostSearch<'_> {
    fn first_look(&self, table: &KernelTable) -> Vec<Suspect> {
        let mut view = View::ours(self.area.directories(), self.area.mounts.clone());
        let is_wide = self.area.is_wide();
        let mut suspects: Vec<Suspect> = listeners(table)
            .filter(|bound| bound.may_be_of(self.user) && self.area.names(bound.name))
            .map(|bound| Suspect { listener: listener_of(&bound), is_placed: true })
            .filter(|suspect| {
                // With many listeners one reading of the directory settles nearly all.
                let is_seen = is_wide && view.is_seen_beside(&suspect.listener);
                !is_seen && view.reach(table, &suspect.listener) != Reach::There
            })
            .collect();
        // Paths that lead to the places by other names, or anywhere if they are tmux servers'.
        let servers = self.area.anywhere.then(|| Holders::servers(self.processes, self.user));
        let mut settled = self.area.settled();
        for bound in listeners(table) {
            // What a stranger made is no socket of the user's, and its name is his: nothing of it is looked up.
            if !bound.may_be_of(self.user) {
                continue;
            }
            let is_candidate = servers
                .as_ref()
                .map_or_else(|| self.area.may_hold(&bound), |servers| servers.is_held_by_tmux(bound.socket));
            if !is_candidate || self.area.names(bound.name) {
                continue;
            }
            let is_placed = self.area.covers(bound.name, &mut settled);
            let listener = listener_of(&bound);
            if (is_placed || self.area.anywhere) && view.reach(table, &listener) != Reach::There {
                suspects.push(Suspect { listener, is_placed });
            }
        }
        suspects
    }

    fn second_look(&self, table: &KernelTable, suspects: &[Suspect]) -> Found {
        let mut holders = Holders::servers(self.processes, self.user);
        let unclaimed: HashSet<SocketNumber> = suspects
            .iter()
            .map(|suspect| suspect.listener.socket)
            .filter(|socket| !holders.is_held_by_tmux(*socket))
            .collect();
        if !unclaimed.is_empty() {
            holders.add_others(self.processes, self.user, &unclaimed);
        }
        let is_listed = |suspect: &&Suspect| {
            listeners(table)
                .any(|bound| bound.socket == suspect.listener.socket && bound.name == suspect.listener.path)
        };
        let mut view = View::ours(self.area.directories(), self.area.mounts.clone());
        let (mut ghosts, mut doubtful) = (Vec::new(), Vec::new());
        for suspect in suspects.iter().filter(is_listed) {
            let Reach::Gone(standing) = view.reach(table, &suspect.listener) else {
                continue;
            };
            match self.judge(table, &holders, &mut view, suspect, standing) {
                Some(Judged::Ghost(ghost)) => ghosts.push((ghost, suspect.is_placed)),
                Some(Judged::Doubtful) => doubtful.push(suspect.listener.path.clone()),
                None => {}
            }
        }
        doubtful.sort();
        doubtful.dedup();
        // A server has one path: of several sockets, the others were inherited from its starter.
        ghosts.sort_by(|(a, a_placed), (b, b_placed)| {
            (a.pid, b_placed, b.socket).cmp(&(b.pid, a_placed, a.socket))
        });
        ghosts.dedup_by(|(later, _), (first, _)| later.pid.is_some() && later.pid == first.pid);
        let mut ghosts: Vec<Ghost> = ghosts.into_iter().map(|(ghost, _)| ghost).collect();
        ghosts.sort_by(|a, b| (&a.path, a.pid, a.socket).cmp(&(&b.path, b.pid, b.socket)));
        forbid_choosing(&mut ghosts, self.area.settled());
        Found { ghosts, doubtful, lack: None }
    }

    /// What a listener that cannot be reached is. `None`: no ghost.
    fn judge(
        &self,
        table: &KernelTable,
        holders: &Holders,
        view: &mut View,
        suspect: &Suspect,
        standing: Standing,
    ) -> Option<Judged> {
        let Suspect { listener, is_placed } = suspect;
        let standing = self.name_the_living(table, holders, &listener.path, standing);
        let Some(holder) = holders.of(listener.socket) else {
            let dir = self.area.settled().of(listener.path.parent()?).0.clone();
            if !*is_placed || !self.is_on_device(&dir, listener) {
                return None;
            }
            return self.hidden(table, holders, &dir, listener, standing);
        };
        let process = &holder.process;
        if process.stat().is_none_or(Stat::has_ended)
            || (holder.is_tmux && proof::is_unborn(process))
            || !process.sockets().is_ok_and(|sockets| sockets.contains(&listener.socket))
            || self.has_another(table, view, holder, suspect)
        {
            return None;
        }
        let is_shared = self.own.is_shared_with(process);
        if !is_shared {
            let mut theirs = View::behind(process.root()?, process.mounts()?);
            let is_same_place = match (view.directory_id(&listener.path), theirs.directory_id(&listener.path))
            {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => false,
            };
            if !is_same_place || theirs.reach(table, listener) == Reach::There {
                return None;
            }
        }
        let bar = proof::bar(holder, is_shared, &listener.path).or(match standing {
            _ if self.is_ambiguous(table, holder, listener) => Some(Bar::Ambiguous),
            Standing::Live(pid) => {
                let newer = pid.and_then(|pid| self.processes.by_pid(pid));
                Some(Bar::Held { pid, yields: newer.is_some_and(|newer| proof::is_tmux(&newer)) })
            }
            Standing::Other(kind) => Some(Bar::Occupied(kind)),
            Standing::Nothing | Standing::NoDirectory | Standing::Socket => None,
        });
        let mut ghost = ghost(listener, Some(process.pid), standing, bar);
        if bar.is_none() {
            if let Some(FolderTrouble::Failure(failure)) = folder::trouble(&ghost, self.user, Anew::Parents) {
                ghost.plight.bar = Some(Bar::Directory(failure));
            }
        }
        Some(Judged::Ghost(ghost))
    }

    /// What a listener is that nobody is seen to hold. `None`: no ghost.
    fn hidden(
        &self,
        table: &KernelTable,
        holders: &Holders,
        dir: &Path,
        listener: &Listener,
        standing: Standing,
    ) -> Option<Judged> {
        let barred = |bar| Some(Judged::Ghost(ghost(listener, None, standing, Some(bar))));
        if holders.hide_something() {
            return match holders.may_hide(dir, listener.dev, &self.area.mounts) {
                Hiding::Ours => barred(Bar::Hidden),
                Hiding::Doubtful => Some(Judged::Doubtful),
                Hiding::Others => None,
            };
        }
        let is_bound_anew =
            table.iter().any(|bound| bound.role == Role::Bound && bound.name == listener.path);
        // A socket that any visible process holds is no invisible server's.
        if is_bound_anew || self.processes.is_held(listener.socket) {
            return None;
        }
        barred(Bar::Unseen)
    }

    /// Whether a listener's file lies on the file system that a directory, links resolved, shows here: then it is no
    /// other mount namespace's directory of the same name. The list of mounts has the devices of the kernel's table,
    /// on every file system.
    fn is_on_device(&self, dir: &Path, listener: &Listener) -> bool {
        self.area.mounts.place(dir).is_none_or(|(device, _)| device == listener.dev)
    }

    /// Whether the holder listens elsewhere and is reached there: then this socket was inherited from
    /// whoever started it, or is the one it gives up while it makes its socket anew.
    fn has_another(&self, table: &KernelTable, view: &mut View, holder: &Holder, suspect: &Suspect) -> bool {
        let mut settled = self.area.settled();
        let is_bound_anew = table.iter().any(|bound| {
            bound.role == Role::Bound
                && bound.name == suspect.listener.path
                && holder.process.sockets().is_ok_and(|sockets| sockets.contains(&bound.socket))
        });
        is_bound_anew
            || holder.is_tmux
                && listeners(table)
                    .filter(|bound| bound.socket != suspect.listener.socket)
                    .filter(|bound| holder.sockets.contains(&bound.socket))
                    .filter(|bound| !suspect.is_placed || self.area.covers(bound.name, &mut settled))
                    .any(|bound| view.reach(table, &listener_of(&bound)) == Reach::There)
    }

    /// Whether the holder has another listening socket that might as well be its own. What lies in
    /// a `tmux-UID` is no starter's: tmux closes its descriptors before it runs anything.
    fn is_ambiguous(&self, table: &KernelTable, holder: &Holder, listener: &Listener) -> bool {
        let dir = listener.path.parent();
        let is_tmux_dir = dir.is_some_and(|dir| Rule::of(dir, self.user) == Rule::Tmux);
        listeners(table)
            .filter(|bound| bound.socket != listener.socket && bound.name != listener.path)
            .filter(|bound| holder.sockets.contains(&bound.socket))
            .any(|bound| !is_tmux_dir || bound.name.parent() == listener.path.parent())
    }

    /// Adds the pid of the server that stands at a ghost's path.
    fn name_the_living(
        &self,
        table: &KernelTable,
        holders: &Holders,
        path: &Path,
        standing: Standing,
    ) -> Standing {
        let Standing::Live(_) = standing else {
            return standing;
        };
        let id = Some(path)
            .filter(|path| self.area.mounts.lets_look_at(path))
            .and_then(|path| rustix::fs::stat(path).ok())
            .map(|stat| crate::kernel::FileFacts::from(stat).id);
        let socket = id.and_then(|id: FileId| {
            table
                .with_inode_of(id)
                .find(|bound| bound.role == Role::Listening && bound.dev == id.kernel_dev())
                .map(|bound| bound.socket)
        });
        let known = socket.and_then(|socket| holders.of(socket)).map(|holder| holder.process.pid);
        Standing::Live(known.or_else(|| {
            let wanted = HashSet::from([socket?]);
            self.processes.holders(self.user, &wanted).into_values().next()
        }))
    }
}

fn ghost(listener: &Listener, pid: Option<Pid>, standing: Standing, bar: Option<Bar>) -> Ghost {
    let plight = Plight { pid, standing, bar };
    Ghost { path: listener.path.clone(), socket: listener.socket, pid, plight }
}

/// Several ghosts of one path: none is to be chosen for the person.
fn forbid_choosing(ghosts: &mut [Ghost], mut settled: Settled) {
    let mut place = |ghost: &Ghost| {
        let dir = ghost.path.parent().map(|dir| settled.of(dir).0.clone());
        (dir, ghost.path.file_name().map(std::ffi::OsStr::to_owned))
    };
    let places: Vec<_> = ghosts.iter().map(&mut place).collect();
    for (ghost, own) in ghosts.iter_mut().zip(&places) {
        let rivals = places.iter().filter(|place| *place == own).count();
        // Rescuing one, by us or by hand, would take the path from the other.
        if rivals > 1
            && matches!(ghost.plight.bar, None | Some(Bar::Elsewhere(Way::Signal | Way::SignalOrInside)))
        {
            ghost.plight.bar = Some(Bar::Rivals(u32::try_from(rivals).unwrap_or(u32::MAX)));
        }
        if rivals > 1 {
            if let Some(Bar::Held { yields, .. }) = &mut ghost.plight.bar {
                *yields = false;
            }
        }
    }
}

/// The table's listeners whose bound path is absolute and names something.
fn listeners(table: &KernelTable) -> impl Iterator<Item = Bound<'_>> {
    table.iter().filter(|bound| {
        bound.role == Role::Listening && bound.name.is_absolute() && bound.name.file_name().is_some()
    })
}

pub(super) fn listener_of(bound: &Bound<'_>) -> Listener {
    Listener { socket: bound.socket, ino: bound.ino, dev: bound.dev, path: bound.name.to_owned() }
}
