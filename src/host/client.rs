//! The one place that runs the tmux program.
//!
//! Always on a resolved path (`-S`), in an environment that names no other server, with a deadline,
//! and with `-N` wherever no server may be started by it.

use super::child::{self, End, Ended};
use super::{program, quote};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long a client may take. A server that is stopped or hangs keeps its clients for ever.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// Set for a spawn that is run outside of the unit that it began in: the unit that it runs in.
pub(crate) const OUTSIDE: &str = "TMUX_JANITOR_OUTSIDE";

/// What a tmux server must not inherit: which server and pane its starter runs in, and what systemd
/// told its starter alone (`NOTIFY_SOCKET`; sockets, which tmux ≥ 3.4 would take for its own).
pub(crate) const NOT_INHERITED: &[&str] = &[
    "TMUX",
    "TMUX_PANE",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "MAINPID",
    "MANAGERPID",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    OUTSIDE,
];

/// Whether a client may start a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// If none listens.
    Allowed,
    /// Never (`-N`).
    Never,
}

/// A multiplexer's program, and the socket of the server that is meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tmux<'a> {
    /// The program, looked for in `PATH` if it is a bare name.
    pub program: &'a Path,
    /// The socket, absolute.
    pub socket: &'a Path,
    /// Write names as UTF-8 whatever the locale is (`-u`).
    pub utf8: bool,
}

impl Tmux<'_> {
    /// The arguments of a client, program first. Each word arrives as it is; those that are formats
    /// must be quoted as such before.
    pub(crate) fn arguments<S: AsRef<OsStr>>(&self, start: Start, words: &[S]) -> Vec<OsString> {
        let mut arguments = self.options(start);
        arguments.extend(words.iter().map(|word| quote::argument(word.as_ref())));
        arguments
    }

    /// The same for several commands, carried out one after the other up to the first that fails. tmux reads all of
    /// them before it carries out the first: where it does not understand one, nothing is done.
    pub(crate) fn sequence(&self, start: Start, commands: &[Vec<OsString>]) -> Vec<OsString> {
        let mut arguments = self.options(start);
        for (command, number) in commands.iter().zip(0..) {
            if number > 0 {
                arguments.push(";".into());
            }
            arguments.extend(command.iter().map(|word| quote::argument(word)));
        }
        arguments
    }

    fn options(&self, start: Start) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![self.program.into()];
        if self.utf8 {
            arguments.push("-u".into());
        }
        if start == Start::Never {
            arguments.push("-N".into());
        }
        arguments.extend(["-S".into(), self.socket.into()]);
        arguments
    }

    /// Asks a server something. Never starts one.
    pub(crate) fn ask<S: AsRef<OsStr>>(&self, words: &[S]) -> io::Result<Ended> {
        let ended = child::run(&mut command(&self.arguments(Start::Never, words)), DEADLINE)?;
        if !is_usage_error(&ended) {
            return Ok(ended);
        }
        // Before 3.2 there is no -N; what is asked here starts no server in any version.
        child::run(&mut command(&self.arguments(Start::Allowed, words)), DEADLINE)
    }
}

/// A command for arguments, in a clean environment.
pub(crate) fn command(arguments: &[OsString]) -> Command {
    let mut arguments = arguments.iter();
    let mut command = program::named(arguments.next().map_or(OsStr::new(""), |program| program));
    command.args(arguments);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    command
}

/// Whether the program did not understand its options.
pub(crate) fn is_usage_error(ended: &Ended) -> bool {
    let line = String::from_utf8_lossy(&ended.err);
    let usage = ["usage:", "invalid option", "unknown option", "unknown flag"];
    ended.end != End::Code(0) && usage.iter().any(|usage| line.contains(usage))
}
