//! What tells this program about its host and acts on it: processes, mounts that may not answer, accounts, files, units,
//! and tmux's own program.

pub mod apart;
pub mod cgroup;
pub mod child;
pub mod client;
pub mod held;
pub mod inherited;
pub mod lasting;
pub mod notify;
pub mod program;
pub mod quote;
pub mod read;
pub mod replace;
pub mod sandbox;
pub mod told_to_end;
pub mod user_database;
