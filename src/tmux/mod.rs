//! What tmux itself defines: its paths, its start lock, its program.

pub mod client;
pub mod held;
pub mod inherited;
pub mod lease;
pub mod paths;
pub mod proc_locks;
pub mod quote;
pub mod start_lock;
pub mod stuck;
pub mod unstopped;
