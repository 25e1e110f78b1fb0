//! What needs a machine: units, logins, cleaners, packages, and what the documentation shows of them, on a booted systemd.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first thing that does not work"
)]

#[path = "../common/mod.rs"]
mod common;

mod docs;
mod doctor;
mod list;
mod machine;
mod packages;
mod spawn;
mod units;
mod watch;
