//! The program under test.

use serde_json::Value;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program, told to look into `dir` only, with no configuration but what the test gives.
pub(crate) fn janitor(dir: &Path) -> Command {
    let mut command = bare();
    command.arg("--dir").arg(dir);
    command
}

/// The program without arguments, in an environment of nobody.
pub(crate) fn bare() -> Command {
    super::usual_umask();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tmux-janitor"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("XDG_CONFIG_HOME", "/nonexistent")
        // Where it leaves what it ran through, when coverage is measured.
        .envs(std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file)))
        .stdin(Stdio::null());
    command
}

/// Copies a program that is to be run. By another process: here, a child of another thread could have the
/// copy open for writing until its exec, and nobody could run it (`ETXTBSY`).
#[track_caller]
pub(crate) fn copy_program(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("--").arg(from).arg(to).status().expect("cp runs");
    assert!(status.success(), "cp: {status}");
}

/// What a run said.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Run {
    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        command.output().expect("the program starts").into()
    }

    /// The one JSON object on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {:?} {:?}", self.stdout, self.stderr))
    }
}

/// The entry of a label in a JSON result.
#[track_caller]
pub(crate) fn entry<'a>(json: &'a Value, label: &str) -> &'a Value {
    find(json, label).unwrap_or_else(|| panic!("no entry {label:?} in {json:#}"))
}

/// The entry of a label, if there is one.
pub(crate) fn find<'a>(json: &'a Value, label: &str) -> Option<&'a Value> {
    json["sockets"].as_array()?.iter().find(|socket| socket["label"] == label)
}

/// State and outcome of a label.
#[track_caller]
pub(crate) fn fate<'a>(json: &'a Value, label: &str) -> (&'a str, &'a str) {
    let entry = entry(json, label);
    (entry["state"].as_str().unwrap_or_default(), entry["outcome"].as_str().unwrap_or_default())
}

/// Adds arguments to a command in one go.
pub(crate) fn with<S: AsRef<OsStr>>(mut command: Command, arguments: impl IntoIterator<Item = S>) -> Command {
    command.args(arguments);
    command
}
