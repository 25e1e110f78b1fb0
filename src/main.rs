//! The program. Everything it does is in the library.
use std::process::ExitCode;

fn main() -> ExitCode {
    tmux_janitor::run(std::env::args_os()).into()
}
