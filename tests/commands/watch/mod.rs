//! The daemon and the event stream, with real tmux servers on the real kernel.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails loudly"
)]

#[path = "../common/mod.rs"]
mod common;

mod deaths;
mod fake;
mod limits;
mod places;
mod rescues;
mod scene;
mod service;
mod stream;
mod told;
mod unread;
