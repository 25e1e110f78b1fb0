//! What tells this program about its host and acts on it: processes, mounts that may not answer, accounts, files, units,
//! and tmux's own program.

pub(crate) mod apart;
pub(crate) mod cgroup;
pub(crate) mod child;
pub(crate) mod client;
pub(crate) mod descriptors;
pub(crate) mod held;
pub(crate) mod inherited;
pub(crate) mod lasting;
pub(crate) mod memory;
pub(crate) mod notify;
pub(crate) mod program;
pub(crate) mod quote;
pub(crate) mod read;
pub(crate) mod replace;
pub(crate) mod sandbox;
pub(crate) mod systemd;
pub(crate) mod told_to_end;
pub(crate) mod user_database;
