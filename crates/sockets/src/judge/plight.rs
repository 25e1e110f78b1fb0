//! How it stands with a ghost, and the sentences about it: what happened to it, and what forbids its rescue.
//!
//! What a person can do about it is for the program to say that uses this library: it has the commands.

use crate::kernel::Pid;
use crate::kernel::text::{cause, errno_text, kind_name};
use crate::tmux::DirectoryError;
use rustix::fs::FileType;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// How it stands with a ghost: what is at its path, and what forbids its rescue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plight {
    /// The server, as in [`crate::ghost::Ghost::pid`]: what a person can do about it names it.
    pub pid: Option<Pid>,
    /// What stands at its path.
    pub standing: Standing,
    /// Why it is not to be rescued; `None`: it can be.
    pub bar: Option<Bar>,
}

/// What stands at a ghost's path now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Nothing.
    Nothing,
    /// Not even the folder is there.
    NoDirectory,
    /// The socket of another server that listens: its pid, where it can be told.
    Live(Option<Pid>),
    /// A socket on which nobody is seen to listen.
    Socket,
    /// Something else.
    Other(#[serde(with = "crate::kernel::as_data::file_type")] FileType),
}

/// Why a ghost is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bar {
    /// Who listens cannot be told from here: servers do not show their sockets.
    Hidden,
    /// Nobody is seen that listens: another PID namespace.
    Unseen,
    /// It lives in another mount namespace or behind another root: the path means something else.
    Elsewhere(Way),
    /// The listener is no tmux server.
    NotTmux,
    /// It holds several listening sockets: which of them is its own, not inherited, cannot be told.
    Ambiguous,
    /// It does not catch SIGUSR1, which would end it.
    NotCatching,
    /// It is stopped: it could not answer now and would take the path at some later time.
    Stopped,
    /// So many ghosts share the path: which one gets it is for a person to say.
    Rivals(u32),
    /// A live server has the path.
    Held {
        /// Which one, where that can be told.
        pid: Option<Pid>,
        /// It is a tmux server and the ghost the only one of the path: it can be set aside.
        yields: bool,
    },
    /// Something that is no socket stands there.
    Occupied(#[serde(with = "crate::kernel::as_data::file_type")] FileType),
    /// The path's start lock is held.
    Starting,
    /// A socket stands there that is not proven to be dead.
    Unproven,
    /// The folder above its directory is gone, too, and is not made anew by whoever asked.
    NoParent,
    /// A rescue would fail at its directory.
    Directory(RescueFailure),
}

/// How a server that sees other files than we do can be given its socket back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// Not at all: its directory cannot be written there.
    None,
    /// By the signal, sent by hand.
    Signal,
    /// By the signal, or by this program, which can be run there.
    SignalOrInside,
}

/// Which step of a rescue could not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RescueFailure {
    /// The directory cannot be used.
    Directory(DirectoryError),
    /// It is gone, and only a `tmux-UID` is made anew. With the server's pid, as the next two.
    OwnFolder(Pid),
    /// It is gone and cannot be made anew.
    MakeDirectory(#[serde(with = "crate::kernel::as_data::errno")] Errno, Pid),
    /// It is gone, and others could swap what is made in its place.
    Untrusted(Pid),
    /// No socket can be made in it.
    NotWritable(#[serde(with = "crate::kernel::as_data::errno")] Errno),
    /// It could not be looked at once more, for lack of descriptors or memory.
    NotSeen(#[serde(with = "crate::kernel::as_data::errno")] Errno),
    /// The server could not be told.
    Signal(#[serde(with = "crate::kernel::as_data::errno")] Errno),
    /// The newer server's socket can be given no second name: all are taken, or too long.
    NoSecondName,
    /// It cannot be linked.
    Link(#[serde(with = "crate::kernel::as_data::errno")] Errno),
    /// It was told and did not make its socket in time.
    NoAnswer,
    /// It made its socket, and somebody deleted it at once.
    DeletedAgain,
}

impl Display for Plight {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.standing {
            Standing::Nothing => "a live server whose socket was deleted",
            Standing::NoDirectory => "a live server whose socket was deleted with its directory",
            Standing::Live(_) => "a live server whose path another server has taken",
            Standing::Socket => {
                "a live server whose socket was replaced by one on which nobody is seen to listen"
            }
            Standing::Other(_) => "a live server whose socket was replaced",
        })?;
        match self.bar {
            None => Ok(()),
            Some(Bar::NoParent) => f.write_str(
                "; the folder above that is gone, too: as a rule a test's, which left its server running",
            ),
            Some(bar) => write!(f, "; {bar}"),
        }
    }
}

impl Display for Bar {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hidden => f.write_str(
                "which process it is cannot be seen from this user namespace (PrivateUsers= in a unit)",
            ),
            Self::Unseen => {
                f.write_str("its process cannot be seen from here (another container, or PID namespace)")
            }
            Self::Elsewhere(way) => {
                f.write_str("it runs in another mount namespace or root directory than this process")?;
                match way {
                    Way::None => {
                        f.write_str(", where its directory cannot be written; nothing can be done from here")
                    }
                    Way::Signal | Way::SignalOrInside => Ok(()),
                }
            }
            Self::NotTmux => f.write_str("the process is not proven to be a tmux server; left alone"),
            Self::Ambiguous => f.write_str(
                "it holds several listening sockets, and which of them is its own cannot be told; left alone",
            ),
            Self::NotCatching => f.write_str("it does not catch SIGUSR1, which would end it; left alone"),
            Self::Stopped => f.write_str("it is stopped and cannot answer"),
            Self::Rivals(count) => write!(f, "{count} ghosts share this path and only one can have it"),
            Self::Held { pid: Some(pid), .. } => write!(f, "pid {pid} listens there and is not touched"),
            Self::Held { pid: None, .. } => f.write_str("the server that listens there is not touched"),
            Self::Occupied(kind) => {
                write!(f, "{} stands there, and tmux-janitor does not remove it", kind_name(*kind))
            }
            Self::Starting => {
                f.write_str("its start lock is held at this moment, by a start or by another janitor")
            }
            Self::Unproven => {
                f.write_str("the socket that stands there is not proven to be dead and is left alone")
            }
            Self::NoParent => f.write_str("the folder above its directory is gone, too"),
            Self::Directory(failure) => failure.fmt(f),
        }
    }
}

impl Display for RescueFailure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(error) => write!(f, "its directory cannot be used: {error}"),
            Self::OwnFolder(_) => f.write_str("its directory is gone, and only a tmux-UID is made anew"),
            Self::MakeDirectory(errno, pid) => write!(
                f,
                "its directory is gone and cannot be made: {}; when it is there, `kill -USR1 {pid}` helps; if nobody needs the server any more, `kill {pid}` ends it",
                cause(*errno)
            ),
            Self::Untrusted(pid) => write!(
                f,
                "its directory is gone, and in the nearest folder that is there others could swap what is made; make it by hand where you know better (`mkdir -p -m 700`), then `kill -USR1 {pid}`; if nobody needs the server any more, `kill {pid}` ends it"
            ),
            Self::NotWritable(errno) => {
                write!(f, "no socket can be made in its directory, so the server was not signalled: {}", cause(*errno))
            }
            Self::NotSeen(errno) => {
                write!(f, "it could not be looked at once more, so the server was not signalled: {}", cause(*errno))
            }
            Self::Signal(errno) => write!(f, "SIGUSR1 cannot be sent to it: {}", errno_text(*errno)),
            Self::NoSecondName => f.write_str(
                "the newer server's socket can be given no second name: they are taken, or too long for a socket; the server was not signalled",
            ),
            Self::Link(errno) => write!(
                f,
                "the newer server's socket cannot be given a second name, so this one was not signalled: {}",
                cause(*errno)
            ),
            Self::NoAnswer => f.write_str(
                "SIGUSR1 was sent to it, and it has not made its socket in 5 s; it is very busy, or was stopped meanwhile",
            ),
            Self::DeletedAgain => f.write_str("it has made its socket, and somebody deleted it at once"),
        }
    }
}
