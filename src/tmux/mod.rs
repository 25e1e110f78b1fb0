//! What tmux itself defines: its paths, its start lock, its program.

pub mod client;
pub mod held;
pub mod inherited;
#[path = "../../crates/sockets/src/kernel/lease.rs"]
pub mod lease;
#[path = "../../crates/sockets/src/tmux/paths.rs"]
pub mod paths;
#[path = "../../crates/sockets/src/kernel/locks.rs"]
pub mod proc_locks;
pub mod quote;
#[path = "../../crates/sockets/src/tmux/start_lock/mod.rs"]
pub mod start_lock;
#[path = "../../crates/sockets/src/tmux/stuck.rs"]
pub mod stuck;
#[path = "../../crates/sockets/src/kernel/unstopped.rs"]
pub mod unstopped;
