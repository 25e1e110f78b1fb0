//! The folder itself: which is swept, and what is said of one that is not.

use super::{in_mount_namespace, is_root};
use crate::common::arena::Arena;
use crate::common::janitor::{Run, entry, fate, janitor};
use crate::common::skip::skip;
use crate::common::wait;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

#[test]
fn directories_that_tmux_would_refuse_are_reported_and_left_alone() {
    let parent = tempfile::tempdir().unwrap();
    let uid = rustix::process::getuid().as_raw();
    let dir = parent.path().join(format!("tmux-{uid}"));
    fs::create_dir(&dir).unwrap();
    let dead = dir.join("dead");
    let check = |mode: u32, part: &str| {
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
        let _ = fs::remove_file(&dead);
        wait::leave_dead(&dead);
        let run = Run::of(janitor(&dir).args(["sweep", "--json"]));
        let error = run.json()["directories"][0]["error"].clone();
        if part.is_empty() {
            assert_eq!((run.code, error), (Some(0), Value::Null));
            assert!(!dead.exists());
        } else {
            assert!(error.as_str().unwrap().contains(part), "{error}");
            assert_eq!(run.code, Some(1));
            assert!(dead.exists());
            assert!(run.stderr.contains(part), "{}", run.stderr);
        }
    };
    check(0o701, "open to others");
    check(0o777, "open to others");
    check(0o700, "");
    check(0o770, "");
    let link = tempfile::tempdir().unwrap();
    let link = link.path().join(format!("tmux-{uid}"));
    symlink(&dir, &link).unwrap();
    let run = Run::of(janitor(&link).args(["sweep", "--json"]));
    assert!(
        run.json()["directories"][0]["error"].as_str().unwrap().contains("no real directory"),
        "{}",
        run.stdout
    );
    let plain = parent.path().join("plain");
    fs::create_dir(&plain).unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o1777)).unwrap();
    let run = Run::of(janitor(&plain).args(["list"]));
    assert!(run.code == Some(1) && run.stderr.contains("others can write it"), "{}", run.stderr);
    assert_eq!(Run::of(janitor(&parent.path().join("missing")).args(["sweep"])).code, Some(1));
}

#[test]
fn one_directory_under_two_names_is_swept_once() {
    let arena = Arena::new().dead("dead");
    let link = tempfile::tempdir().unwrap();
    symlink(arena.dir(), link.path().join("l")).unwrap();
    let json =
        Run::of(janitor(arena.dir()).arg("--dir").arg(link.path().join("l")).args(["list", "--json"])).json();
    assert_eq!(json["directories"].as_array().unwrap().len(), 1);
    assert_eq!(json["counts"]["dead"], 1);
}

#[test]
fn a_read_only_mount_fails_with_its_cause_and_cure() {
    if !is_root() {
        return skip("needs root: it mounts");
    }
    let arena = Arena::new().dead("dead").live("live");
    let script =
        r#"mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; exec "$JANITOR" --dir "$1" sweep --json"#;
    let run = in_mount_namespace(&[], script, &[arena.dir().as_os_str()]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let json = run.json();
    assert_eq!(fate(&json, "dead"), ("dead", "failed"));
    let error = entry(&json, "dead")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("read-only") && error.contains("findmnt"), "{error}");
    assert_eq!(json["counts"]["live"], 1);
    assert_eq!(arena.names(), ["dead", "live"]);
}

#[test]
fn an_immutable_directory_fails_with_its_cause_and_cure() {
    if !is_root() {
        return skip("needs root: it sets the immutable attribute");
    }
    let arena = Arena::new().dead("dead");
    let set = |flag| {
        Command::new("chattr").arg(flag).arg(arena.dir()).output().is_ok_and(|done| done.status.success())
    };
    if !set("+i") {
        return skip("chattr cannot set the immutable attribute on this file system");
    }
    let run = Run::of(janitor(arena.dir()).args(["sweep", "--json"]));
    assert!(set("-i"));
    assert_eq!(run.code, Some(1));
    let error = entry(&run.json(), "dead")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("immutable"), "{error}");
}
