//! What is proven of the process that holds a ghost's socket.

use super::Bar;
use super::holders::Holder;
use crate::process::{Process, Stat};
use crate::socket::file_id::{FileFacts, FileId};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

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
}

/// Whether a process that looks like a server is its child between fork and exec, which has its name,
/// program, handlers and descriptors: a pane that is being born. A server leads its session without
/// a terminal (daemon(3)), or in the foreground (`tmux -D`) its process group.
pub(super) fn is_unborn(pid: i32, stat: Stat) -> bool {
    stat.group != pid || (stat.session == pid && stat.terminal != 0)
}

/// Why a process must not be sent SIGUSR1, if so.
pub(super) fn bar(holder: &Holder, is_shared: bool) -> Option<Bar> {
    let process = &holder.process;
    if !holder.is_tmux || !runs_tmux(process) {
        return Some(Bar::NotTmux);
    }
    if !is_shared {
        return Some(Bar::Elsewhere);
    }
    if process.caught_signals().is_none_or(|signals| signals & SIGUSR1 == 0) {
        return Some(Bar::NotCatching);
    }
    if process.stat().is_none_or(|stat| stat.is_stopped() || stat.has_ended()) {
        return Some(Bar::Stopped);
    }
    None
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
            parent: 1,
            group,
            session,
            terminal,
            foreground: -1,
        };
        assert!(!is_unborn(7, stat(7, 7, 0)), "a daemon");
        assert!(!is_unborn(7, stat(7, 5, 34816)), "tmux -D in a shell");
        assert!(is_unborn(7, stat(5, 5, 0)), "forked");
        assert!(is_unborn(7, stat(7, 7, 34816)), "after login_tty(3)");
    }
}
