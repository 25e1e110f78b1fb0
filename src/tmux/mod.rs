//! What tmux itself defines: its paths, its start lock.

pub mod lease;
pub mod paths;
pub mod proc_locks;
pub mod start_lock;
