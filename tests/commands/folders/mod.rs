//! Where sockets are looked for.

mod closed;
mod elsewhere;
mod foreseen;
mod globs;
mod kin;
mod runtime;
mod shut;

use crate::common::janitor::{Run, copy_program};
use crate::users::scene::User;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// The program, where every user may run it. In a [`crate::users::scene::Hall`] only.
const JANITOR: &str = "/tmp/janitor";

/// Copies the program there.
#[track_caller]
fn install() {
    copy_program(Path::new(env!("CARGO_BIN_EXE_tmux-janitor")), Path::new(JANITOR));
}

/// The program as a user.
fn janitor(user: User) -> Command {
    user.command(OsStr::new(JANITOR))
}

#[track_caller]
fn run(user: User, arguments: &[&str]) -> Run {
    Run::of(janitor(user).args(arguments))
}
