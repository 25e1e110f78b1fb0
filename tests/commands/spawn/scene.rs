//! A folder of sockets to spawn into; what was spawned there ends with it.

use crate::common::arena::{self, Arena, Server, tmux};
use crate::common::janitor::{Run, janitor};
use serde_json::Value;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A soft limit that 40 live servers are too many for.
pub(crate) const FEWER: u32 = 40;

/// The same command, of a login that may have so few files open, and more if it asks.
pub(crate) fn with_fewer_descriptors(command: &Command) -> Command {
    let mut bash = Command::new("bash");
    bash.args(["-c", r#"ulimit -S -n "$0"; exec "$@""#, &FEWER.to_string()]);
    bash.arg(command.get_program()).args(command.get_args());
    bash.env("HOME", "/nonexistent").env_remove("XDG_CONFIG_HOME").env_remove("TMUX");
    bash
}

pub(crate) struct Scene {
    spawned: RefCell<Vec<Server>>,
    pub(crate) arena: Arena,
    /// A folder beside the arena.
    pub(crate) room: tempfile::TempDir,
    config: PathBuf,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::of(Arena::new())
    }

    pub(crate) fn of(arena: Arena) -> Self {
        let tmux = arena::tmux_program().into_string().unwrap();
        let scene = Self {
            spawned: RefCell::default(),
            arena,
            room: tempfile::tempdir().unwrap(),
            config: PathBuf::new(),
        };
        scene.configured(&format!("tmux = {tmux:?}"))
    }

    /// With this in the `[spawn]` table of its configuration. COMMAND is watched for a moment only, if it is not said
    /// how long.
    pub(crate) fn configured(mut self, table: &str) -> Self {
        self.config = self.room.path().join("config.toml");
        let settle = if table.contains("settle") { "" } else { "settle = \"10ms\"\n" };
        fs::write(&self.config, format!("[spawn]\n{settle}{table}\n")).unwrap();
        self
    }

    /// `spawn` with these arguments, to be run.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = janitor(self.arena.dir());
        command.arg("--config").arg(&self.config).arg("spawn").args(arguments);
        command
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Run {
        Run::of(&mut self.command(arguments))
    }

    /// Runs it with `--json`; its server ends with the scene.
    #[track_caller]
    pub(crate) fn spawn<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> (Run, Value) {
        let mut command = self.command(["--json"]);
        let run = Run::of(command.args(arguments));
        let json = run.json();
        self.adopt(&json);
        (run, json)
    }

    /// The same, and it must succeed.
    #[track_caller]
    pub(crate) fn made<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Value {
        let (run, json) = self.spawn(arguments);
        assert_eq!(run.code, Some(0), "{json:#} {}", run.stderr);
        assert_eq!(json["version"], 1);
        assert_eq!(json["command"], "spawn");
        json
    }

    /// Sees to it that the server of a result ends with the scene. It may have ended already.
    pub(crate) fn adopt(&self, json: &Value) {
        let pid = json["server_pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        // Not a listener of the test itself.
        let is_tmux = |pid: &i32| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.starts_with("tmux: server"))
        };
        if let Some(pid) = pid.filter(is_tmux) {
            self.spawned.borrow_mut().push(Server::of(pid));
        }
    }

    /// The sessions on a socket, one name a line.
    #[track_caller]
    pub(crate) fn sessions(socket: impl AsRef<Path>) -> String {
        let output = tmux(socket.as_ref()).args(["list-sessions", "-F", "#{session_name}"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// The path of a name in the room.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.room.path().join(name)
    }
}

/// Long enough for any COMMAND here; one that ends ends the wait.
const SETTLE: &str = "settle = \"5s\"\nverify-delay = \"10ms\"";

impl Scene {
    /// A scene in which COMMAND has all the time to end that it needs, with this in the user's `.tmux.conf`.
    pub(crate) fn settled(configuration: &str) -> Self {
        let scene = Self::new();
        fs::write(scene.path(".tmux.conf"), configuration).unwrap();
        let tmux = arena::tmux_program().into_string().unwrap();
        scene.configured(&format!("tmux = {tmux:?}\n{SETTLE}"))
    }

    /// `spawn --json` with that configuration in force.
    #[track_caller]
    pub(crate) fn at_home(&self, arguments: &[&str]) -> (Run, Value) {
        let mut command = self.command(["--json"]);
        let run = Run::of(command.args(arguments).env("HOME", self.room.path()).env("SHELL", "/bin/sh"));
        let json = run.json();
        self.adopt(&json);
        (run, json)
    }

    /// A COMMAND that adds a line to a file, and the number of lines there.
    pub(crate) fn counting(&self, then: &str) -> (String, impl Fn() -> usize + use<>) {
        let file = self.path("lines");
        let line = format!("echo >>'{}'; {then}", file.display());
        (line, move || fs::read_to_string(&file).unwrap_or_default().lines().count())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Whatever else was started here ends as well, by the pid that the table and /proc tell.
        let json = Run::of(janitor(self.arena.dir()).args(["list", "--json"])).json();
        for entry in json["sockets"].as_array().into_iter().flatten() {
            self.adopt(entry);
        }
    }
}

/// A result's text.
#[track_caller]
pub(crate) fn text<'a>(json: &'a Value, field: &str) -> &'a str {
    json[field].as_str().unwrap_or_else(|| panic!("no {field} in {json:#}"))
}

/// All errors of a result in one text.
pub(crate) fn errors(json: &Value) -> String {
    json["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}

/// Whether no server has a session there, nor keeps its starter's client.
pub(crate) fn is_silent(socket: &Path) -> bool {
    tmux(socket).arg("list-sessions").output().is_ok_and(|answer| !answer.status.success())
}
