//! What is proven of the process that holds a ghost's socket.

use super::folder::may_write;
use super::holders::Holder;
use crate::judge::{Bar, Way};
use crate::kernel::Pid;
use crate::kernel::lack::heeded;
use crate::kernel::{FileFacts, FileId};
use crate::kernel::{Process, Stat};
use crate::report::Entrance;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The bit of SIGUSR1 in `SigCgt`.
const SIGUSR1: u64 = 1 << (libc::SIGUSR1 - 1);

/// Our own view of the file system, to compare others with.
#[derive(Debug)]
pub(super) struct OwnView {
    namespace: Option<Vec<u8>>,
    root: Option<FileId>,
}

impl OwnView {
    pub(super) fn new() -> Self {
        Self {
            namespace: rustix::fs::readlink("/proc/self/ns/mnt", Vec::new())
                .ok()
                .map(std::ffi::CString::into_bytes),
            root: rustix::fs::stat("/").ok().map(|stat| FileFacts::from(stat).id),
        }
    }

    /// Whether a process is proven to see the same files under the same paths.
    pub(super) fn is_shared_with(&self, process: &Process) -> bool {
        let root = process.root().and_then(|root| FileFacts::of(root.as_fd()).ok());
        self.namespace.is_some()
            && self.namespace == process.mount_namespace()
            && self.root.is_some()
            && self.root == root.map(|facts| facts.id)
    }

    /// What has to be entered to see the files that a process sees. That its sockets could be read is the proof that its
    /// user namespace, where that is another one, may be entered: either needs every right in it (`ptrace(2)`,
    /// `PTRACE_MODE_READ_FSCREDS`; `user_namespaces(7)`).
    pub(super) fn entrance(&self, process: &Process) -> Entrance {
        let root = process.root().and_then(|root| FileFacts::of(root.as_fd()).ok());
        let own_user = rustix::fs::readlink("/proc/self/ns/user", Vec::new()).ok();
        let namespace = self.namespace.is_none() || self.namespace != process.mount_namespace();
        Entrance {
            namespace,
            // An unshared namespace has the same directory for its root.
            root: self.root.is_none() || self.root != root.map(|facts| facts.id),
            user: own_user.map(std::ffi::CString::into_bytes) != process.user_namespace(),
        }
    }
}

/// Whether a process that looks like a server is its child between fork and exec, which has its name,
/// program, handlers and descriptors: a pane that is being born.
///
/// tmux holds all signals back from before the fork until the child has its own handlers (spawn.c, job.c), which is
/// after `login_tty(3)`; the child's session is its own before its terminal is. So the signals are asked for first: whoever
/// holds none back by then has its terminal.
pub(super) fn is_unborn(process: &Process) -> bool {
    process.blocked_signals().is_none_or(|signals| signals & SIGUSR1 != 0)
        || process.stat().is_none_or(|stat| has_no_servers_place(process.pid, stat))
}

/// Whether a process has a server's place among sessions and terminals. Its child between fork and exec has none, but for the
/// moment between setsid(2) and its terminal: enough for who only tells of it, and not for who sends it a signal.
pub(super) fn has_servers_place(process: &Process) -> bool {
    process.stat().is_some_and(|stat| !has_no_servers_place(process.pid, stat))
}

/// A server leads its session without a terminal (daemon(3)), or in the foreground (`tmux -D`) its process group.
fn has_no_servers_place(pid: Pid, stat: Stat) -> bool {
    stat.group != pid.raw() || (stat.session == pid.raw() && stat.terminal != 0)
}

/// Why a process must not be sent SIGUSR1, if so. That it sees other files comes last: then a person may send
/// it, and is told so.
pub(super) fn bar(holder: &Holder, is_shared: bool, path: &Path) -> Option<Bar> {
    let process = &holder.process;
    if !holder.is_tmux || !is_tmux(process) {
        return Some(Bar::NotTmux);
    }
    if process.caught_signals().is_none_or(|signals| signals & SIGUSR1 == 0) {
        return Some(Bar::NotCatching);
    }
    if process.stat().is_none_or(|stat| stat.is_stopped() || stat.has_ended()) {
        return Some(Bar::Stopped);
    }
    (!is_shared).then(|| Bar::Elsewhere(way(process, path).unwrap_or(Way::None)))
}

/// How a process that sees other files can be given a socket at `path` of its own view. `None`: not at all.
fn way(process: &Process, path: &Path) -> Option<Way> {
    let root = process.root()?;
    let dir = open_in(&root, path.parent()?, OFlags::PATH | OFlags::DIRECTORY).ok()?;
    may_write(&dir).ok()?;
    let is_inside = rustix::process::geteuid().is_root() && would_run_us(process, &root);
    Some(if is_inside { Way::SignalOrInside } else { Way::Signal })
}

/// Whether `nsenter -t PID -m tmux-janitor` would start this very program: the command is looked up in our own PATH, in
/// the process's mount namespace.
fn would_run_us(process: &Process, root: &OwnedFd) -> bool {
    let own_namespace = rustix::fs::readlink("/proc/self/ns/mnt", Vec::new()).ok();
    let is_other_namespace = process.mount_namespace() != own_namespace.map(std::ffi::CString::into_bytes);
    let (Ok(own), Some(path)) = (rustix::fs::stat("/proc/self/exe"), std::env::var_os("PATH")) else {
        return false;
    };
    let found = std::env::split_paths(&path).find_map(|dir| {
        let file = open_in(root, &dir.join("tmux-janitor"), OFlags::PATH).ok()?;
        FileFacts::of(file.as_fd()).ok()
    });
    is_other_namespace && found.is_some_and(|found| found.id == FileFacts::from(own).id)
}

fn open_in(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    heeded(rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT))
}

/// Whether a process is a tmux server by its name and its program.
pub(super) fn is_tmux(process: &Process) -> bool {
    process.is_tmux_server() && runs_tmux(process)
}

/// Whether the program is a tmux: one that is called so (`tmux`, `tmux-3.5a`, `.tmux-wrapped`;
/// ` (deleted)` behind it after an upgrade).
fn runs_tmux(process: &Process) -> bool {
    let program = process.program();
    let name = program.as_deref().and_then(std::path::Path::file_name);
    name.is_some_and(|name| name.as_bytes().windows(4).any(|part| part == b"tmux"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pane_before_its_exec_is_no_server() {
        let stat = |group, session, terminal| Stat {
            state: b'S',
            parent: Pid::new(1),
            group,
            session,
            terminal,
            foreground: -1,
        };
        assert!(!has_no_servers_place(Pid::new(7), stat(7, 7, 0)), "a daemon");
        assert!(!has_no_servers_place(Pid::new(7), stat(7, 5, 34816)), "tmux -D in a shell");
        assert!(has_no_servers_place(Pid::new(7), stat(5, 5, 0)), "forked");
        assert!(has_no_servers_place(Pid::new(7), stat(7, 7, 34816)), "after login_tty(3)");
    }
}
