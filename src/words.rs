//! Every English sentence about an entry, a directory or the table: what, where, why, what to do.

use crate::apart;
use crate::escape::{self, escaped};
use crate::mounts::Mount;
use crate::outcome::{Failure, Outcome};
use crate::report::{DirectoryReport, Untold};
use crate::sandbox::Tmp;
use crate::socket::directory::DirectoryError;
use crate::socket::file_system;
use crate::socket::shared::{self, Shared};
use crate::socket::verdict::{Blindness, Manager, Reason, State};
use crate::tmux::paths::{DEFAULT_PARENT, Refusal};
use crate::tmux::start_lock::LockFailure;
use crate::users::{Loss, Stray};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

impl State {
    /// The word for it, in JSON and for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Starting => "starting",
            Self::Dead => "dead",
            Self::Ghost => "ghost",
            Self::Foreign => "foreign",
            Self::Unknown => "unknown",
            Self::NotASocket => "not-a-socket",
        }
    }
}

impl Outcome {
    /// The word for it, in JSON and for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::WouldRemove => "would-remove",
            Self::Kept => "kept",
            Self::Vanished => "vanished",
            Self::Busy => "busy",
            Self::Resurrected => "resurrected",
            Self::Rescued => "rescued",
            Self::WouldRescue => "would-rescue",
            Self::SetAside => "set-aside",
            Self::WouldSetAside => "would-set-aside",
            Self::Failed(_) => "failed",
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening => f.write_str("a server listens on it, according to the kernel's socket table"),
            Self::ListeningElsewhere => f.write_str(
                "a server in another network namespace listens on it, according to the socket table there",
            ),
            Self::Answers => f.write_str(
                "not in this network namespace's socket table, but it accepts connections: a server in another namespace",
            ),
            Self::BacklogFull => f.write_str(
                "not in this network namespace's socket table, but its backlog is full: a server that is stopped or very busy",
            ),
            Self::LockHeld => f.write_str("its start lock is held: a server is being started on it"),
            Self::NobodyListens => f.write_str(
                "nobody listens: absent from the kernel's socket table, connections are refused, no start is under way",
            ),
            Self::OtherUser(uid) => write!(f, "it belongs to uid {uid}"),
            Self::FileSystem(magic) => match file_system::name(*magic) {
                Some(name) => write!(f, "it lies on {name}, where a server of another machine may listen"),
                None => write!(
                    f,
                    "it lies on a file system that is not known to be local (statfs type {magic:#x}), where a server of another machine may listen"
                ),
            },
            Self::BoundOnly => f.write_str("a process has bound it and does not listen, or not yet"),
            Self::Twin => f.write_str(
                "a socket with its inode number is bound on another file system, and from here nothing tells whether it is this one",
            ),
            Self::Datagram => f.write_str("a process has bound it as a datagram socket: it is not tmux's, and in use"),
            Self::Blind(why) => write!(f, "{BLIND}{why}"),
            Self::ConnectSaysNothing(errno) => {
                write!(f, "a connection attempt failed in a way that proves nothing: {}", errno_text(*errno))
            }
            Self::Unreadable(errno) => write!(f, "it cannot be looked at: {}", errno_text(*errno)),
            Self::NotASocket(kind) => write!(f, "it is {}", kind_name(*kind)),
            Self::Quarantine => f.write_str("quarantine"),
            Self::OrphanedLock => f.write_str("orphaned lock"),
            Self::KeptLabel => f.write_str("nobody listens; spared: the configuration's keep names its label"),
            Self::TooYoung => f.write_str("nobody listens; spared: it is younger than the configuration's min-age"),
            Self::Ghost(plight) => plight.fmt(f),
            Self::NotReached => f.write_str("the run came to its end before its turn; the next sweep looks at it"),
            Self::NoSuchSocket => f.write_str("no such socket"),
            Self::Told(sentence) => f.write_str(sentence),
        }
    }
}

impl Display for Blindness {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::TableUnreadable(errno) => write!(
                f,
                "no netlink socket can be had ({}); a unit's RestrictAddressFamilies= must allow AF_NETLINK and AF_UNIX",
                errno_text(*errno)
            ),
            Self::TableRefused(errno) => write!(
                f,
                "the kernel does not give it out ({}); load its unix_diag module, or build the kernel with CONFIG_UNIX_DIAG",
                errno_text(*errno)
            ),
            Self::TableTorn => f.write_str("its answers were torn each time it was asked"),
            Self::CanaryMissing => f.write_str("it does not show a socket of our own"),
            Self::ServersMissing(pid) => write!(
                f,
                "it shows none of the tmux servers that run (pid {pid} is one); this looks like another network namespace (PrivateNetwork= in a unit, a container)"
            ),
            Self::OtherNetwork(manager) => write!(
                f,
                "this process is in another network namespace than {}; take PrivateNetwork= or NetworkNamespacePath= out of the unit, or run outside the container",
                match manager {
                    Manager::User => "the user's service manager",
                    Manager::Init => "process 1",
                }
            ),
            Self::FromOutside => f.write_str(
                "the directory came from outside of this container, and nothing tells whether this is the network namespace of who uses it there; run it where the servers run",
            ),
            Self::ManagerHidden => f.write_str(
                "the user has a service manager that /proc does not show here, so nothing tells whether this is its network namespace; take PrivatePIDs= and ProtectProc= out of the unit, or run outside the container",
            ),
        }
    }
}

impl Display for DirectoryError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Refusal::NotADirectory) => {
                f.write_str("it is no real directory (a link or a file), tmux would refuse it; left alone")
            }
            Self::Refused(Refusal::Owner(uid)) => {
                write!(f, "it belongs to uid {uid}, who could swap what stands in it; left alone")
            }
            Self::Refused(Refusal::OpenToOthers(mode)) => write!(
                f,
                "it is open to others (mode {mode:04o}), tmux would refuse it; left alone; `chmod o-rwx` mends it"
            ),
            Self::Refused(Refusal::WritableByOthers(mode)) => write!(
                f,
                "others can write it (mode {mode:04o}), so it is no folder for sockets; left alone; sockets belong into a folder of your own, 0700"
            ),
            Self::Unreadable(errno) => write!(f, "it cannot be read: {}", errno_text(*errno)),
            Self::Far => f.write_str(
                "it lies on a mount that may not answer (a network or FUSE file system); left alone here; `tmux-janitor list` asks it",
            ),
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock(LockFailure::NotAFile(kind)) => write!(
                f,
                "its start lock is {}, which cannot be locked; tmux cannot start there safely either; remove it",
                kind_name(*kind)
            ),
            Self::Lock(LockFailure::NotOurs(uid)) => write!(
                f,
                "its start lock belongs to uid {uid}; no server can be started there safely; its owner or root removes the lock when none is starting"
            ),
            Self::Lock(LockFailure::NoRoom { inodes: true }) => write!(
                f,
                "{NO_ROOM}no inode is left on its file system (`df -i` shows it); remove a file there, and the next sweep removes all"
            ),
            Self::Lock(LockFailure::NoRoom { inodes: false }) => write!(
                f,
                "{NO_ROOM}its file system is full (`df` shows it); remove a file there, and the next sweep removes all"
            ),
            Self::Lock(LockFailure::Call(errno)) => write!(f, "its start lock cannot be taken: {}", cause(*errno)),
            Self::Look(errno) => write!(f, "it cannot be looked at: {}", cause(*errno)),
            Self::Move(errno) => write!(f, "it cannot be moved away: {}", cause(*errno)),
            Self::Remove(errno) => {
                write!(f, "it was moved to its quarantine name and cannot be unlinked: {}", cause(*errno))
            }
            Self::QuarantineTaken => f.write_str(
                "its quarantine name is taken: by an earlier run that was killed, which the next sweep clears, or in a shared folder by somebody else",
            ),
            Self::NameTooLong => {
                f.write_str("its name is too long to be moved to a quarantine name; give it a shorter one (mv)")
            }
            Self::Rescue(failure) => failure.fmt(f),
            Self::Told(sentence) => f.write_str(sentence),
            Self::PutBack(errno) => write!(
                f,
                "a live server's socket stands at its quarantine name and could not be put back ({}); see what stands at the path, then move it back by hand",
                errno_text(*errno)
            ),
        }
    }
}

impl Display for Stray {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDirectory(kind) => {
                write!(
                    f,
                    "it is {}, no user's directory, whatever its name says; left alone",
                    kind_name(*kind)
                )
            }
            Self::Owner(uid) => write!(f, "it belongs to uid {uid}, whatever its name says; left alone"),
            Self::Unreadable(errno) => write!(f, "it cannot be looked at: {}", errno_text(*errno)),
            Self::OthersOf(owner, count) => {
                write!(
                    f,
                    "{count} more names in it, all of uid {owner}, are called like users' directories and are none; left alone"
                )
            }
            Self::Others(count) => {
                write!(
                    f,
                    "{count} more names in it are called like users' directories and are none; left alone"
                )
            }
        }
    }
}

/// Why nothing is known of what lies on a mount.
pub fn no_answer(mount: &Mount) -> String {
    format!(
        "it lies on a mount that did not answer within {} s ({} at {}); nothing there was looked at or changed; where its server is gone for good, it is to be unmounted (umount(8), lazily)",
        apart::PATIENCE.as_secs(),
        escaped(&mount.kind),
        escaped(&mount.point),
    )
}

/// Why a run was given up.
pub fn stood_still(mount: &Mount) -> String {
    format!(
        "given up: the mount at {} ({}) had answered, and then did not within {} s; what was done before is told above, and what hangs there ends when that mount goes on; where its server is gone for good, it is to be unmounted (umount(8), lazily)",
        escaped(&mount.point),
        escaped(&mount.kind),
        apart::PATIENCE.as_secs(),
    )
}

/// What a sweep has to say of a `/tmp` that is not known to be the machine's.
pub fn not_the_machines(tmp: Tmp) -> DirectoryReport {
    let error = match tmp {
        Tmp::Machines | Tmp::Units => {
            "this is a private /tmp, where nobody's sockets are; take PrivateTmp= (or TemporaryFileSystem=, BindPaths=) out of the unit"
        }
        Tmp::Unknown => {
            "whether this /tmp is the one that the user's sockets are in cannot be told: it is a mount of its own, and /proc does not show the service manager here; take PrivatePIDs= and ProtectProc= out of the unit"
        }
    };
    DirectoryReport { path: PathBuf::from(DEFAULT_PARENT), error: Some(error.to_owned()) }
}

/// What is to be said of a directory that is left alone. Where others can write it, it was named in place of
/// something that is in it.
pub fn refused_directory(path: &Path, error: DirectoryError, user: u32) -> String {
    let DirectoryError::Refused(Refusal::WritableByOthers(_)) = error else {
        return error.to_string();
    };
    let Shared { own, sockets } = shared::look(path, user);
    let mut text = error.to_string();
    if let Some(own) = own {
        text.push_str("; tmux's own folder in it is ");
        text.push_str(&escape::shell_word(&own));
    }
    let calls: Vec<String> =
        sockets.iter().map(|path| format!("`tmux-janitor sweep -S {}`", escape::shell_word(path))).collect();
    if !calls.is_empty() {
        let calls = calls.join(", ");
        return format!("{text}; of single sockets of yours in it, {calls} removes one that is dead");
    }
    text
}

/// What is to be said of a directory that was named and is not there.
pub fn no_directory(dir: &Path) -> DirectoryReport {
    let error = "there is no such directory; --dir names the folder that holds the sockets";
    DirectoryReport { path: dir.to_owned(), error: Some(error.to_owned()) }
}

/// Why nothing can be known where /proc is not what it is elsewhere.
pub const NO_PROC: &str = "/proc cannot be read here, so that sockets cannot be asked and servers not be found; mount it, or run outside this sandbox";

/// The beginning of every sentence about a file system that holds no lock file more.
const NO_ROOM: &str = "no start lock can be made: ";

/// Whether a failure, our own or one that a worker told, is that of every socket in the directory.
pub fn is_of_all(failure: &Failure) -> bool {
    match failure {
        Failure::Lock(LockFailure::NoRoom { .. }) => true,
        Failure::Told(told) => told.starts_with(NO_ROOM),
        _ => false,
    }
}

/// The beginning of every sentence about a table that must not be believed.
const BLIND: &str = "the kernel's socket table cannot be believed here: ";

/// Whether a reason, our own or one that a worker told, is that the table must not be believed.
pub fn is_blindness(reason: &Reason) -> bool {
    matches!(reason, Reason::Blind(_)) || matches!(reason, Reason::Told(told) if told.starts_with(BLIND))
}

/// Why nothing is known of a user's sockets.
pub fn lost_worker(uid: u32, loss: Loss) -> String {
    let what = match loss {
        Loss::Account(errno) => {
            format!("was not started: the account cannot be looked up ({})", errno_text(errno))
        }
        Loss::Start(errno) => format!("could not be started: {}", errno_text(errno)),
        Loss::NoTime => "was not started: the others took all the time".to_owned(),
        Loss::Ended => "was not started: the run was ended".to_owned(),
        Loss::Late => "took too long and was ended".to_owned(),
        Loss::Stuck => "took too long and hangs in the kernel, where it cannot be ended".to_owned(),
        Loss::Signal(libc::SIGKILL) => "was ended by SIGKILL".to_owned(),
        Loss::Signal(libc::SIGABRT) => "was ended by SIGABRT, as when memory runs out".to_owned(),
        Loss::Signal(number) => format!("was ended by signal {number}"),
        Loss::Exit(code) => format!("ended with exit code {code} and no report"),
        Loss::TooLong => "has more to report than fits".to_owned(),
        Loss::Garbled => "gave a report that makes no sense".to_owned(),
    };
    format!("the worker for uid {uid} {what}; what it did last is not known, the next sweep looks again")
}

/// What one user, or several, have too much of.
pub fn untold(untold: &Untold) -> String {
    let Untold { entries, users, user, .. } = untold;
    let others = match users.saturating_sub(1) {
        0 => String::new(),
        1 => " and another user".to_owned(),
        more => format!(" and {more} other users"),
    };
    format!("{entries} more entries of uid {user}{others} are counted and not told of one by one: too many")
}

/// Of many places, all but the first.
pub fn more_places(count: usize) -> String {
    format!("and {count} more such places")
}

/// Of how many more directories nothing else is said.
pub fn more_directories(count: usize) -> String {
    format!(
        "{count} more directories of users in it were left alone or not looked at, most of them of uids without an account; the next sweep looks again"
    )
}

/// An errno with its cure, for a directory that cannot be changed.
pub(crate) fn cause(errno: Errno) -> String {
    let cure = match errno {
        Errno::ROFS => {
            "; the file system is mounted read-only here: `findmnt -T` shows the mount, a unit's ReadWritePaths= opens it"
        }
        Errno::PERM | Errno::ACCESS => {
            "; the directory is not writable, immutable (`lsattr -d`) or sticky with another owner (`ls -ld`)"
        }
        Errno::NOSPC | Errno::DQUOT => "; the file system or the quota is full",
        Errno::MFILE | Errno::NFILE => "; no file descriptor is left (`ulimit -n`, LimitNOFILE=)",
        _ => "",
    };
    format!("{}{cure}", errno_text(errno))
}

/// What strerror(3) says, without the number that Rust adds.
pub fn errno_text(errno: Errno) -> String {
    io_text(&std::io::Error::from(errno))
}

/// The same of an error that may be more than an errno.
pub fn io_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((text, number)) if number.ends_with(')') => text.to_owned(),
        _ => text,
    }
}

/// A file type with its article.
pub(crate) fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of an unknown type",
    }
}

/// Why nothing is known of what earlier runs did.
pub fn unread_record(user: u32, errno: Errno) -> String {
    let why = match errno {
        Errno::PERM => "it, or the folder that it is in, is not the user's alone".to_owned(),
        Errno::NOTDIR | Errno::LOOP => "no folder stands there, or none the folder that it is in".to_owned(),
        Errno::TIMEDOUT => "it lies on a mount that may not answer".to_owned(),
        Errno::AGAIN => "somebody else has it and does not let go of it".to_owned(),
        errno => errno_text(errno),
    };
    let path = crate::record::folder(user);
    format!("{}: {why}; nothing is known of earlier sweeps and removals", crate::escape::escaped(&path))
}

/// Why a metrics file cannot be written, and what to do.
pub fn not_written(path: &Path, error: &std::io::Error) -> String {
    let cure = match Errno::from_io_error(error) {
        Some(Errno::ROFS) => "; in a unit, ReadWritePaths= must name its folder",
        Some(Errno::ACCESS | Errno::PERM) => "; this user must be able to write in its folder",
        Some(Errno::NOENT) => "; its folder must be there",
        _ => "",
    };
    format!("{}: {}{cure}", escape::escaped(path), io_text(error))
}
