//! Who listens, and when they end: each server's process, found without connecting to it, and its
//! pidfd.
//!
//! From the number of the listening socket (the kernel's table) to the process that holds it
//! (`/proc/PID/fd`), to a pidfd, and back: the process must hold the socket still, else the pid was
//! used again in between.

use super::schedule::Name;
use super::sources::{Ending, Sources, has_ended};
use crate::process::Processes;
use crate::socket::kernel_table::{Bound, KernelTable};
use crate::socket::wire::Role;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Descriptors that are left for everything else: looking into directories, taking locks.
const RESERVE: usize = 40;

/// A descriptor limit beyond this is as good as none.
const ENOUGH: rlim_t = 1 << 20;

/// What is counted on where the limit cannot be read: systemd's and the kernel's default (`INR_OPEN_CUR`).
const USUAL: rlim_t = 1024;

/// Why a server's death will be noticed by the rescan only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Untied {
    /// No process that can be seen from here holds its socket.
    NoProcess,
    /// No descriptor is left.
    NoDescriptor,
    /// `pidfd_open(2)` failed.
    NoPidfd(Errno),
}

/// What is known of who holds a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tie {
    /// The process.
    pub pid: Option<i32>,
    /// Why its end is not waited for, if so.
    pub untied: Option<Untied>,
    /// Its end was not waited for before, on behalf of this name.
    pub is_new: bool,
}

#[derive(Debug)]
struct Watched {
    ending: Ending,
    names: BTreeSet<Name>,
}

/// The servers' processes.
#[derive(Debug)]
pub struct Deaths {
    user: u32,
    processes: Option<Processes>,
    watched: HashMap<i32, Watched>,
    /// Names of processes that had ended when their pid was found used again.
    ended: Vec<Name>,
    most: usize,
}

impl Deaths {
    /// Nobody yet. Raises the limit of open files as far as it may be raised: a pidfd per server.
    pub fn new(user: u32) -> Self {
        Self {
            user,
            processes: Processes::open().ok(),
            watched: HashMap::new(),
            ended: Vec::new(),
            most: usize::try_from(open_files()).unwrap_or(usize::MAX).saturating_sub(RESERVE),
        }
    }

    /// Finds out who holds these sockets, and waits for their ends.
    pub fn tie(&mut self, sources: &mut Sources, sockets: &HashMap<u32, Name>) -> HashMap<u32, Tie> {
        let wanted: HashSet<u32> = sockets.keys().copied().collect();
        self.reopen();
        let unlikely = |pid: i32| self.watched.contains_key(&pid);
        let holders = match &self.processes {
            Some(processes) => processes.holders_besides(self.user, &wanted, unlikely),
            None => HashMap::new(),
        };
        let mut ties = HashMap::with_capacity(sockets.len());
        for (socket, name) in sockets {
            let tie = match holders.get(socket) {
                None => Tie { pid: None, untied: Some(Untied::NoProcess), is_new: false },
                Some(pid) => match self.watch(sources, *pid, *socket, name) {
                    Ok(is_new) => Tie { pid: Some(*pid), untied: None, is_new },
                    Err(why @ Untied::NoProcess) => Tie { pid: None, untied: Some(why), is_new: false },
                    Err(why) => Tie { pid: Some(*pid), untied: Some(why), is_new: false },
                },
            };
            ties.insert(*socket, tie);
        }
        ties
    }

    /// Looks for `/proc` again, where it could not be opened: a daemon may have begun while no descriptor was left.
    fn reopen(&mut self) {
        if self.processes.is_none() {
            self.processes = Processes::open().ok();
        }
    }

    /// Whether that is new.
    fn watch(&mut self, sources: &mut Sources, pid: i32, socket: u32, name: &Name) -> Result<bool, Untied> {
        if let Some(watched) = self.watched.get_mut(&pid) {
            if !has_ended(&watched.ending) {
                return Ok(watched.names.insert(name.clone()));
            }
            // Another process than the one we knew by this number.
            self.ended.extend(self.watched.remove(&pid).map(|old| old.names).unwrap_or_default());
        }
        if self.watched.len() >= self.most {
            return Err(Untied::NoDescriptor);
        }
        let number = Pid::from_raw(pid).ok_or(Untied::NoProcess)?;
        let pidfd = pidfd_open(number, PidfdFlags::empty()).map_err(|errno| match errno {
            Errno::SRCH => Untied::NoProcess,
            Errno::MFILE | Errno::NFILE => Untied::NoDescriptor,
            other => Untied::NoPidfd(other),
        })?;
        if !self.holds(pid, socket) {
            return Err(Untied::NoProcess);
        }
        let ending = sources
            .add_process(pidfd, pid)
            .map_err(|error| Untied::NoPidfd(Errno::from_io_error(&error).unwrap_or(Errno::INVAL)))?;
        self.watched.insert(pid, Watched { ending, names: BTreeSet::from([name.clone()]) });
        Ok(true)
    }

    /// Whether a process holds a socket now.
    pub fn holds(&self, pid: i32, socket: u32) -> bool {
        let process = self.processes.as_ref().and_then(|processes| processes.by_pid(pid));
        process.is_some_and(|process| process.holds(socket))
    }

    /// The number of the socket with which a process listens at a name, be it a file that is gone: SIGUSR1
    /// has tmux make its socket anew before it closes the one it had (server.c: `server_signal`).
    pub fn listens_anew(&self, pid: i32, table: &KernelTable, name: &Name) -> Option<u32> {
        let process = self.processes.as_ref()?.by_pid(pid)?;
        let held = process.sockets().ok()?;
        let mut listening = table.iter().filter(|bound| bound.role == Role::Listening);
        let is_its = |bound: &Bound| {
            bound.name.file_name() == Some(name.1.as_os_str()) && held.contains(&bound.socket)
        };
        listening.find(is_its).map(|bound| bound.socket)
    }

    /// Whether the end of a process is waited for, on behalf of a name.
    pub fn is_watching(&self, pid: i32, name: &Name) -> bool {
        self.watched.get(&pid).is_some_and(|watched| watched.names.contains(name))
    }

    /// Whether a process that serves a name has not ended.
    pub fn is_alive(&self, pid: i32, name: &Name) -> bool {
        self.watched
            .get(&pid)
            .is_some_and(|watched| watched.names.contains(name) && !has_ended(&watched.ending))
    }

    /// A process is said to have ended: the names it served. Nothing is waited for any more.
    pub fn take(&mut self, pid: i32) -> BTreeSet<Name> {
        if self.watched.get(&pid).is_some_and(|watched| has_ended(&watched.ending)) {
            self.watched.remove(&pid).map(|watched| watched.names).unwrap_or_default()
        } else {
            BTreeSet::new()
        }
    }

    /// Whether there is something in [`Self::take_ended`].
    pub fn have_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// The names of processes whose ends were noticed by the way.
    pub fn take_ended(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.ended)
    }

    /// A process does not serve a name any more.
    pub fn forget(&mut self, pid: i32, name: &Name) {
        if let Some(watched) = self.watched.get_mut(&pid) {
            watched.names.remove(name);
            if watched.names.is_empty() {
                self.watched.remove(&pid);
            }
        }
    }
}

/// How many descriptors may be open, raised as far as it may be. A filter of system calls may forbid to
/// ask (`SystemCallFilter=~@resources`); rustix would panic then.
fn open_files() -> rlim_t {
    let Ok((current, most)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return USUAL;
    };
    if setrlimit(Resource::RLIMIT_NOFILE, most, most).is_ok() {
        most.min(ENOUGH)
    } else {
        current.min(ENOUGH)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    #[test]
    fn proc_is_looked_for_again() {
        let mut deaths = Deaths::new(rustix::process::getuid().as_raw());
        deaths.processes = None;
        assert!(!deaths.holds(1, 0));
        deaths.reopen();
        assert!(deaths.processes.is_some());
    }

    /// Between the search and `pidfd_open(2)` a pid can be used again: only who holds the socket still is waited for.
    #[test]
    fn a_process_that_does_not_hold_the_socket_is_not_waited_for() {
        let runtime = crate::watch::sources::runtime().unwrap();
        runtime.block_on(async {
            let mut sources = Sources::open(&[]).unwrap();
            let mut deaths = Deaths::new(rustix::process::getuid().as_raw());
            let me = rustix::process::getpid().as_raw_nonzero().get();
            let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
            let number = u32::try_from(rustix::fs::fstat(&socket).unwrap().st_ino).unwrap();
            let (one, other) = ((0, "one".into()), (0, "other".into()));
            assert_eq!(deaths.watch(&mut sources, me, number, &one), Ok(true));
            drop(socket);
            let mut deaths = Deaths::new(rustix::process::getuid().as_raw());
            assert_eq!(deaths.watch(&mut sources, me, number, &other), Err(Untied::NoProcess));
            assert!(!deaths.is_watching(me, &other));
        });
    }
}
