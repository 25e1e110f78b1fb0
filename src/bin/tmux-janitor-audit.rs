//! The part of tmux-janitor that reads scripts. Everything it does is in the library.
use std::process::ExitCode;

fn main() -> ExitCode {
    tmux_janitor::audit::reader::run(std::env::args_os()).into()
}
