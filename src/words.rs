//! Every English sentence about an entry, a directory or the table: what, where, why, what to do.

use crate::apart;
use crate::sandbox::Tmp;
use crate::users::{Loss, Stray};
use rustix::io::Errno;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::Mount;
use tmux_sockets::kernel::escape::{self, escaped};
use tmux_sockets::kernel::text::{errno_text, io_text, kind_name};
use tmux_sockets::report::DirectoryReport;
use tmux_sockets::tmux::paths::DEFAULT_PARENT;

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

/// What is to be said of a directory that was named and is not there.
pub fn no_directory(dir: &Path) -> DirectoryReport {
    let error = "there is no such directory; --dir names the folder that holds the sockets";
    DirectoryReport { path: dir.to_owned(), error: Some(error.to_owned()) }
}

/// Why nothing can be known where /proc is not what it is elsewhere.
pub const NO_PROC: &str = "/proc cannot be read here, so that sockets cannot be asked and servers not be found; mount it, or run outside this sandbox";

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

/// Of how many more directories nothing else is said.
pub fn more_directories(count: usize) -> String {
    format!(
        "{count} more directories of users in it were left alone or not looked at, most of them of uids without an account; the next sweep looks again"
    )
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
    format!(
        "{}: {why}; nothing is known of earlier sweeps and removals",
        tmux_sockets::kernel::escape::escaped(&path)
    )
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
