//! The cleaner that makes ghosts: systemd-tmpfiles in another network namespace, whose table shows it
//! nobody (systemd #42771).

use super::scene::{folder, is_root, rescue};
use crate::common::arena::{self, Arena};
use crate::common::ghosts::ghosts;
use crate::common::skip::skip;
use crate::common::wait;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Lets systemd-tmpfiles age everything in `parent` away.
#[track_caller]
fn clean(parent: &Path, rules: &Path) {
    fs::write(rules, format!("d {} 0700 - - 0\n", parent.display())).unwrap();
    let mut cleaner = Command::new("unshare");
    cleaner.args(["--net", "systemd-tmpfiles", "--clean"]).arg(rules);
    assert!(cleaner.status().unwrap().success());
}

#[test]
fn what_systemd_tmpfiles_deletes_is_rescued_and_what_is_shielded_stays() {
    let is_there = Command::new("systemd-tmpfiles").arg("--version").output().is_ok();
    if !is_root() || !is_there {
        return skip("needs root and systemd-tmpfiles");
    }
    let (arena, other) = (Arena::new(), Arena::new());
    let (dir, servers) = folder(&arena, &["a"]);
    let rules = other.path("rules.conf");

    // The shield that `watch` holds (`protect`): a shared lock on the directory.
    let shield = fs::File::open(&dir).unwrap();
    rustix::fs::flock(&shield, rustix::fs::FlockOperation::LockShared).unwrap();
    clean(arena.dir(), &rules);
    assert_eq!(arena::pid_of(&dir.join("a")), servers[0].pid);
    drop(shield);

    // A child of another test, between fork and exec, may hold the shield a moment longer.
    wait::until("without the shield the directory goes, with a live server's socket in it", || {
        clean(arena.dir(), &rules);
        !dir.exists()
    });
    assert_eq!(ghosts(&dir), [("a".to_owned(), servers[0].pid.into())]);
    assert_eq!(rescue(&dir, "a"), "rescued");
    assert_eq!(arena::pid_of(&dir.join("a")), servers[0].pid);
}
