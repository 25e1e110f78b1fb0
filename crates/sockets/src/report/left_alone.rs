//! Why a directory was left alone, or nothing is known of what is in it.

use crate::kernel::Uid;
use crate::kernel::as_data;
use crate::kernel::escape::escaped;
use crate::kernel::text::{errno_text, lookup_text, unread};
use crate::tmux::DirectoryError;
use crate::tmux::shared::Shared;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// Why a directory was left alone, or nothing is known of what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LeftAlone {
    /// tmux would refuse it, it cannot be read, or it may never answer.
    Refused(DirectoryError),
    /// Others can write it, and it was named in place of something that is in it.
    Shared(Box<Shared>),
    /// It was named, and is not there.
    Missing,
    /// A `/tmp` that only this process's unit has.
    PrivateTmp,
    /// A `/tmp` of which nobody can tell whether others have it.
    UnknownTmp,
    /// Not all of it was seen, for lack of descriptors or memory.
    Lacking(#[serde(with = "as_data::errno")] Errno),
    /// Its mount did not answer.
    Silent {
        /// The type of its file system.
        kind: String,
        /// Where it is mounted.
        #[serde(with = "as_data::path")]
        point: PathBuf,
        /// How long it was waited for, in seconds.
        seconds: u64,
    },
    /// It is called like a user's folder, and belongs to somebody else, who is not just anybody.
    Misnamed(Uid),
    /// A pattern of the configuration, which leads to a mount that may not answer.
    FarPattern,
    /// Its names cannot be looked at.
    Unseen(#[serde(with = "as_data::errno")] Errno),
    /// Another process was to look as this user, and there is no report of it.
    Lost(Uid, Loss),
    /// Another process was to look as a user, and says itself why it did not.
    Declined(Declined),
    /// So many more directories in this one, of which nothing else is said.
    More(usize),
}

/// Why there is no report of the process that was to look as a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Loss {
    /// The account could not be looked up, so nobody knows whose configuration holds.
    Account(#[serde(with = "as_data::errno")] Errno),
    /// It could not be started.
    Start(#[serde(with = "as_data::errno")] Errno),
    /// It was not started any more: others took all the time.
    NoTime,
    /// It was not started any more: the run was ended.
    Ended,
    /// It took too long and was ended.
    Late,
    /// It took too long and cannot even be ended.
    Stuck,
    /// A signal ended it.
    Signal(i32),
    /// It ended with this code and without a message.
    Exit(i32),
    /// Its message is too long.
    TooLong,
    /// Its message makes no sense.
    Garbled,
}

/// Why a process that was to look as a user did not: what it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Declined {
    /// The user's configuration is wrong: file, line, key and what is wrong there, in the words of whoever reads it.
    Configuration(String),
    /// It was not started by root.
    NotRoot,
    /// It could not become this user.
    CannotBecome(Uid, #[serde(with = "as_data::errno")] Errno),
    /// This user could have traced it, and read what root left in its memory.
    Traceable(Uid, #[serde(with = "as_data::errno")] Errno),
    /// It has become this user, and has more rights than the user.
    MoreRights(Uid),
}

impl Loss {
    /// What became of the process for this user.
    pub fn why(self, uid: Uid) -> String {
        let what = match self {
            Self::Account(errno) => {
                format!("was not started: the account cannot be looked up ({})", lookup_text(errno))
            }
            Self::Start(errno) => format!("could not be started: {}", errno_text(errno)),
            Self::NoTime => "was not started: the others took all the time".to_owned(),
            Self::Ended => "was not started: the run was ended".to_owned(),
            Self::Late => "took too long and was ended".to_owned(),
            Self::Stuck => "took too long, hangs in the kernel, and cannot be killed".to_owned(),
            Self::Signal(libc::SIGKILL) => "was ended by SIGKILL".to_owned(),
            Self::Signal(libc::SIGABRT) => "was ended by SIGABRT, as when memory runs out".to_owned(),
            Self::Signal(number) => format!("was ended by signal {number}"),
            Self::Exit(code) => format!("ended with exit code {code} and no report"),
            Self::TooLong => "has more to report than fits".to_owned(),
            Self::Garbled => "sent a report that cannot be read".to_owned(),
        };
        format!("the worker for uid {uid} {what}")
    }
}

impl Display for Declined {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            // As it is: nothing but control characters can do harm, and a line of it is a sentence.
            Self::Configuration(why) if why.contains(char::is_control) => {
                write!(f, "configuration rejected: {}", escaped(why))
            }
            Self::Configuration(why) => write!(f, "configuration rejected: {why}"),
            Self::NotRoot => f.write_str("a worker is started by root, through --all-users"),
            Self::CannotBecome(uid, errno) => write!(f, "cannot become uid {uid}: {}", errno_text(*errno)),
            Self::Traceable(uid, errno) => {
                write!(f, "a worker of uid {uid} could be traced: {}", errno_text(*errno))
            }
            Self::MoreRights(uid) => {
                write!(f, "cannot become uid {uid}: some of root's privileges were left")
            }
        }
    }
}

impl Display for LeftAlone {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Shared(shared) => shared.fmt(f),
            Self::Missing => f.write_str("there is no such directory"),
            Self::PrivateTmp => f.write_str(
                "this is a private /tmp, where nobody's sockets are; take PrivateTmp= (or TemporaryFileSystem=, BindPaths=) out of the unit",
            ),
            Self::UnknownTmp => f.write_str(
                "whether this /tmp is the one that the user's sockets are in cannot be told: it is a mount of its own, and /proc does not show the service manager here; take PrivatePIDs= and ProtectProc= out of the unit",
            ),
            Self::Lacking(errno) => write!(
                f,
                "not all processes and files could be looked at, so that ghosts and servers may be missing here: {}",
                unread(*errno)
            ),
            Self::Silent { kind, point, seconds } => write!(
                f,
                "it lies on a mount that did not answer within {seconds} s ({} at {}); nothing there was looked at or changed; if its server is gone for good, unmount it (umount(8), lazily)",
                escaped(kind),
                escaped(point),
            ),
            Self::FarPattern => f.write_str(
                "it leads to a mount that may not answer (a network or FUSE file system); not looked at",
            ),
            Self::Misnamed(uid) => write!(f, "it belongs to uid {uid}, whatever its name says; left alone"),
            Self::Unseen(errno) => write!(f, "it cannot be looked at: {}", errno_text(*errno)),
            Self::Lost(uid, loss) => {
                write!(f, "{}; what it did last is not known, the next sweep looks again", loss.why(*uid))
            }
            Self::Declined(why) => why.fmt(f),
            Self::More(count) => write!(
                f,
                "{count} more directories of users in it were left alone or not looked at, most of them of uids without an account; the next sweep looks again"
            ),
        }
    }
}
