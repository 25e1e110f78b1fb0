//! Every kind of entry that a socket directory can hold: its verdict, its reason, its outcome.

mod calls;
mod directories;
mod entries;
mod locks;

use crate::common::arena::Arena;
use crate::common::janitor::{Run, janitor};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

fn sweep(dir: &Path) -> Value {
    let run = Run::of(janitor(dir).args(["sweep", "--json"]));
    assert_eq!(run.code, Some(0), "{} {}", run.stdout, run.stderr);
    run.json()
}

fn list(dir: &Path) -> Value {
    Run::of(janitor(dir).args(["list", "--json"])).json()
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// Runs a shell script as root in a mount namespace of its own, and in those that `more` names.
fn in_mount_namespace(more: &[&str], script: &str, arguments: &[&OsStr]) -> Run {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).args(more);
    command.args(["bash", "-euc", script, "test"]);
    command.args(arguments).env("JANITOR", env!("CARGO_BIN_EXE_tmux-janitor"));
    Run::of(&mut command)
}

#[test]
fn probe_says_what_lsb_says_and_starts_nothing() {
    let arena = Arena::new().live("live").dead("dead").bound_only("bound").stopped("stopped");
    fs::write(arena.path("file"), "").unwrap();
    symlink("live", arena.path("link")).unwrap();
    for (label, code, state) in [
        ("live", 0, "live"),
        ("stopped", 0, "live"),
        ("link", 0, "live"),
        ("dead", 1, "dead"),
        ("missing", 3, "absent"),
        ("bound", 4, "unknown"),
        ("file", 4, "not-a-socket"),
    ] {
        let run = Run::of(janitor(arena.dir()).args(["probe", "--json", "-S"]).arg(arena.path(label)));
        let json = run.json();
        assert_eq!((run.code, json["state"].as_str()), (Some(code), Some(state)), "{label}: {json}");
        assert_eq!(json["path"], arena.path(label).to_str().unwrap());
    }
    let json = Run::of(janitor(arena.dir()).args(["probe", "--json", "-L", "live"])).json();
    assert_eq!(json["server_pid"], arena.server("live").pid);
    assert!(!arena.has("missing"), "a probe starts no server");
}

#[test]
fn status_is_one_line_and_its_code_is_the_health() {
    let arena = Arena::new().live("a").dead("stale");
    let run = Run::of(janitor(arena.dir()).arg("status"));
    let expected =
        format!("tmux sockets: 1 live, 1 dead, 0 ghosts (dead: {})\n", arena.path("stale").display());
    assert_eq!((run.code, run.stdout), (Some(1), expected));
    let sweep = Run::of(janitor(arena.dir()).arg("sweep"));
    assert_eq!(
        sweep.stdout,
        format!("removed {}\nswept 1 dead socket; 1 live\n", arena.path("stale").display())
    );
    let run = Run::of(janitor(arena.dir()).args(["status", "--json"]));
    assert_eq!((run.code, &run.json()["healthy"]), (Some(0), &true.into()));
}
