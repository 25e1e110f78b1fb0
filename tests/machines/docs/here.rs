//! Running a scene here, in namespaces of its own.

use super::steps::{Said, Scene};
use crate::common::skip::skip;
use std::fs;
use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::{Command, Stdio};

const ROOM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machines/docs");

/// Whether a scene can be run here; says loudly why not.
#[track_caller]
pub(crate) fn is_possible() -> bool {
    let test = ["--mount", "--pid", "--net", "--ipc", "--fork", "true"];
    let made = Command::new("unshare").args(test).stderr(Stdio::null()).status();
    if made.is_ok_and(|status| status.success()) {
        return true;
    }
    skip("transcripts need root, who may make namespaces");
    false
}

/// What each step of a scene said.
#[track_caller]
pub(crate) fn run(scene: &Scene) -> Vec<Said> {
    crate::common::reader::reader();
    let steps = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::copy(format!("{ROOM}/prologue.sh"), steps.path().join("prologue.sh")).unwrap();
    for (at, step) in scene.steps.iter().enumerate() {
        fs::write(steps.path().join((at + 1).to_string()), &step.script).unwrap();
    }
    // A file, not a pipe, which a process that outlives the scene would keep open.
    let mut out = tempfile::tempfile().unwrap();
    let status = Command::new("timeout")
        .args(["--kill-after=5", "300", "unshare", "--mount", "--propagation", "private", "--pid", "--net"])
        .args(["--ipc", "--fork", "--kill-child", "--mount-proc"])
        .arg(Path::new(ROOM).join("enter"))
        .args([Path::new(env!("CARGO_BIN_EXE_tmux-janitor")), steps.path()])
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .status()
        .unwrap();
    let mut text = String::new();
    out.rewind().and_then(|()| out.read_to_string(&mut text)).unwrap();
    assert!(status.success() || !text.is_empty(), "{}: no room: {status}", scene.page);
    text.split('\x1e').skip(1).map(said).collect()
}

fn said(record: &str) -> Said {
    let (code, text) = record.split_once('\n').unwrap_or((record, ""));
    Said { code: code.to_owned(), text: text.to_owned() }
}
