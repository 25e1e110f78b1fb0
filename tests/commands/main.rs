//! Each command, run as people run it, on folders of sockets of every kind: the real tmux, the real kernel.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]
#![allow(clippy::print_stdout, reason = "figures and logs are for people")]

#[path = "../common/mod.rs"]
mod common;

mod arena;
mod audit;
mod cli;
mod completions;
mod doctor;
mod elsewhere;
mod far;
mod folders;
mod full;
mod ghosts;
mod health;
mod lesser;
mod list;
mod metrics;
mod namespaces;
mod packaging;
mod setup;
mod spawn;
mod strangers;
mod stuck;
mod users;
mod watch;
