//! What a spawn goes by, and what everybody does who works on it.

use super::place::{Place, PlaceState};
use super::request::Request;
use super::result::Spawned;
use super::scope::Scope;
use super::words;
use crate::config::Settings;
use crate::host::client::{Start, Tmux};
use crate::pass;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::{Processes, Stat};
use tmux_sockets::sweep::{Act, Pass};
use tmux_sockets::witness::Witness;

/// All that a spawn goes by, once its place is known.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) settings: &'a Settings,
    pub(super) user: Uid,
    pub(super) request: &'a Request,
    pub(super) place: &'a Place,
    pub(super) scope: Scope,
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There was no server to ask, so that nothing was done: worth another attempt.
    Socket(String),
    /// Anything else that kept COMMAND from being started.
    Other(String),
    /// COMMAND may have been started.
    Unknown(String),
    /// COMMAND was started, and nothing more is known of its session.
    Ran(String),
    /// A session of that name is there.
    Exists,
}

/// How the session is to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    /// Whether a server has to be started first.
    pub(super) start: Start,
    /// The server that is to be asked, where it can be told.
    pub(super) server: Option<Pid>,
    /// It is too old for the client to understand what it says.
    pub(super) is_mute: bool,
}

impl Job<'_> {
    /// The program, on the session's socket.
    pub(super) fn tmux(&self) -> Tmux<'_> {
        Tmux {
            program: &self.settings.spawn.tmux,
            socket: &self.place.path,
            utf8: !self.request.name.is_ascii() && !self.settings.spawn.clear_registration,
        }
    }

    pub(super) fn cannot_run(&self, error: &std::io::Error) -> Trouble {
        Trouble::Other(words::cannot_run(&self.settings.spawn.tmux, error))
    }

    pub(super) fn is_free(&self, witness: &mut Witness) -> bool {
        let standing = self.place.look(self.settings, self.user, witness);
        matches!(standing, PlaceState::Free | PlaceState::Doubtful)
    }

    /// The server that listens at the path now.
    pub(super) fn server(&self, witness: &mut Witness) -> Option<Pid> {
        self.place.look(self.settings, self.user, witness).server()
    }

    /// Sweeps the session's own label.
    pub(super) fn sweep(&self, witness: &mut Witness, spawned: &mut Spawned) {
        if !self.request.sweep {
            return;
        }
        let sweep = Pass { policy: self.settings, far: &pass::far::Apart, user: self.user, act: Act::Remove };
        let report = pass::remove(&sweep, witness, &[self.place.target()], self.request.dirs.is_empty());
        spawned.swept.extend(report.removed());
    }
}

impl PlaceState {
    /// The server that listens there.
    pub(super) fn server(&self) -> Option<Pid> {
        match self {
            Self::Live(pid) => *pid,
            _ => None,
        }
    }
}

/// Whether a process is stopped.
pub(super) fn is_stopped(pid: Pid) -> bool {
    is_so(pid, Stat::is_stopped)
}

/// Whether a process waits for nothing but a processor.
pub(super) fn is_runnable(pid: Pid) -> bool {
    is_so(pid, Stat::is_runnable)
}

fn is_so(pid: Pid, what: fn(Stat) -> bool) -> bool {
    Processes::open().is_ok_and(|all| all.by_pid(pid).is_some_and(|process| process.stat().is_some_and(what)))
}
