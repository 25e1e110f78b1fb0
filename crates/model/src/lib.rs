//! A model of the removal protocol, checked state by state.
//!
//! tmux's clients and servers, lock-less starters and our own janitors each take one system call
//! at a time, in every order, and any of them may die between two calls. The checker walks all
//! reachable states and looks for a server that a janitor lost, for a hole in tmux's start lock
//! that tmux alone does not have, and for litter that a quiet sweep does not clear.
//!
//! `docs/protocol.md` lists what is assumed here and what came out. Bigger configurations run
//! with `TMUX_JANITOR_MODEL=full`.
#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a failed expectation is a failed test, and the figures are printed for people"
)]

mod aside;
mod checking;
mod janitor;
mod janitor_end;
mod janitor_lock;
mod kernel;
mod packed;
mod pc;
mod properties;
mod scenarios;
mod setup;
mod symmetry;
mod tmux;
mod trace;
mod tried;
mod world;
