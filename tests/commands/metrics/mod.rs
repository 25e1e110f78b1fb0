//! The health row for fleets: the text, the file, and what Prometheus makes of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::float_cmp,
    reason = "a test fails loudly; counts are exact"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../watch/scene.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod daemon;

mod fleet;
mod shipped;
mod status;
mod watch;
