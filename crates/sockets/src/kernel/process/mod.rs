//! Which processes of a user there are, and which sockets they hold, as `/proc` tells it.
//!
//! A command line proves nothing: the argv of a tmux server is whatever happened to start it.
//! Identity is ownership of the listening socket (`/proc/PID/fd`).

mod family;
mod network;
mod started;
mod stat;

pub use family::Families;
pub use network::{Network, UserManager, is_in_first_network};
pub use stat::Stat;

use crate::kernel::Pid;
use crate::kernel::lack::heeded;
use crate::kernel::{FileFacts, FileId};
use crate::kernel::{SocketNumber, Uid};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// `comm` of a tmux server (server.c: `proc_start("server")`); its pane children bear it until exec.
const SERVER_COMM: &[u8] = b"tmux: server";

/// Most of what is read of one file of `/proc`, in bytes: a million mounts or sockets.
const MOST: usize = 128 << 20;

/// `/proc`, opened once.
#[derive(Debug)]
pub struct Processes {
    proc: OwnedFd,
}

/// One process: its directory in `/proc`, open, so that a pid used again is not mistaken for it.
#[derive(Debug)]
pub struct Process {
    /// Its number.
    pub pid: Pid,
    dir: OwnedFd,
}

impl Processes {
    /// Opens `/proc`.
    pub fn open() -> Result<Self, Errno> {
        open_dir(rustix::fs::CWD, "/proc").map(|proc| Self { proc })
    }

    /// Whether `/proc/locks` has every lock of the processes that can be seen: it has in the first PID namespace
    /// (`PROC_PID_INIT_INO` of the kernel's `proc_ns.h`).
    pub(crate) fn show_all_locks() -> bool {
        const FIRST: &str = "pid:[4026531836]";
        std::fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == FIRST)
    }

    /// The processes of `uid` that can be seen.
    pub fn of_user(&self, uid: Uid) -> Result<impl Iterator<Item = Process> + '_, Errno> {
        let entries = heeded(rustix::fs::Dir::read_from(&self.proc))?;
        Ok(entries.filter_map(move |entry| {
            let entry = entry.ok()?;
            let pid = pid_of(entry.file_name())?;
            let stat = rustix::fs::statat(&self.proc, entry.file_name(), AtFlags::empty()).ok()?;
            if stat.st_uid != uid.raw() {
                return None;
            }
            let dir = open_dir(&self.proc, entry.file_name()).ok()?;
            (rustix::fs::fstat(&dir).ok()?.st_uid == uid.raw()).then_some(Process { pid, dir })
        }))
    }

    /// One process by its number, whoever owns it.
    pub fn by_pid(&self, pid: Pid) -> Option<Process> {
        open_dir(&self.proc, pid.to_string()).ok().map(|dir| Process { pid, dir })
    }

    /// This process.
    pub fn own(&self) -> Option<Process> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        // The number is that of the namespace that /proc was mounted in, which need not be ours.
        open_dir(&self.proc, "self").ok().map(|dir| Process { pid: Pid::new(pid), dir })
    }

    /// The tmux servers of `uid`. Every process of the machine is asked for its name first, which is
    /// cheaper than its owner.
    pub fn tmux_servers(&self, uid: Uid) -> Result<impl Iterator<Item = Process> + '_, Errno> {
        Ok(self.all_tmux_servers()?.filter(move |process| process.is_of(uid) && process.is_tmux_server()))
    }

    /// Whoever is called as a tmux server is, whoever owns it.
    pub fn all_tmux_servers(&self) -> Result<impl Iterator<Item = Process> + '_, Errno> {
        let entries = heeded(rustix::fs::Dir::read_from(&self.proc))?;
        let mut path = Vec::new();
        Ok(entries.filter_map(move |entry| {
            let entry = entry.ok()?;
            let pid = pid_of(entry.file_name())?;
            path.clear();
            path.extend_from_slice(entry.file_name().to_bytes());
            path.extend_from_slice(b"/comm");
            if comm_at(&self.proc, OsStr::from_bytes(&path))? != SERVER_COMM {
                return None;
            }
            let dir = open_dir(&self.proc, entry.file_name()).ok()?;
            Some(Process { pid, dir })
        }))
    }

    /// Whether any process that can be seen, whoever owns it, is seen to hold a socket.
    pub fn is_held(&self, socket: SocketNumber) -> bool {
        let Ok(entries) = heeded(rustix::fs::Dir::read_from(&self.proc)) else {
            return false;
        };
        let pids = entries.filter_map(|entry| pid_of(entry.ok()?.file_name()));
        pids.filter_map(|pid| self.by_pid(pid)).any(|process| process.holds(socket))
    }

    /// Who holds the sockets that are asked for: socket number to pid. The search ends when all are
    /// found.
    pub fn holders(&self, uid: Uid, sockets: &HashSet<SocketNumber>) -> HashMap<SocketNumber, Pid> {
        self.holders_besides(uid, sockets, |_| false)
    }

    /// As [`Self::holders`], with the processes that are `unlikely` to be the ones asked last. At no
    /// time is more than one of them held open: descriptors may be scarce.
    pub fn holders_besides(
        &self,
        uid: Uid,
        sockets: &HashSet<SocketNumber>,
        unlikely: impl Fn(Pid) -> bool,
    ) -> HashMap<SocketNumber, Pid> {
        let mut found = HashMap::new();
        let Ok(processes) = self.of_user(uid) else {
            return found;
        };
        // Servers first: they are what is looked for nearly always.
        let (mut others, mut last) = (Vec::new(), Vec::new());
        for process in processes {
            if unlikely(process.pid) {
                last.push(process.pid);
            } else if !process.is_tmux_server() {
                others.push(process.pid);
            } else if note_holder(&process, sockets, &mut found) {
                return found;
            }
        }
        for pid in others.into_iter().chain(last) {
            let process = self.by_pid(pid).filter(|process| process.is_of(uid));
            if process.is_some_and(|process| note_holder(&process, sockets, &mut found)) {
                break;
            }
        }
        found
    }
}

/// Enters which of the sockets a process holds. Whether all are found.
fn note_holder(
    process: &Process,
    sockets: &HashSet<SocketNumber>,
    found: &mut HashMap<SocketNumber, Pid>,
) -> bool {
    for number in process.sockets().unwrap_or_default() {
        if sockets.contains(&number) {
            found.entry(number).or_insert(process.pid);
        }
    }
    found.len() == sockets.len()
}

impl Process {
    /// Whom it belongs to.
    pub fn owner(&self) -> Option<Uid> {
        rustix::fs::fstat(&self.dir).ok().map(|stat| Uid::new(stat.st_uid))
    }

    /// Whether it belongs to `uid`.
    fn is_of(&self, uid: Uid) -> bool {
        rustix::fs::fstat(&self.dir).is_ok_and(|stat| stat.st_uid == uid.raw())
    }

    /// Whether it holds the socket of that number.
    pub fn holds(&self, socket: SocketNumber) -> bool {
        self.sockets().is_ok_and(|sockets| sockets.contains(&socket))
    }

    /// Whether its `comm` is that of a tmux server.
    pub fn is_tmux_server(&self) -> bool {
        self.comm().is_some_and(|comm| comm == SERVER_COMM)
    }

    /// Its `comm`: at most 15 bytes.
    pub fn comm(&self) -> Option<Vec<u8>> {
        comm_at(&self.dir, OsStr::new("comm"))
    }

    /// Its command line, each word ended by a NUL.
    pub fn command_line(&self) -> Option<Vec<u8>> {
        self.read("cmdline")
    }

    /// Its state, parent and terminal, as `/proc/PID/stat` tells them (proc(5)).
    pub fn stat(&self) -> Option<Stat> {
        Stat::parse(&self.read("stat")?)
    }

    /// The signals that it catches, bit N-1 for signal N: `SigCgt` of `/proc/PID/status`.
    pub fn caught_signals(&self) -> Option<u64> {
        self.signals(b"SigCgt:")
    }

    /// The signals that it holds back: `SigBlk`.
    pub fn blocked_signals(&self) -> Option<u64> {
        self.signals(b"SigBlk:")
    }

    fn signals(&self, which: &[u8]) -> Option<u64> {
        let status = self.read("status")?;
        let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(which))?;
        u64::from_str_radix(std::str::from_utf8(line).ok()?.trim(), 16).ok()
    }

    /// The program that it runs, as the kernel names it: ` (deleted)` behind one that was replaced.
    pub fn program(&self) -> Option<PathBuf> {
        let link = rustix::fs::readlinkat(&self.dir, "exe", Vec::new()).ok()?;
        Some(PathBuf::from(OsString::from_vec(link.into_bytes())))
    }

    /// The file of the program that it runs.
    pub fn program_id(&self) -> Option<FileId> {
        rustix::fs::statat(&self.dir, "exe", AtFlags::empty()).ok().map(|stat| FileFacts::from(stat).id)
    }

    /// Its mount namespace, as `/proc/PID/ns/mnt` names it. `None`: not readable from here.
    pub fn mount_namespace(&self) -> Option<Vec<u8>> {
        rustix::fs::readlinkat(&self.dir, "ns/mnt", Vec::new()).ok().map(std::ffi::CString::into_bytes)
    }

    /// Its user namespace, as `/proc/PID/ns/user` names it. `None`: not readable from here.
    pub fn user_namespace(&self) -> Option<Vec<u8>> {
        rustix::fs::readlinkat(&self.dir, "ns/user", Vec::new()).ok().map(std::ffi::CString::into_bytes)
    }

    /// Its current directory. `None`: not readable from here.
    pub fn directory(&self) -> Option<PathBuf> {
        let link = rustix::fs::readlinkat(&self.dir, "cwd", Vec::new()).ok()?;
        Some(PathBuf::from(OsString::from_vec(link.into_bytes())))
    }

    /// Its root directory, open: what it sees behind `/`. `None`: not readable from here.
    pub fn root(&self) -> Option<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        heeded(rustix::fs::openat(&self.dir, "root", flags, Mode::empty())).ok()
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = heeded(rustix::fs::openat(&self.dir, name, flags, Mode::empty())).ok()?;
        let mut text = Vec::new();
        // /proc gives a page at a time: the groups of a user alone can fill one.
        File::from(file).take(MOST as u64).read_to_end(&mut text).ok()?;
        Some(text)
    }

    /// Whether it has ended and only its parent has not heard of it. Who may not read its descriptors any more
    /// needs to know.
    pub fn has_ended(&self) -> bool {
        self.stat().is_none_or(Stat::has_ended)
    }

    /// The numbers of the sockets it holds. `EACCES`: not readable from here, as from a user
    /// namespace (`PrivateUsers=`).
    pub fn sockets(&self) -> Result<Vec<SocketNumber>, Errno> {
        let mut sockets = Vec::new();
        self.each_descriptor(|target| sockets.extend(socket_number(target)))?;
        Ok(sockets)
    }

    /// Whether it holds the master's side of a pseudo-terminal (pts(4)): a tmux server does for each pane.
    pub fn holds_terminals(&self) -> Result<bool, Errno> {
        let mut holds = false;
        self.each_descriptor(|target| holds |= target.ends_with(b"/ptmx"))?;
        Ok(holds)
    }

    fn each_descriptor(&self, mut see: impl FnMut(&[u8])) -> Result<(), Errno> {
        let fds = open_dir(&self.dir, "fd")?;
        for entry in heeded(rustix::fs::Dir::read_from(&fds))? {
            let Ok(entry) = entry else { continue };
            if entry.file_name().to_bytes().starts_with(b".") {
                continue;
            }
            match rustix::fs::readlinkat(&fds, entry.file_name(), Vec::new()) {
                Ok(target) => see(target.as_bytes()),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

fn open_dir<P: rustix::path::Arg>(at: impl AsFd, name: P) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    heeded(rustix::fs::openat(at, name, flags, Mode::empty()))
}

fn comm_at(dir: &OwnedFd, path: &OsStr) -> Option<Vec<u8>> {
    let file = heeded(rustix::fs::openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())).ok()?;
    let mut buffer = [0; 64];
    let length = rustix::io::read(&file, &mut buffer).ok()?;
    Some(buffer[..length].trim_ascii_end().to_vec())
}

fn pid_of(name: &CStr) -> Option<Pid> {
    let name = name.to_str().ok()?;
    name.starts_with(|c: char| c.is_ascii_digit()).then(|| name.parse().ok())?
}

fn socket_number(link: &[u8]) -> Option<SocketNumber> {
    let number = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    OsStr::from_bytes(number).to_str()?.parse().ok().map(SocketNumber::new)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn a_sockets_holder_is_found_by_its_number() {
        let socket = UnixDatagram::unbound().unwrap();
        let number = SocketNumber::new(u32::try_from(rustix::fs::fstat(&socket).unwrap().st_ino).unwrap());
        let me = rustix::process::getpid().as_raw_nonzero().get();
        let uid = Uid::ours();
        let found = Processes::open().unwrap().holders(uid, &HashSet::from([number]));
        assert_eq!(found.get(&number), Some(&Pid::new(me)));
    }

    #[test]
    fn a_process_tells_of_itself() {
        let me = rustix::process::getpid().as_raw_nonzero().get();
        let process = Processes::open().unwrap().by_pid(Pid::new(me)).unwrap();
        let stat = process.stat().unwrap();
        assert_eq!(stat.parent, Pid::new(rustix::process::getppid().unwrap().as_raw_nonzero().get()));
        assert!(!stat.is_stopped() && !stat.has_ended());
        assert!(process.caught_signals().is_some() && process.blocked_signals().is_some());
        assert_eq!(process.program().unwrap(), std::env::current_exe().unwrap());
        assert!(process.mount_namespace().is_some() && process.root().is_some());
    }

    #[test]
    fn links_of_other_kinds_are_no_sockets() {
        assert_eq!(socket_number(b"socket:[12]"), Some(SocketNumber::new(12)));
        assert_eq!(socket_number(b"pipe:[12]"), None);
        assert_eq!(socket_number(b"socket:[x]"), None);
    }
}
