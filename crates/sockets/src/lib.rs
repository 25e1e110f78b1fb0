//! Which tmux sockets are dead, and how a dead one is removed without ever making a live server unreachable.
//!
//! No tmux server removes its socket when it ends. Somebody else has to, and whoever does it carelessly, by
//! `tmux ls || rm`, takes away the socket of a server that is just starting: it lives on, and nobody reaches it any more.
//! This library removes what is proven dead by several witnesses, under tmux's own start lock, and nothing else: unknown is
//! alive. [`Sweeper`] is the front door; it needs no tmux, no root and no runtime.
//!
//! # The rooms, from the lowest
//!
//! - `kernel`: what the kernel tells and does: files, mounts, processes, locks, its table of sockets; names as text.
//! - `tmux`: what tmux defines: where its sockets are, the lock under which a server starts.
//! - `judge`: facts in, a verdict out; pure.
//! - `report`: what a pass found and did: plain data, and its sentences.
//! - `witness`: who is asked whether a server lives.
//! - `remove`: the removal, the only one.
//! - `sweep`: one pass over directories: looked at, judged, removed or kept.
//! - `ghost`: live servers that nobody can reach, and their rescue; those that are bound outside of the directories.
//!
//! Each imports only those above it in this list: `tests/house` of the program reads the list here.
//!
//! # Words
//!
//! - *label*: the file name of a socket, as in `tmux -L label`.
//! - *entry*: anything that has a name in a socket directory.
//! - *start lock*: `LABEL.lock`, which tmux holds with flock(2) while a server starts (client.c: `client_get_lock`).
//! - *quarantine*: the name to which a dead socket is moved before it is unlinked.
//! - *verdict*: what an entry is ([`judge::State`]) and why ([`judge::Reason`]); *outcome*: what became of it.
//! - *ghost*: a live server whose socket's file was deleted or replaced.
//! - *outsider*: a live server that is bound outside of the directories that were looked into, and has its socket.
//! - *far*: on a mount that may never answer, because another machine or program has to.

pub mod ghost;
pub mod judge;
pub mod kernel;
pub mod remove;
pub mod report;
pub mod sweep;
pub mod tmux;
pub mod witness;

pub use report::Report;
pub use sweep::{Policy, SpareNothing, Sweeper};
