//! Places of which something is to be said, and what.

use super::LeftAlone;
use crate::judge::Reason;
use crate::kernel::Uid;
use crate::kernel::as_data;
use crate::kernel::text::{errno_text, kind_name};
use crate::tmux::stuck::Hold;
use rustix::fs::FileType;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// A place, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// Where.
    #[serde(with = "as_data::path")]
    pub path: PathBuf,
    /// What.
    pub why: Why,
}

/// Why a place is told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// `/proc`, which cannot be read: nothing can be known.
    NoProc,
    /// What stands there could not be judged.
    Unjudged(Reason),
    /// A live server was bound there, and nothing tells whether it is a ghost.
    Doubtful,
    /// A pattern for folders that was not followed, or not to its end.
    Pattern(Unfollowed),
    /// What such a pattern matches, and is no folder of the user's.
    Match(Mismatch),
    /// A name in a shared place that is called like a user's folder.
    Stray(Stray),
    /// A stranger's directory that bears the user's name.
    Strangers(LeftAlone),
    /// A start lock that is held and not let go of.
    Held(Hold),
    /// So many more such places.
    More(usize),
}

/// Why a pattern was not followed, or not to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unfollowed {
    /// So many folders were gone into, and no more are.
    TooWide(usize),
    /// More folders match than are looked into.
    TooMany {
        /// How many match.
        matches: usize,
        /// How many of them are looked into.
        most: usize,
    },
}

/// Why a match of a pattern is no folder of the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mismatch {
    /// It lies on a mount that may not answer.
    Far,
    /// It cannot be looked at.
    Unseen(#[serde(with = "as_data::errno")] Errno),
    /// It is something else.
    Kind(#[serde(with = "as_data::file_type")] FileType),
    /// It belongs to somebody else.
    Owner(Uid),
}

/// A name that lies: it is called like a user's folder and is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stray {
    /// It is no directory: a link, a FIFO, a file.
    NoDirectory(#[serde(with = "as_data::file_type")] FileType),
    /// It is somebody else's than its name says: the owner's uid.
    Owner(Uid),
    /// It cannot be looked at.
    Unreadable(#[serde(with = "as_data::errno")] Errno),
    /// So many more in this folder, all of this owner.
    OthersOf(Uid, usize),
    /// So many more in this folder.
    Others(usize),
}

impl Display for Why {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProc => f.write_str(
                "/proc cannot be read here, so that sockets cannot be asked and servers not be found; mount it, or run outside this sandbox",
            ),
            Self::Unjudged(reason) => reason.fmt(f),
            Self::Doubtful => f.write_str(
                "a live server was bound to this path and is not reached here: its socket was deleted, or it lives in another mount namespace; which of the two cannot be seen from this user namespace (PrivateUsers= in a unit)",
            ),
            Self::Pattern(why) => why.fmt(f),
            Self::Match(why) => why.fmt(f),
            Self::Stray(stray) => stray.fmt(f),
            Self::Strangers(why) => why.fmt(f),
            Self::Held(hold) => hold.fmt(f),
            Self::More(count) => write!(f, "and {count} more such places"),
        }
    }
}

impl Display for Unfollowed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooWide(most) => {
                write!(f, "{most} folders of yours and root's were gone into; the others are not looked at")
            }
            Self::TooMany { matches, most } => write!(
                f,
                "{matches} of your folders match, and {most} are looked into: not the last {} in the order of their paths",
                matches.saturating_sub(*most)
            ),
        }
    }
}

impl Display for Mismatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Far => f.write_str("it lies on a mount that may not answer"),
            Self::Unseen(errno) => write!(f, "it cannot be looked at: {}", errno_text(*errno)),
            Self::Kind(FileType::Symlink) => {
                f.write_str("it is a symbolic link, and a glob follows none; skipped")
            }
            Self::Kind(kind) => write!(f, "it is {}, not a folder; skipped", kind_name(*kind)),
            Self::Owner(uid) => {
                write!(f, "it belongs to uid {uid}, and a glob matches only folders of your own; skipped")
            }
        }
    }
}

impl Display for Stray {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDirectory(kind) => write!(
                f,
                "it is {}, no user's directory, whatever its name says; left alone",
                kind_name(*kind)
            ),
            Self::Owner(uid) => LeftAlone::Misnamed(*uid).fmt(f),
            Self::Unreadable(errno) => LeftAlone::Unseen(*errno).fmt(f),
            Self::OthersOf(owner, count) => write!(
                f,
                "{count} more names in it, all of uid {owner}, are called like users' directories and are none; left alone"
            ),
            Self::Others(count) => write!(
                f,
                "{count} more names in it are called like users' directories and are none; left alone"
            ),
        }
    }
}
