//! Ghosts: live tmux servers that nobody can reach, because their socket's file was deleted or
//! another file stands at its path. The story for people: `docs/ghosts.md`.
//!
//! [`find()`] sees them in the kernel's table of sockets and in `/proc`, without touching or connecting
//! to anything: a socket that listens, whose bound path leads elsewhere or nowhere, and whose owner
//! is found alive. It looks twice, because a server that makes its socket anew has none for a moment.
//!
//! [`rescue()`] asks such a server to make its socket anew (SIGUSR1), and only where nothing can be
//! lost: everything that is proven about it is in `proof`, and the path's start lock is held.
//! The same look shows the live servers that are bound outside of the directories, and are no ghosts: [`find_outside`].
//!
//! [`would_rescue`] says what it would do. [`set_aside`] does it where a newer server has taken the path, which gets a
//! second name first.

mod area;
mod aside;
mod entries;
pub mod find;
mod folder;
mod forecast;
mod found;
mod holders;
mod outside;
pub mod panes;
mod proof;
mod reach;
mod reached;
pub mod rescue;

pub use area::Area;
pub use aside::{Aside, set_aside, would_set_aside};
pub use entries::{enter, enter_rescue};
pub use find::find;
pub use folder::Anew;
pub use forecast::would_rescue;
pub use found::Found;
pub use outside::{Known, Outsider, enter_outside, find_behind, find_outside};
pub use reached::Reached;
pub use rescue::{Rescue, rescue};

use crate::judge::Plight;
use crate::kernel::Pid;
use crate::kernel::SocketNumber;
use std::path::PathBuf;

/// A server whose socket cannot be reached at its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ghost {
    /// The path its socket was bound to, and that it would bind again. It ends in a name.
    pub path: PathBuf,
    /// The number of its listening socket, as the kernel's table has it.
    pub socket: SocketNumber,
    /// The server. `None`: it cannot be told from here (a user namespace: `PrivateUsers=`; another PID namespace).
    pub pid: Option<Pid>,
    /// How it stands with it.
    pub plight: Plight,
}
