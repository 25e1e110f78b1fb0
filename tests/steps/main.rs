//! The removal in this very process, stopped at its steps (`tmux_janitor::checkpoint`): who acts there loses nothing. What
//! holds a lock here may meet a child of another test, between fork and exec, that has it open, too.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]
#![allow(clippy::print_stdout, reason = "the figures are the result")]
#![cfg(debug_assertions)]

#[path = "../common/mod.rs"]
mod common;

mod aside;
mod checkpoints;
mod reap;
mod shared;
mod start_lock;
mod stopped;
