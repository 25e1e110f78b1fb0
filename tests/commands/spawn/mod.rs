//! `spawn` with the real tmux: data that stays data, a session whatever the directory looks like, and
//! never a second server.

mod data;
mod find;
mod killed;
mod mounts;
mod once;
mod plain;
mod refusal;
mod registration;
pub(crate) mod scene;
mod storm;
mod trouble;
