//! Ghosts: live tmux servers that nobody can reach, because their socket's file was deleted or
//! another file stands at its path. The story for people: `docs/ghosts.md`.
//!
//! [`find`] sees them in the kernel's table of sockets and in `/proc`, without touching or connecting
//! to anything: a socket that listens, whose bound path leads elsewhere or nowhere, and whose owner
//! is found alive. It looks twice, because a server that makes its socket anew has none for a moment.
//!
//! [`rescue`] asks such a server to make its socket anew (SIGUSR1), and only where nothing can be
//! lost: everything that is proven about it is in [`proof`], and the path's start lock is held.
//! [`forecast`] says what it would do. [`set_aside`] does it where a newer server has taken the path, which gets a
//! second name first.

mod aside;
mod entries;
pub mod find;
mod folder;
mod forecast;
mod holders;
pub mod panes;
mod proof;
mod reach;
pub mod rescue;
mod scope;
mod words;

pub use aside::{Aside, set_aside, would_set_aside};
pub use entries::{enter, enter_rescue};
pub use find::find;
pub use folder::Anew;
pub use forecast::would_rescue;
pub use rescue::{Rescue, rescue};
pub use scope::Scope;

use rescue::RescueFailure;
use rustix::fs::FileType;
use std::path::PathBuf;

/// A server whose socket cannot be reached at its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ghost {
    /// The path its socket was bound to, and that it would bind again. It ends in a name.
    pub path: PathBuf,
    /// The number of its listening socket, as the kernel's table has it.
    pub socket: u32,
    /// The server. `None`: it cannot be told from here (a user namespace: `PrivateUsers=`; another PID namespace).
    pub pid: Option<i32>,
    /// How it stands with it.
    pub plight: Plight,
}

/// How it stands with a ghost: what is at its path, and what forbids its rescue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plight {
    /// The server, as in [`Ghost::pid`]: what a person can do about it names it.
    pub pid: Option<i32>,
    /// What stands at its path.
    pub standing: Standing,
    /// Why it is not to be rescued; `None`: it can be.
    pub bar: Option<Bar>,
}

/// What stands at a ghost's path now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Nothing,
    /// Not even the folder is there.
    NoDirectory,
    /// The socket of another server that listens: its pid, where it can be told.
    Live(Option<i32>),
    /// A socket on which nobody is seen to listen.
    Socket,
    /// Something else.
    Other(FileType),
}

/// Why a ghost is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        pid: Option<i32>,
        /// It is a tmux server and the ghost the only one of the path: it can be set aside.
        yields: bool,
    },
    /// Something that is no socket stands there.
    Occupied(FileType),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Not at all: its directory cannot be written there.
    None,
    /// By the signal, sent by hand.
    Signal,
    /// By the signal, or by this program, which can be run there.
    SignalOrInside,
}
