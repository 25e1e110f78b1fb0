//! Which processes of a user there are, and which sockets they hold, as `/proc` tells it.
//!
//! A command line proves nothing: the argv of a tmux server is whatever happened to start it.
//! Identity is ownership of the listening socket (`/proc/PID/fd`).

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// `comm` of a tmux server (server.c: `proc_start("server")`); its pane children bear it until exec.
const SERVER_COMM: &[u8] = b"tmux: server";

/// `/proc`, opened once.
#[derive(Debug)]
pub struct Processes {
    proc: OwnedFd,
}

/// One process: its directory in `/proc`, open, so that a pid used again is not mistaken for it.
#[derive(Debug)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    dir: OwnedFd,
}

impl Processes {
    /// Opens `/proc`.
    pub fn open() -> Result<Self, Errno> {
        open_dir(rustix::fs::CWD, "/proc").map(|proc| Self { proc })
    }

    /// The processes of `uid` that can be seen.
    pub fn of_user(&self, uid: u32) -> Result<impl Iterator<Item = Process> + '_, Errno> {
        let entries = rustix::fs::Dir::read_from(&self.proc)?;
        Ok(entries.filter_map(move |entry| {
            let entry = entry.ok()?;
            let pid = pid_of(entry.file_name())?;
            let stat = rustix::fs::statat(&self.proc, entry.file_name(), AtFlags::empty()).ok()?;
            if stat.st_uid != uid {
                return None;
            }
            let dir = open_dir(&self.proc, entry.file_name()).ok()?;
            (rustix::fs::fstat(&dir).ok()?.st_uid == uid).then_some(Process { pid, dir })
        }))
    }

    /// One process by its number, whoever owns it.
    pub fn by_pid(&self, pid: i32) -> Option<Process> {
        open_dir(&self.proc, pid.to_string()).ok().map(|dir| Process { pid, dir })
    }

    /// The tmux servers of `uid`.
    pub fn tmux_servers(&self, uid: u32) -> Result<impl Iterator<Item = Process> + '_, Errno> {
        Ok(self.of_user(uid)?.filter(Process::is_tmux_server))
    }

    /// Who holds the sockets that are asked for: socket number to pid. The search ends when all are
    /// found.
    pub fn holders(&self, uid: u32, sockets: &HashSet<u32>) -> HashMap<u32, i32> {
        let mut found = HashMap::new();
        let Ok(processes) = self.of_user(uid) else {
            return found;
        };
        // Servers first: they are what is looked for nearly always.
        let (servers, others): (Vec<_>, Vec<_>) = processes.partition(Process::is_tmux_server);
        for process in servers.into_iter().chain(others) {
            if found.len() == sockets.len() {
                break;
            }
            for number in process.sockets().unwrap_or_default() {
                if sockets.contains(&number) {
                    found.entry(number).or_insert(process.pid);
                }
            }
        }
        found
    }
}

impl Process {
    /// Whether its `comm` is that of a tmux server.
    pub fn is_tmux_server(&self) -> bool {
        self.comm().is_some_and(|comm| comm == SERVER_COMM)
    }

    /// Its `comm`: at most 15 bytes.
    pub fn comm(&self) -> Option<Vec<u8>> {
        let file =
            rustix::fs::openat(&self.dir, "comm", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut buffer = [0; 64];
        let length = rustix::io::read(&file, &mut buffer).ok()?;
        Some(buffer[..length].trim_ascii_end().to_vec())
    }

    /// The numbers of the sockets it holds. `EACCES`: not readable from here, as from a user
    /// namespace (`PrivateUsers=`).
    pub fn sockets(&self) -> Result<Vec<u32>, Errno> {
        let fds = open_dir(&self.dir, "fd")?;
        let mut sockets = Vec::new();
        for entry in rustix::fs::Dir::read_from(&fds)? {
            let Ok(entry) = entry else { continue };
            if entry.file_name().to_bytes().starts_with(b".") {
                continue;
            }
            match rustix::fs::readlinkat(&fds, entry.file_name(), Vec::new()) {
                Ok(target) => sockets.extend(socket_number(target.as_bytes())),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(sockets)
    }

    /// Its network namespace, as `/proc/PID/ns/net` names it. `None`: not readable from here.
    pub fn network_namespace(&self) -> Option<Vec<u8>> {
        rustix::fs::readlinkat(&self.dir, "ns/net", Vec::new()).ok().map(std::ffi::CString::into_bytes)
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

fn open_dir<P: rustix::path::Arg>(at: impl AsFd, name: P) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

fn pid_of(name: &CStr) -> Option<i32> {
    let name = name.to_str().ok()?;
    name.starts_with(|c: char| c.is_ascii_digit()).then(|| name.parse().ok())?
}

fn socket_number(link: &[u8]) -> Option<u32> {
    let number = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    OsStr::from_bytes(number).to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn a_sockets_holder_is_found_by_its_number() {
        let socket = UnixDatagram::unbound().unwrap();
        let number = u32::try_from(rustix::fs::fstat(&socket).unwrap().st_ino).unwrap();
        let me = rustix::process::getpid().as_raw_nonzero().get();
        let uid = rustix::process::getuid().as_raw();
        let found = Processes::open().unwrap().holders(uid, &HashSet::from([number]));
        assert_eq!(found.get(&number), Some(&me));
    }

    #[test]
    fn links_of_other_kinds_are_no_sockets() {
        assert_eq!(socket_number(b"socket:[12]"), Some(12));
        assert_eq!(socket_number(b"pipe:[12]"), None);
        assert_eq!(socket_number(b"socket:[x]"), None);
    }
}
