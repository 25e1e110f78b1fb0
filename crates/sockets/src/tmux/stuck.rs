//! Start locks that somebody holds and does not let go of: whose they are, and why he does not.
//!
//! A start holds its lock for milliseconds. Whoever holds one and is stopped, traced or frozen keeps every start of that
//! label waiting, and every janitor away. `/proc/locks` has no times: of a holder that runs it is known only that he
//! held the same lock some seconds ago. In a PID namespace (a container) it leaves out a lock whose taker has ended, though
//! a child may hold it still (fs/locks.c: `locks_show`); `/proc/PID/fdinfo` of the child shows it.

use super::paths;
use super::start_lock::OWN_PREFIX;
use crate::kernel::FileId;
use crate::kernel::Label;
use crate::kernel::Pid;
use crate::kernel::Uid;
use crate::kernel::escape::escaped;
use crate::kernel::lack::{heeded, heeded_io};
use crate::kernel::{ProcLocks, held};
use crate::kernel::{Process, Processes, Stat};
use crate::tmux::SocketDir;
use rustix::fs::{FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How far apart a lock has to be seen twice: much longer than any start takes, on a busy machine too.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// How often it is looked at meanwhile: most are let go of at once.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// How many looks in a row have to miss a lock that was held before it counts as let go of.
const MOST_MISSED: u32 = 3;

/// Longer than any file in `/proc/PID/fdinfo` that holds a lock.
const MOST_FDINFO: usize = 4096;

/// A start lock that is held and not let go of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// The lock's path.
    pub path: PathBuf,
    /// What it keeps from starting, and who holds it.
    pub hold: Hold,
}

/// A label that cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which.
    pub label: Label,
    /// Who holds its start lock. `None`: nobody that can be seen from here.
    pub holder: Option<LockHolder>,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Its pid.
    pub pid: Pid,
    /// Its program's name (`comm`).
    pub program: OsString,
    /// Whether it can let go.
    pub state: HolderState,
}

/// What a lock's holder does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HolderState {
    /// Stopped by a signal.
    Stopped,
    /// Held by a debugger.
    Traced,
    /// In a cgroup that is frozen.
    Frozen,
    /// It runs, or waits for something.
    Running,
}

impl HolderState {
    fn of(stat: Option<Stat>, is_frozen: bool) -> Self {
        match stat.map(|stat| stat.state) {
            Some(b'T') => Self::Stopped,
            Some(b't') => Self::Traced,
            _ if is_frozen => Self::Frozen,
            _ => Self::Running,
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Traced => "traced",
            Self::Frozen => "frozen",
            Self::Running => "running",
        }
    }
}

/// The stuck locks of these directories. Takes hardly longer than [`PATIENCE`], and no time where none is held.
pub fn find(user: Uid, dirs: &[SocketDir]) -> Vec<Stuck> {
    let sight = Sight::now(user);
    let mut held = Vec::new();
    for dir in dirs.iter().filter(|dir| sight.may_see_any_on(dir.id().dev)) {
        let names = dir.names().unwrap_or_default();
        held.extend(names.iter().filter_map(|name| label_of(name)).map(|label| (dir, label)));
    }
    look_twice(user, &held, PATIENCE)
}

/// The same for one label. Without patience only a holder that cannot go on is told of.
pub fn of_label(user: Uid, dir: &SocketDir, label: &Label, patience: Duration) -> Option<Stuck> {
    look_twice(user, &[(dir, label.clone())], patience).pop()
}

/// The label whose start lock is called so. A lock of ours at rest locks nothing.
fn label_of(lock: &OsStr) -> Option<Label> {
    paths::socket_of_lock(lock).filter(|_| !lock.as_bytes().starts_with(OWN_PREFIX.as_bytes()))
}

/// A lock that is held by somebody who runs, so far.
struct SeenLock<'a> {
    dir: &'a SocketDir,
    label: &'a Label,
    file: FileId,
    holder: Option<LockHolder>,
    /// How many looks in a row did not find it.
    missed: u32,
}

fn look_twice(user: Uid, locks: &[(&SocketDir, Label)], patience: Duration) -> Vec<Stuck> {
    let begun = Instant::now();
    let (mut stuck, mut seen) = (Vec::new(), Vec::new());
    let sight = Sight::now(user);
    for (dir, label) in locks {
        if let Some(found) = SeenLock::now(&sight, dir, label) {
            if found.cannot_go_on() { stuck.push(found.stuck()) } else { seen.push(found) }
        }
    }
    while !patience.is_zero() && !seen.is_empty() {
        std::thread::sleep(BETWEEN_LOOKS);
        let sight = Sight::now(user);
        let is_over = begun.elapsed() >= patience;
        seen.retain_mut(|before| match SeenLock::now(&sight, before.dir, before.label) {
            Some(now) if now.cannot_go_on() || (is_over && now.is_same(before)) => {
                stuck.push(now.stuck());
                false
            }
            Some(now) => {
                before.missed = 0;
                now.is_same(before) && !is_over
            }
            None => {
                before.missed += 1;
                before.missed < MOST_MISSED
            }
        });
    }
    stuck
}

impl<'a> SeenLock<'a> {
    /// A lock that is held now.
    fn now(sight: &Sight, dir: &'a SocketDir, label: &'a Label) -> Option<Self> {
        let facts =
            dir.look(&paths::lock_name(label)).ok().filter(|facts| facts.kind == FileType::RegularFile)?;
        let holder = sight.holder_of(facts.id);
        (holder.is_some() || sight.table.is_held(facts.id)).then_some(Self {
            dir,
            label,
            file: facts.id,
            holder,
            missed: 0,
        })
    }

    fn cannot_go_on(&self) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.state != HolderState::Running)
    }

    fn is_same(&self, before: &Self) -> bool {
        let is_other = match (&self.holder, &before.holder) {
            (Some(now), Some(before)) => now.pid != before.pid,
            // The holder was not seen.
            _ => false,
        };
        self.file == before.file && !is_other
    }

    fn stuck(&self) -> Stuck {
        Stuck {
            path: self.dir.path_of(&paths::lock_name(self.label)),
            hold: Hold { label: self.label.clone(), holder: self.holder.clone() },
        }
    }
}

/// What is seen of locks at one moment.
struct Sight {
    user: Uid,
    table: ProcLocks,
    /// Whether the table has every lock that a process which is seen from here holds.
    is_whole: bool,
    /// The locks that the user's processes hold, where the table is not to be relied on.
    held: OnceCell<HashMap<FileId, Pid>>,
}

impl Sight {
    fn now(user: Uid) -> Self {
        let is_whole = Processes::show_all_locks();
        Self { user, table: ProcLocks::read_twice(), is_whole, held: OnceCell::new() }
    }

    fn may_see_any_on(&self, dev: u64) -> bool {
        !self.is_whole || self.table.has_any_on(dev)
    }

    /// Who holds a lock. The table names who took it: a client that has ended since, where its server has it now.
    fn holder_of(&self, file: FileId) -> Option<LockHolder> {
        let is_listed = self.table.is_held(file);
        if !is_listed && self.is_whole {
            return None;
        }
        let processes = Processes::open().ok()?;
        let named = self.table.holders(file).filter_map(|pid| processes.by_pid(pid));
        let process = named.into_iter().find(|process| holds(process, file)).or_else(|| {
            let held = self.held.get_or_init(|| held_by(&processes, self.user));
            held.get(&file).and_then(|pid| processes.by_pid(*pid))
        })?;
        let cgroup = read(&process, "cgroup").unwrap_or_default();
        Some(LockHolder {
            pid: process.pid,
            program: OsString::from_vec(process.comm()?),
            state: HolderState::of(process.stat(), is_frozen(&String::from_utf8_lossy(&cgroup))),
        })
    }
}

/// The locks that a user's processes hold, each with one of them.
fn held_by(processes: &Processes, user: Uid) -> HashMap<FileId, Pid> {
    let all = processes.of_user(user).into_iter().flatten();
    all.flat_map(|process| locks_of(&process).into_iter().map(move |file| (file, process.pid))).collect()
}

fn holds(process: &Process, file: FileId) -> bool {
    locks_of(process).contains(&file)
}

/// The files that a process has open with a lock on them (`lock:` in `/proc/PID/fdinfo/N`, proc(5)).
fn locks_of(process: &Process) -> Vec<FileId> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = heeded(rustix::fs::openat(process.as_fd(), "fdinfo", flags, Mode::empty())) else {
        return Vec::new();
    };
    let Ok(entries) = heeded(rustix::fs::Dir::read_from(&folder)) else {
        return Vec::new();
    };
    let of_entry = |name: &OsStr| -> Vec<FileId> {
        let text = read(&folder, name).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let locks = text.lines().filter_map(|line| line.strip_prefix("lock:"));
        locks.filter_map(held).map(|(_, file)| file).collect()
    };
    entries.flatten().flat_map(|entry| of_entry(OsStr::from_bytes(entry.file_name().to_bytes()))).collect()
}

fn read(folder: &impl AsFd, name: impl rustix::path::Arg) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = heeded(rustix::fs::openat(folder, name, flags, Mode::empty())).ok()?;
    let mut text = vec![0; MOST_FDINFO];
    let length = rustix::io::read(&file, &mut text).ok()?;
    text.truncate(length);
    Some(text)
}

/// Whether a process with this `/proc/PID/cgroup` is in a frozen cgroup (cgroups(7)).
fn is_frozen(cgroup: &str) -> bool {
    freezers(cgroup).iter().any(|(path, word)| {
        heeded_io(std::fs::read_to_string(path)).is_ok_and(|text| text.lines().any(|line| line == *word))
    })
}

/// The files that tell whether a cgroup is frozen, and the line that says so.
fn freezers(cgroup: &str) -> Vec<(String, &'static str)> {
    let of_line = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        Some(if controllers.is_empty() {
            ["", "/unified"]
                .map(|at| (format!("/sys/fs/cgroup{at}{path}/cgroup.events"), "frozen 1"))
                .to_vec()
        } else if controllers.split(',').any(|controller| controller == "freezer") {
            vec![(format!("/sys/fs/cgroup/freezer{path}/freezer.state"), "FROZEN")]
        } else {
            Vec::new()
        })
    };
    cgroup.lines().filter_map(of_line).flatten().collect()
}

impl Display for LockHolder {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} ({}, {})", self.pid, escaped(&self.program), self.state.word())
    }
}

impl Display for Hold {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let label = escaped(&self.label);
        match &self.holder {
            Some(holder) => write!(f, "the start lock is held by {holder}")?,
            None => f.write_str("the start lock is held by a process that cannot be seen from here")?,
        }
        match &self.holder {
            Some(LockHolder { state: HolderState::Running, .. }) | None => {
                write!(f, " and was not released in {} s", PATIENCE.as_secs())?;
            }
            Some(_) => {}
        }
        write!(f, "; until that lets go, no server starts on \"{label}\" and nothing is removed there")?;
        match &self.holder {
            Some(LockHolder { pid, state: HolderState::Stopped, .. }) => {
                write!(f, "; `kill -CONT {pid}` lets it go on")
            }
            Some(LockHolder { state: HolderState::Traced, .. }) => {
                f.write_str("; its debugger has to let it go on")
            }
            Some(LockHolder { state: HolderState::Frozen, .. }) => {
                f.write_str("; its unit or container has to be thawed")
            }
            Some(LockHolder { pid, state: HolderState::Running, .. }) => {
                write!(f, "; see what it does (`ps -fp {pid}`), and end it if it is of no use")
            }
            None => f.write_str("; look for it as root, and in the containers that share this directory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_go_on_is_told_from_who_runs() {
        let stat = |state| {
            Some(Stat { state, parent: Pid::new(1), group: 1, session: 1, terminal: 0, foreground: -1 })
        };
        assert_eq!(HolderState::of(stat(b'T'), false), HolderState::Stopped);
        assert_eq!(HolderState::of(stat(b't'), false), HolderState::Traced);
        assert_eq!(HolderState::of(stat(b'S'), true), HolderState::Frozen);
        for state in [b'S', b'D', b'R', b'Z'] {
            assert_eq!(HolderState::of(stat(state), false), HolderState::Running);
        }
        assert_eq!(HolderState::of(None, false), HolderState::Running);
    }

    #[test]
    fn the_freezer_is_looked_for_where_it_is() {
        let both = "9:devices,freezer:/a\n1:name=systemd:/a\n0::/b\n";
        let paths: Vec<_> = freezers(both).into_iter().map(|(path, _)| path).collect();
        let expected = [
            "/sys/fs/cgroup/freezer/a/freezer.state",
            "/sys/fs/cgroup/b/cgroup.events",
            "/sys/fs/cgroup/unified/b/cgroup.events",
        ];
        assert_eq!(paths, expected);
        assert!(freezers("1:name=systemd:/a\ngarbage\n").is_empty());
    }
}
