//! Servers that have lost their sockets, and who tells of them.

use super::arena::{self, Arena, Server};
use super::janitor::{Run, janitor};
use serde_json::Value;
use std::fs;
use std::path::Path;

pub(crate) fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

/// A command of the program with `--json`, which must end with `code`.
#[track_caller]
pub(crate) fn json(dir: &Path, arguments: &[&str], code: i32) -> Value {
    let run = Run::of(janitor(dir).args(arguments).arg("--json"));
    assert_eq!(run.code, Some(code), "{arguments:?}: {} {}", run.stdout, run.stderr);
    run.json()
}

/// The ghosts that `list` shows: their labels and pids.
#[track_caller]
pub(crate) fn ghosts(dir: &Path) -> Vec<(String, i64)> {
    // A directory that was named and is not there is an error of its own.
    let json = json(dir, &["list"], i32::from(!dir.exists()));
    let sockets = json["sockets"].as_array().unwrap();
    sockets
        .iter()
        .filter(|socket| socket["state"] == "ghost")
        .map(|socket| {
            (socket["label"].as_str().unwrap().to_owned(), socket["server_pid"].as_i64().unwrap_or(-1))
        })
        .collect()
}

/// A server that lost its socket `a`, and a newer one that stands there.
pub(crate) fn taken() -> (Arena, Server) {
    let arena = Arena::new().live("a");
    fs::remove_file(arena.path("a")).unwrap();
    let newer = arena::start(&arena.path("a"));
    (arena, newer)
}
