//! `spawn` with the real tmux: data that stays data, a session whatever the directory looks like, and
//! never a second server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]
#![allow(clippy::print_stdout, reason = "the figures are the result")]

#[path = "../common/mod.rs"]
mod common;

mod data;
mod find;
mod killed;
mod once;
mod plain;
mod refusal;
mod registration;
mod scene;
mod storm;
mod trouble;
