//! The arguments of the commands that are about sessions: `spawn`, `rescue`.

use crate::spawn::ScopeWish;
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::path::PathBuf;

/// `rescue`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Rescue {
    /// Only say what would be rescued
    #[arg(long)]
    pub dry_run: bool,
    /// Where a newer server has taken the path: it gets a second name, LABEL-new, and the ghost the path
    #[arg(long)]
    pub aside: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
    /// The path of the one ghost that is meant; without it, all of them
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    pub path: Option<PathBuf>,
}

/// Whether a help option is not the last thing on the command line of `spawn`: somebody's NAME. Exit
/// code 0 would say that the session exists.
pub(crate) fn is_name_taken_for_help(arguments: &[OsString]) -> bool {
    let is_help =
        |argument: &OsString| ["-h", "--help", "-V", "--version"].iter().any(|help| argument == help);
    let command = arguments.iter().skip(1).find(|argument| *argument == "spawn" || *argument == "help");
    command.is_some_and(|command| command == "spawn") && !arguments.last().is_some_and(is_help)
}

/// Arguments of `spawn`.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
#[derive(Debug, Clone, Args)]
pub(crate) struct Spawn {
    /// The session's name. One that is an option of ours (-v, --json) is a usage error
    #[arg(allow_hyphen_values = true)]
    pub name: OsString,
    /// The label of its socket; by default spawn- and NAME, made safe
    #[arg(long, value_name = "L", allow_hyphen_values = true)]
    pub socket_label: Option<OsString>,
    /// The directory that it starts in; without it the current one
    #[arg(long, value_name = "DIR", allow_hyphen_values = true, value_hint = ValueHint::DirPath)]
    pub cwd: Option<PathBuf>,
    /// Set a variable in the session's environment (repeatable; tmux 3.2 or newer)
    #[arg(long, value_name = "K=V", allow_hyphen_values = true)]
    pub env: Vec<OsString>,
    /// How wide it is, in columns; without it tmux's default-size, 80
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub width: Option<u16>,
    /// How high it is, in lines; without it tmux's default-size, 24
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub height: Option<u16>,
    /// Give its server a systemd scope of its own; auto: when this runs in a service
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub scope: ScopeWish,
    /// Only make the session in a server that runs already; start none
    #[arg(long)]
    pub join_only: bool,
    /// Exit code 0, not 3, when a session of that name is there already; nothing is changed
    #[arg(long)]
    pub exist_ok: bool,
    /// Do not sweep first
    #[arg(long)]
    pub no_sweep: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
    /// One word is a shell line, several are a program and its arguments; none: a shell
    #[arg(last = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}
