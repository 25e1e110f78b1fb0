//! Which tmux sockets are dead, and how a dead one is removed without ever making a live server unreachable.
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
//! - `ghost`: live servers that nobody can reach, and their rescue.
//!
//! Each imports only those above it in this list: `tests/layers.rs` of the program reads the list here.

pub mod ghost;
pub mod judge;
pub mod kernel;
pub mod remove;
pub mod report;
pub mod sweep;
pub mod tmux;
pub mod witness;
