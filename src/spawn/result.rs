//! What a spawn came to, for people and for programs.

use super::session::PaneEnd;
use super::{label, words};
use crate::exit::Error;
use crate::exit::Exit;
use crate::exit::output::Output;
use crate::host::child::{End, Ended};
use crate::host::quote::{argument, is_plain_name};
use crate::logging::id;
use crate::view::cause::signal_name;
use crate::view::json::{raw_bytes, text};
use crate::view::people::plural;
use serde::Serialize;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::PathBuf;
use tmux_sockets::kernel::Label;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::{escaped, shell_word};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The session exists and was verified.
    Made,
    /// A session of that name is there already; nothing was changed.
    Exists,
    /// It was made and COMMAND has ended already.
    Ended,
    /// It could not be made.
    Failed,
}

impl Ending {
    /// The exit code for it.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Made => Exit::Done,
            Self::Exists => Exit::Absent,
            Self::Ended => Exit::Undecided,
            Self::Failed => Exit::Found,
        }
    }
}

/// What is known of COMMAND. It is started once at most, whatever happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandState {
    /// It was started.
    Ran,
    /// It was not.
    NotRun,
    /// The server was lost while it was asked.
    Unknown,
}

/// A spawn and its result.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub ending: Ending,
    /// The name that was asked for.
    pub session: OsString,
    /// The name as tmux keeps it, where it said so.
    pub tmux_name: Option<OsString>,
    /// The socket's path; empty when there is no place for one.
    pub socket: PathBuf,
    pub label: Option<Label>,
    /// The server, where it can be told.
    pub server_pid: Option<Pid>,
    /// How often `new-session` was asked.
    pub attempts: u32,
    /// The sockets that were removed first.
    pub swept: Vec<PathBuf>,
    /// The sockets that ghosts got back first.
    pub rescued: Vec<PathBuf>,
    /// The unit that the server lives in, if it was given one.
    pub scope: Option<String>,
    /// Why it has none although one was wanted.
    pub scope_note: Option<String>,
    /// The directory that was taken instead of the first, and why.
    pub fallback: Option<(PathBuf, String)>,
    /// One text per failed attempt, or how COMMAND ended.
    pub errors: Vec<String>,
    /// What is known of COMMAND.
    pub command: CommandState,
    /// How COMMAND ended, where it did and that is known: its exit code,
    pub exit_status: Option<i32>,
    /// or the number of the signal.
    pub signal: Option<i32>,
    /// What is worth knowing although it went well: one sentence each.
    pub warnings: Vec<String>,
    /// The multiplexer's program.
    pub program: OsString,
}

/// What is known of a run that was given up in the middle.
pub(crate) fn unknown(name: &OsStr, why: String) -> Spawned {
    let mut spawned = Spawned::new(name, OsStr::new(""));
    spawned.doubt(why);
    spawned
}

impl Spawned {
    pub(super) fn new(name: &OsStr, program: &OsStr) -> Self {
        Self {
            ending: Ending::Failed,
            session: name.to_owned(),
            tmux_name: None,
            socket: PathBuf::new(),
            label: None,
            server_pid: None,
            attempts: 0,
            swept: Vec::new(),
            rescued: Vec::new(),
            scope: None,
            scope_note: None,
            fallback: None,
            errors: Vec::new(),
            command: CommandState::NotRun,
            exit_status: None,
            signal: None,
            warnings: Vec::new(),
            program: program.to_owned(),
        }
    }

    pub(super) fn succeed(&mut self) {
        self.ending = Ending::Made;
    }

    pub(super) fn exists(&mut self, server_pid: Option<Pid>) {
        self.ending = Ending::Exists;
        self.server_pid = server_pid;
        self.scope = None;
        self.scope_note = None;
    }

    pub(super) fn fail(&mut self, error: String) {
        self.errors.push(error);
        self.give_up();
    }

    /// Whether COMMAND was started is not known.
    pub(super) fn doubt(&mut self, error: String) {
        self.command = CommandState::Unknown;
        self.fail(error);
    }

    /// COMMAND was started, and nothing more is known of the session.
    pub(super) fn lose(&mut self, error: String) {
        self.command = CommandState::Ran;
        self.fail(error);
    }

    /// COMMAND was started and has ended.
    pub(super) fn end(&mut self, error: String, end: Option<PaneEnd>) {
        self.ending = Ending::Ended;
        self.exit_status = end.and_then(|end| end.status);
        self.signal = end.and_then(|end| end.signal);
        self.errors.push(error);
    }

    /// What somebody on the way to tmux said on stderr, and tmux itself, although it went well.
    pub(super) fn note_noise(&mut self, said: &[u8]) {
        let said = String::from_utf8_lossy(said);
        let said = said.trim();
        if !said.is_empty() {
            let note = words::noise(said);
            if !self.warnings.contains(&note) {
                self.warnings.push(note);
            }
        }
    }

    /// Every error has been told.
    pub(super) fn give_up(&mut self) {
        self.ending = Ending::Failed;
        self.scope = None;
    }

    /// `spawned "build" on /tmp/tmux-1000/spawn-build (pid 4711) after cleaning 1 stale socket; attach: tmux -S
    /// /tmp/tmux-1000/spawn-build attach`.
    pub(crate) fn sentence(&self) -> String {
        let (name, socket) = (escaped(&self.session), escaped(&self.socket));
        let pid = self.server_pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
        if self.ending == Ending::Exists {
            return format!(
                "\"{name}\" is there already on {socket}{pid}; nothing was changed; attach: {}",
                self.attach()
            );
        }
        let mut text = format!("spawned \"{name}\" on {socket}{pid}");
        // Writing to a String cannot fail.
        if !self.swept.is_empty() {
            let _ = write!(text, " after cleaning {}", plural(self.swept.len(), "stale socket"));
        }
        if !self.rescued.is_empty() {
            let _ = write!(text, " after rescuing {}", plural(self.rescued.len(), "ghost"));
        }
        if let Some(name) = self.tmux_name.as_ref().filter(|name| **name != self.session) {
            let _ = write!(text, "; tmux calls it \"{}\"", escaped(name));
        }
        if let Some(unit) = &self.scope {
            let _ = write!(text, "; in {}", escaped(unit));
        }
        if let Some(why) = &self.scope_note {
            let _ = write!(text, "; without a scope of its own: {}", escaped(why));
        }
        if let Some((_, why)) = &self.fallback {
            let _ = write!(text, "; not in the first directory: {}", escaped(why));
        }
        let _ = write!(text, "; attach: {}", self.attach());
        text
    }

    /// The command that attaches to it, for a shell. On a socket that is not this session's own there are others, of
    /// which tmux would take the one that was used last.
    fn attach(&self) -> String {
        let mut command = format!("{} -S {} attach", shell_word(&self.program), shell_word(&self.socket));
        let name = self.tmux_name.as_ref().unwrap_or(&self.session);
        let room = self.label.as_ref().map_or(0, |label| label.len());
        if label::of(&self.session, room) != self.label && is_plain_name(name) {
            let mut target = OsString::from("=");
            target.push(name);
            // Writing to a String cannot fail.
            let _ = write!(command, " -t {}", shell_word(&argument(&target)));
        }
        command
    }

    /// Tells the log of a session that was made.
    pub(crate) fn log(&self, uid: Uid) {
        let dir = self.socket.parent().unwrap_or(&self.socket);
        tracing::info!(
            message_id = id::SESSION_SPAWNED,
            tmux_janitor.socket = text(self.socket.as_os_str()),
            tmux_janitor.label = self.label.as_deref().map(text),
            tmux_janitor.dir = text(dir.as_os_str()),
            tmux_janitor.uid = uid.raw(),
            tmux_janitor.server_pid = self.server_pid.map(Pid::raw),
            "{}",
            self.sentence()
        );
    }

    /// One object for programs.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct SpawnObject<'a> {
            version: u32,
            command: &'static str,
            outcome: &'static str,
            command_state: &'static str,
            exit_status: Option<i32>,
            signal: Option<String>,
            session: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            session_bytes: Option<&'a [u8]>,
            tmux_name: Option<String>,
            socket: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            socket_bytes: Option<&'a [u8]>,
            label: Option<String>,
            server_pid: Option<Pid>,
            attempts: u32,
            swept: Vec<String>,
            rescued: Vec<String>,
            scope: Option<&'a str>,
            scope_error: Option<&'a str>,
            fallback_dir: Option<String>,
            fallback_reason: Option<&'a str>,
            errors: &'a [String],
            warnings: &'a [String],
        }
        let paths = |paths: &[PathBuf]| paths.iter().map(|path| text(path.as_os_str())).collect();
        let has_place = self.label.is_some();
        serde_json::to_string(&SpawnObject {
            version: 1,
            command: "spawn",
            outcome: match self.ending {
                Ending::Made => "spawned",
                Ending::Exists => "exists",
                Ending::Ended => "ended",
                Ending::Failed => "failed",
            },
            command_state: match self.command {
                CommandState::Ran => "ran",
                CommandState::NotRun => "not-run",
                CommandState::Unknown => "unknown",
            },
            exit_status: self.exit_status,
            signal: self.signal.map(signal_name),
            session: text(&self.session),
            session_bytes: raw_bytes(&self.session),
            tmux_name: self.tmux_name.as_deref().map(text),
            socket: has_place.then(|| text(self.socket.as_os_str())),
            socket_bytes: raw_bytes(self.socket.as_os_str()),
            label: self.label.as_deref().map(text),
            server_pid: self.server_pid,
            attempts: self.attempts,
            swept: paths(&self.swept),
            rescued: paths(&self.rescued),
            scope: self.scope.as_deref(),
            scope_error: self.scope_note.as_deref(),
            fallback_dir: self.fallback.as_ref().map(|(dir, _)| text(dir.as_os_str())),
            fallback_reason: self.fallback.as_ref().map(|(_, why)| why.as_str()),
            errors: &self.errors,
            warnings: &self.warnings,
        })
    }
}

/// Passes on what a run outside of our unit said, and how it ended.
pub(crate) fn pass_on(ended: &Ended, output: &mut Output) -> Result<Exit, Error> {
    crate::logging::stderr::write(&ended.err);
    let said = String::from_utf8_lossy(&ended.out);
    if !said.is_empty() {
        output.line(said.trim_end_matches('\n'))?;
    }
    match ended.end {
        End::Code(code) => Ok(Exit::of_code(code)),
        End::Signal(_) | End::GivenUp => {
            tracing::error!("the run outside of this unit did not end in time");
            Ok(Exit::Found)
        }
    }
}
