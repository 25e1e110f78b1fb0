//! logind's runtime directory before it is the user's: root's, 0700, until a file system is mounted on it.

use super::{install, janitor, run};
use crate::common::daemon::Daemon;
use crate::common::wait;
use crate::users::scene::{Hall, User, dead_at, give, make_dir};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The runtime directory as systemd's `user-runtime-dir` makes it, before the mount.
#[track_caller]
fn begin(user: User) -> PathBuf {
    let path = Path::new("/run/user").join(user.0.to_string());
    make_dir(&path, User(0));
    path
}

/// The same as it is from then on.
#[track_caller]
fn runtime_dir(user: User) -> PathBuf {
    let path = Path::new("/run/user").join(user.0.to_string());
    make_dir(&path, user);
    path
}

/// Mounts on it what is the user's, as `user-runtime-dir` does; of the file system of all tests.
#[track_caller]
fn mount(user: User, on: &Path) {
    let own = tempfile::tempdir_in("/tmp").unwrap().keep();
    give(&own, user);
    let mounted = Command::new("mount").arg("--bind").arg(own).arg(on).status();
    assert!(mounted.is_ok_and(|done| done.success()), "mount");
}

#[test]
fn a_runtime_directory_in_the_making_is_a_missing_one() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let user = User::new();
    let path = begin(user);
    for command in ["sweep", "list", "status"] {
        let run = run(user, &[command]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{command}: {}", run.stdout);
    }
    // One that was named is told of.
    let named = path.join(format!("tmux-{}", user.0));
    let run = run(user, &["--dir", named.to_str().unwrap(), "sweep"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("there is no such directory"), "{}", run.stderr);
}

#[test]
fn what_the_user_may_not_read_of_their_own_is_still_told() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let user = User::new();
    let dir = runtime_dir(user).join(format!("tmux-{}", user.0));
    make_dir(&dir, user);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o0)).unwrap();
    let run = run(user, &["sweep"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("it cannot be read: Permission denied"), "{}", run.stderr);
}

/// A dead socket that comes as one: of one that a watcher saw alive, or as root's, it sees the end at its rescan.
fn brought_dead(path: &Path, user: User) {
    let aside = path.parent().unwrap().with_file_name("aside");
    dead_at(&aside, user);
    fs::rename(aside, path).unwrap();
}

/// A watch of the user's, which has looked at everything.
#[track_caller]
fn watching(user: User, arguments: &[&str]) -> Daemon {
    let mut command = janitor(user);
    command.args(arguments).args(["-v", "watch"]);
    let mut daemon = Daemon::begin(command, |_, room| {
        for (path, mode) in [(room.to_owned(), 0o755), (room.join("notify"), 0o777)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    });
    daemon.until_told("READY=1");
    daemon
}

#[test]
fn a_watch_waits_for_the_mount_without_a_word() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let user = User::new();
    let daemon = watching(user, &[]);
    let path = begin(user);
    mount(user, &path);
    let dir = path.join(format!("tmux-{}", user.0));
    make_dir(&dir, user);
    brought_dead(&dir.join("first"), user);
    wait::until("the socket goes", || !dir.join("first").exists());
    // The logout, and the next login.
    let unmounted = Command::new("umount").arg("--lazy").arg(&path).status();
    assert!(unmounted.is_ok_and(|done| done.success()), "umount");
    fs::remove_dir(&path).unwrap();
    begin(user);
    mount(user, &path);
    make_dir(&dir, user);
    brought_dead(&dir.join("second"), user);
    wait::until("the socket goes", || !dir.join("second").exists());
    let log = daemon.log();
    assert!(!log.contains("cannot be"), "{log}");
    daemon.stop();
}

/// Nobody may watch what is not his to read: what stands above it tells that it has become so.
#[test]
fn a_watch_looks_at_once_into_a_folder_that_becomes_the_users() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let user = User::new();
    let dir = runtime_dir(user).join(format!("tmux-{}", user.0));
    for mode in [0o700, 0o755] {
        make_dir(&dir, User(0));
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
        dead_at(&dir.join("x"), user);
        let daemon = watching(user, &[]);
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        give(&dir, user);
        wait::until("the socket goes", || !dir.join("x").exists());
        daemon.stop();
        fs::remove_dir(&dir).unwrap();
    }
    fs::write(&dir, "in its place").unwrap();
    let daemon = watching(user, &[]);

    fs::remove_file(&dir).unwrap();
    make_dir(&dir, user);
    brought_dead(&dir.join("x"), user);
    wait::until("the socket goes", || !dir.join("x").exists());
    daemon.stop();
}

/// Nothing of limits, which have nothing to do with it.
#[test]
fn of_a_folder_behind_one_that_may_not_be_read_a_watch_says_that_and_no_more() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let user = User::new();
    let closed = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let dir = closed.path().join("x");
    fs::create_dir(&dir).unwrap();
    let daemon = watching(user, &["--dir", dir.to_str().unwrap()]);
    wait::until("it says so", || daemon.logged("it cannot be read: Permission denied") == 1);
    assert_eq!(daemon.logged("cannot be watched"), 0, "{}", daemon.log());
}
