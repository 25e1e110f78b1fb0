//! Ghosts: live servers whose socket was deleted or replaced, found and rescued. Real tmux.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

#[path = "../common/mod.rs"]
mod common;

mod alarms;
mod aside;
#[cfg(debug_assertions)]
mod aside_steps;
mod promised;
mod refused;
mod rescued;
mod scene;
mod storm;
mod tmpfiles;
mod told;
