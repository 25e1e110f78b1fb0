//! What the ghost tests have in common.

use crate::common::arena::{self, Arena, Server};
use crate::common::ghosts::user;
use crate::common::janitor::{Run, entry, janitor};
use crate::common::wait;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The reason of the one ghost of a label, whatever else has that label.
#[track_caller]
pub(crate) fn ghost<'a>(json: &'a Value, label: &str) -> &'a Value {
    let sockets = json["sockets"].as_array().unwrap();
    let mut found = sockets.iter().filter(|socket| socket["label"] == label && socket["state"] == "ghost");
    let first = found.next().unwrap_or_else(|| panic!("no ghost {label} in {json:#}"));
    assert!(found.next().is_none(), "two ghosts {label} in {json:#}");
    first
}

/// Rescues everything in `dir`; the outcome of a label. The exit code says whether a ghost is left.
#[track_caller]
pub(crate) fn rescue(dir: &Path, label: &str) -> String {
    let run = Run::of(janitor(dir).args(["rescue", "--json"]));
    let json = run.json();
    let mut ghosts = json["sockets"].as_array().unwrap().iter().filter(|socket| socket["state"] == "ghost");
    let is_left = ghosts.any(|ghost| ghost["outcome"] != "rescued");
    assert_eq!(run.code, Some(i32::from(is_left)), "{json:#}");
    entry(&json, label)["outcome"].as_str().unwrap().to_owned()
}

/// What a server says of itself.
#[track_caller]
pub(crate) fn say(socket: &Path, arguments: &[&str]) -> String {
    let output = arena::tmux(socket).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A `tmux-UID` folder in an arena, with a server for each label.
pub(crate) fn folder(arena: &Arena, labels: &[&str]) -> (PathBuf, Vec<Server>) {
    let dir = arena.path(format!("tmux-{}", user()));
    fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
    let servers = labels.iter().map(|label| arena::start(&dir.join(label))).collect();
    (dir, servers)
}

/// Runs a shell script as root in a mount namespace of its own; it must succeed.
#[track_caller]
pub(crate) fn in_mount_namespace(script: &str, dir: &Path) -> String {
    let run = Run::of(
        wait::in_time("unshare")
            .args(["--mount", "--propagation", "private", "bash", "-euc", script, "test"])
            .arg(dir)
            .env("JANITOR", env!("CARGO_BIN_EXE_tmux-janitor"))
            .env("TMUX_PROGRAM", arena::tmux_program())
            .env_remove("TMUX"),
    );
    assert_eq!(run.code, Some(0), "{}\n{}", run.stdout, run.stderr);
    run.stdout
}

pub(crate) fn is_root() -> bool {
    rustix::process::getuid().is_root()
}
