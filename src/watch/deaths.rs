//! Who listens, and when they end: each server's process, found without connecting to it, and its
//! pidfd.
//!
//! From the number of the listening socket (the kernel's table) to the process that holds it
//! (`/proc/PID/fd`), to a pidfd, and back: the process must hold the socket still, else the pid was
//! used again in between.

use super::causes::EndedProcess;
use super::engine::Name;
use super::readiness::Descriptor;
use crate::host::descriptors;
use crate::host::memory::{Groups, Kills};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::{self, Display, Formatter};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::text::errno_text;
use tmux_sockets::kernel::{
    Bound, KernelTable, PidFd, PidFdInfo, Process, Processes, Role, SocketNumber, Uid, ends_within,
};
use tokio::io::Interest;
use tokio::task::{AbortHandle, JoinSet};

/// Descriptors that are left for everything else: looking into directories, taking locks.
const RESERVE: usize = 40;

/// Why a server's death will be noticed by the rescan only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Untied {
    /// No process that can be seen from here holds its socket.
    Unseen,
    /// No descriptor is left.
    TooMany,
    /// `pidfd_open(2)` failed.
    Refused(Errno),
}

impl Display for Untied {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unseen => f.write_str(
                "its process cannot be found from here (another pid namespace, or PrivateUsers= in a unit)",
            ),
            Self::TooMany => f.write_str("no file descriptor is left (`ulimit -H -n`, LimitNOFILE=)"),
            Self::Refused(errno) => write!(f, "pidfd_open(2) failed: {}", errno_text(*errno)),
        }
    }
}

/// What is known of who holds a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tie {
    /// The process.
    pub(super) pid: Option<Pid>,
    /// Why its end is not waited for, if so.
    pub(super) untied: Option<Untied>,
    /// Its end was not waited for before, on behalf of this name.
    pub(super) is_new: bool,
}

/// One process. Its end is waited for as long as this is kept.
#[derive(Debug)]
struct WatchedServer {
    pidfd: Arc<Descriptor>,
    waits: AbortHandle,
    started: Option<SystemTime>,
    served: BTreeSet<Served>,
    /// What its control groups had counted when it was last looked at.
    kills: Option<Kills>,
}

/// On whose behalf the end of a process is waited for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Served {
    /// A name in a directory.
    Name(Name),
    /// A path that is in none: of each process one.
    Elsewhere,
}

impl From<&Name> for Served {
    fn from(name: &Name) -> Self {
        Self::Name(name.clone())
    }
}

/// A process that has ended, and what it served until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Death {
    /// What.
    pub(super) served: Served,
    /// The process.
    pub(super) pid: Pid,
}

/// The servers' processes.
#[derive(Debug)]
pub(super) struct Deaths {
    user: Uid,
    processes: Option<Processes>,
    groups: Groups,
    watched: HashMap<Pid, WatchedServer>,
    /// The processes that have ended, as their pidfds tell.
    ends: JoinSet<Pid>,
    /// What has ended and was not asked for yet.
    untaken: Vec<Death>,
    /// The processes that have ended, by what they served, until that is told.
    ended: BTreeMap<(Pid, Served), EndedProcess>,
    most: usize,
}

impl Deaths {
    /// Nobody yet. Raises the limit of open files as far as it may be raised: a pidfd per server.
    pub(super) fn new(user: Uid) -> Self {
        Self {
            user,
            processes: Processes::open().ok(),
            groups: Groups::of_this_machine(),
            watched: HashMap::new(),
            ends: JoinSet::new(),
            untaken: Vec::new(),
            ended: BTreeMap::new(),
            most: descriptors::raise().saturating_sub(RESERVE),
        }
    }

    /// Finds out who holds these sockets, and waits for their ends.
    pub(super) fn tie(&mut self, sockets: &HashMap<SocketNumber, Name>) -> HashMap<SocketNumber, Tie> {
        let wanted: HashSet<SocketNumber> = sockets.keys().copied().collect();
        self.reopen();
        let unlikely = |pid: Pid| self.watched.contains_key(&pid);
        let holders = match &self.processes {
            Some(processes) => processes.holders_besides(self.user, &wanted, unlikely),
            None => HashMap::new(),
        };
        let mut ties = HashMap::with_capacity(sockets.len());
        for (socket, name) in sockets {
            let tie = match holders.get(socket) {
                None => Tie { pid: None, untied: Some(Untied::Unseen), is_new: false },
                Some(pid) => match self.watch(*pid, *socket, name.into()) {
                    Ok(is_new) => Tie { pid: Some(*pid), untied: None, is_new },
                    Err(why @ Untied::Unseen) => Tie { pid: None, untied: Some(why), is_new: false },
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

    /// Waits for the end of a process that holds a socket. Whether that is new.
    pub(super) fn watch(&mut self, pid: Pid, socket: SocketNumber, served: Served) -> Result<bool, Untied> {
        if let Some(watched) = self.watched.get_mut(&pid) {
            if !has_ended(&watched.pidfd) {
                return Ok(watched.served.insert(served));
            }
            // Another process than the one we knew by this number.
            self.bury(pid);
        }
        if self.watched.len() + self.ended.len() >= self.most {
            // To notice a death is worth more than to know its cause.
            self.forget_ended();
        }
        if self.watched.len() >= self.most {
            return Err(Untied::TooMany);
        }
        let pidfd = PidFd::open(pid).map_err(|errno| match errno {
            Errno::SRCH => Untied::Unseen,
            Errno::MFILE | Errno::NFILE => Untied::TooMany,
            other => Untied::Refused(other),
        })?;
        let process = self.process(pid).filter(|process| process.holds(socket)).ok_or(Untied::Unseen)?;
        let watched = self
            .wait_for(pidfd, &process, served)
            .map_err(|error| Untied::Refused(Errno::from_io_error(&error).unwrap_or(Errno::INVAL)))?;
        self.watched.insert(pid, watched);
        Ok(true)
    }

    /// Begins to wait for the end of a process.
    fn wait_for(&mut self, pidfd: PidFd, process: &Process, served: Served) -> io::Result<WatchedServer> {
        let pidfd = Arc::new(Descriptor::new(pidfd.into(), Interest::READABLE)?);
        let (waiting, pid, started) = (Arc::clone(&pidfd), process.pid, process.started());
        let waits = self.ends.spawn(async move {
            while let Ok(mut told) = waiting.readable().await {
                // A pidfd that cannot be asked would be readable for ever: it is no longer waited for, either.
                if ends_within(waiting.get_ref(), Duration::ZERO) != Ok(false) {
                    break;
                }
                told.clear_ready();
            }
            pid
        });
        let group = PidFdInfo::of(pidfd.get_ref()).ok().and_then(|info| info.cgroup);
        let kills = group.and_then(|group| self.groups.kills(pid, group));
        Ok(WatchedServer { pidfd, waits, started, served: BTreeSet::from([served]), kills })
    }

    /// Ready when there is something in [`Self::take`].
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(Some(end)) = self.ends.poll_join_next(cx) {
            // Aborted waits end here, too: only what has really ended is buried.
            if let Ok(pid) = end {
                if self.watched.get(&pid).is_some_and(|watched| has_ended(&watched.pidfd)) {
                    self.bury(pid);
                }
            }
        }
        if self.untaken.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// What processes have served that have ended since this was last asked. Nothing of them is waited for any more.
    pub(super) fn take(&mut self) -> Vec<Death> {
        std::mem::take(&mut self.untaken)
    }

    fn bury(&mut self, pid: Pid) {
        let Some(mut watched) = self.watched.remove(&pid) else { return };
        let ended = EndedProcess::new(Arc::clone(&watched.pidfd), watched.kills.as_ref());
        for served in std::mem::take(&mut watched.served) {
            self.ended.insert((pid, served.clone()), ended.clone());
            self.untaken.push(Death { served, pid });
        }
    }

    /// Whether a process holds a socket now.
    pub(super) fn holds(&self, pid: Pid, socket: SocketNumber) -> bool {
        self.process(pid).is_some_and(|process| process.holds(socket))
    }

    /// When the process was started that holds a socket. `None`: that is not known, or another process has its number.
    pub(super) fn started(&self, pid: Pid, socket: SocketNumber) -> Option<SystemTime> {
        if let Some(watched) = self.watched.get(&pid) {
            return watched.started;
        }
        self.process(pid).filter(|process| process.holds(socket))?.started()
    }

    fn process(&self, pid: Pid) -> Option<Process> {
        self.processes.as_ref()?.by_pid(pid)
    }

    /// The number of the socket with which a process listens at a name, be it a file that is gone: SIGUSR1
    /// has tmux make its socket anew before it closes the one it had (server.c: `server_signal`).
    pub(super) fn listens_anew(&self, pid: Pid, table: &KernelTable, name: &Name) -> Option<SocketNumber> {
        let process = self.process(pid)?;
        let held = process.sockets().ok()?;
        let mut listening = table.iter().filter(|bound| bound.role == Role::Listening);
        let is_its = |bound: &Bound| {
            bound.name.file_name() == Some(name.label.as_os_str()) && held.contains(&bound.socket)
        };
        listening.find(is_its).map(|bound| bound.socket)
    }

    /// Whether the end of a process is waited for, on behalf of a name.
    pub(super) fn is_watching(&self, pid: Pid, name: &Name) -> bool {
        self.watched.get(&pid).is_some_and(|watched| watched.served.contains(&name.into()))
    }

    /// A process is looked at: from now on is counted who is killed for lack of memory.
    pub(super) fn count_kills(&mut self, pid: Pid) {
        let Some(watched) = self.watched.get_mut(&pid) else { return };
        if !has_ended(&watched.pidfd) {
            if let Some(kills) = &mut watched.kills {
                kills.count();
            }
        }
    }

    /// Whether a process that serves a name has not ended.
    pub(super) fn is_alive(&self, pid: Pid, name: &Name) -> bool {
        self.watched
            .get(&pid)
            .is_some_and(|watched| watched.served.contains(&name.into()) && !has_ended(&watched.pidfd))
    }

    /// The processes whose ends are waited for.
    pub(super) fn pids(&self) -> impl Iterator<Item = Pid> {
        self.watched.keys().copied()
    }

    /// A process does not serve that any more. The process, if its end was or would have been noticed.
    pub(super) fn let_go(&mut self, pid: Pid, served: Served) -> Option<EndedProcess> {
        let key = (pid, served);
        let ended = self.ended.remove(&key);
        if ended.is_some() {
            return ended;
        }
        let watched = self.watched.get_mut(&pid)?;
        let is_its = watched.served.remove(&key.1);
        let ended = EndedProcess::new(Arc::clone(&watched.pidfd), None);
        if watched.served.is_empty() {
            self.watched.remove(&pid);
        }
        is_its.then_some(ended)
    }

    /// Of those that have ended and of which nothing was told since, nothing will be. Such a one is rare: another process
    /// has its socket.
    pub(super) fn forget_ended(&mut self) {
        self.ended.clear();
    }
}

impl Drop for WatchedServer {
    fn drop(&mut self) {
        self.waits.abort();
    }
}

/// Whether the process of a pidfd has ended.
fn has_ended(pidfd: &Descriptor) -> bool {
    ends_within(pidfd.get_ref(), Duration::ZERO) == Ok(true)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use crate::watch::engine::Dir;
    use std::future::poll_fn;
    use std::os::fd::OwnedFd;
    use tmux_sockets::kernel::Label;

    #[test]
    fn proc_is_looked_for_again() {
        let mut deaths = Deaths::new(Uid::ours());
        deaths.processes = None;
        assert!(!deaths.holds(Pid::new(1), SocketNumber::new(0)));
        deaths.reopen();
        assert!(deaths.processes.is_some());
    }

    /// Between the search and `pidfd_open(2)` a pid can be used again: only who holds the socket still is waited for.
    #[test]
    fn a_process_that_does_not_hold_the_socket_is_not_waited_for() {
        let runtime = crate::watch::event_loop::runtime().unwrap();
        runtime.block_on(async {
            let mut deaths = Deaths::new(Uid::ours());
            let me = rustix::process::getpid().as_raw_nonzero().get();
            let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
            let number = u32::try_from(rustix::fs::fstat(&socket).unwrap().st_ino).unwrap();
            let [one, other] =
                ["one", "other"].map(|label| Name { dir: Dir(0), label: Label::new(label).unwrap() });
            assert_eq!(deaths.watch(Pid::new(me), SocketNumber::new(number), (&one).into()), Ok(true));
            drop(socket);
            let mut deaths = Deaths::new(Uid::ours());
            assert_eq!(
                deaths.watch(Pid::new(me), SocketNumber::new(number), (&other).into()),
                Err(Untied::Unseen)
            );
            assert!(!deaths.is_watching(Pid::new(me), &other));
        });
    }

    #[test]
    fn a_death_is_handed_over_once_with_name_and_process() {
        let runtime = crate::watch::event_loop::runtime().unwrap();
        runtime.block_on(async {
            let mut deaths = Deaths::new(Uid::ours());
            let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
            let number = u32::try_from(rustix::fs::fstat(&socket).unwrap().st_ino).unwrap();
            let holder = std::process::Stdio::from(OwnedFd::from(socket));
            let mut holder = std::process::Command::new("sleep").arg("3600").stdin(holder).spawn().unwrap();
            let pid = i32::try_from(holder.id()).unwrap();
            let name = Name { dir: Dir(0), label: Label::new("x").unwrap() };
            assert_eq!(deaths.watch(Pid::new(pid), SocketNumber::new(number), (&name).into()), Ok(true));
            assert_eq!(
                deaths.watch(Pid::new(pid), SocketNumber::new(number), (&name).into()),
                Ok(false),
                "it is waited for"
            );
            let asked = poll_fn(|cx| Poll::Ready(deaths.poll(cx))).await;
            assert!(asked.is_pending() && deaths.is_alive(Pid::new(pid), &name));
            holder.kill().unwrap();
            poll_fn(|cx| deaths.poll(cx)).await;
            assert_eq!(deaths.take(), [Death { served: (&name).into(), pid: Pid::new(pid) }]);
            assert!(!deaths.is_watching(Pid::new(pid), &name) && deaths.take().is_empty());
            holder.wait().unwrap();
        });
    }
}
