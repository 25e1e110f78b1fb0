//! Which tmux sockets are dead, and how a dead one is removed without ever making a live server unreachable.

pub mod ghost;
pub mod judge;
pub mod kernel;
pub mod remove;
pub mod report;
pub mod sweep;
pub mod tmux;
pub mod witness;
