//! Faults from outside: every system call that the program makes fails once, with every plausible errno,
//! or ends it with SIGKILL (`strace -e inject`). Whatever happens: no live server is lost, nobody panics,
//! the exit code is one of the contract, the next sweep clears everything, and tmux starts.
//!
//! A run takes a sample: of calls that are alike only some. `TMUX_JANITOR_FAULTS=all` takes each,
//! `TMUX_JANITOR_FAULTS=read,openat` each of these.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]
#![allow(clippy::print_stdout, reason = "the figures are the result")]

#[path = "../common/mod.rs"]
mod common;

mod errnos;
mod plan;
mod play;
mod scene;
mod spawn;
mod strace;
mod sweep;
mod watch;

/// Why nothing can be injected here, if so.
fn is_hindered() -> bool {
    let works = strace::works();
    if !works {
        common::skip::skip("strace cannot trace here");
    }
    !works
}
