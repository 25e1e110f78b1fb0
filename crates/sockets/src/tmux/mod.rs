//! What tmux itself defines: where its sockets are, and the lock under which it starts.

mod directory;
pub(crate) mod moves;
pub mod paths;
pub mod quarantine;
mod sentences;
pub mod shared;
pub mod start_lock;
pub mod stuck;

pub use directory::{DirectoryError, SocketDir, Strictness, is_in_the_making, whereabouts};
