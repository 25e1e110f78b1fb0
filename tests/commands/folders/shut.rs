//! Folders of a pattern behind one that cannot be read: "saw nothing" is not "nothing is there".

use super::{install, janitor};
use crate::common::daemon::Daemon;
use crate::common::janitor::Run;
use crate::common::wait;
use crate::users::scene::{Hall, User, dead_at, error_of, make_dir, removed, stray_of};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn set_mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn config(text: &str) {
    fs::write("/tmp/config.toml", text).unwrap();
    set_mode("/tmp/config.toml", 0o644);
}

#[track_caller]
fn run(user: User, arguments: &[&str]) -> Run {
    Run::of(janitor(user).args(["--config", "/tmp/config.toml"]).args(arguments))
}

/// `sockets` with a dead socket in it, in a folder of that name.
#[track_caller]
fn folder(name: &str, user: User) -> PathBuf {
    let path = Path::new("/tmp/x").join(name);
    make_dir(&path, user);
    make_dir(&path.join("sockets"), user);
    dead_at(&path.join("sockets/dead"), user);
    path
}

/// Everybody who looks tells of that folder.
#[track_caller]
fn is_told(user: User, path: &str, cure: Option<&str>) {
    let line = format!("{path}: it cannot be read: Permission denied");
    for command in ["list", "sweep", "rescue"] {
        let run = run(user, &[command, "--json"]);
        assert_eq!(run.code, Some(1), "{command}: {}", run.stdout);
        assert!(run.stderr.contains(&line), "{command}: {}", run.stderr);
        let json = run.json();
        assert_eq!(
            error_of(&json, Path::new(path)),
            Some("it cannot be read: Permission denied"),
            "{json:#}"
        );
    }
    let status = run(user, &["status"]);
    assert!(status.code == Some(4) && status.stdout.contains(&line), "{}", status.stdout);
    let checked = run(user, &["check-config"]);
    assert_eq!((checked.code, checked.stdout.as_str()), (Some(0), "configuration: ok\n"));
    assert!(checked.stderr.contains(&line), "{}", checked.stderr);
    let doctor = run(user, &["doctor", "--json"]).json();
    let of_it = |finding: &&Value| finding["what"].as_str().unwrap().contains(&line);
    let found = doctor["findings"].as_array().unwrap().iter().find(of_it);
    let found = found.unwrap_or_else(|| panic!("{doctor:#}"));
    assert_eq!(found["command"].as_str(), cure, "{found:#}");
}

#[test]
fn what_may_be_the_users_own_is_an_error_and_what_others_shut_is_none() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let (user, other) = (User::new(), User::new());
    config("extra-socket-dirs = [\"/tmp/x/*/sockets\", \"/tmp/y-*/*-sockets\"]\n");
    make_dir(Path::new("/tmp/x"), user);
    let (a, b) = (folder("a", user), folder("b", user));
    for (name, whose) in [("theirs", other), ("lost+found", User(0))] {
        make_dir(&Path::new("/tmp/x").join(name), whose);
    }
    for (path, whose) in [("/tmp/y-1", other), ("/tmp/y-2", User(0))] {
        make_dir(Path::new(path), whose);
    }
    // Nobody needs to list a folder in which the name is known.
    set_mode(&a, 0o300);
    let healthy = run(user, &["sweep", "--json"]);
    let json = healthy.json();
    assert_eq!((healthy.code, healthy.stderr.as_str()), (Some(0), ""), "{json:#}");
    assert_eq!(removed(&json), ["/tmp/x/a/sockets/dead", "/tmp/x/b/sockets/dead"]);
    for path in ["/tmp/x/lost+found/sockets", "/tmp/y-2"] {
        assert!(
            stray_of(&json, Path::new(path)).is_some_and(|why| why.contains("Permission denied")),
            "{json:#}"
        );
    }
    assert_eq!(run(user, &["status"]).code, Some(0));

    for mode in [0, 0o600] {
        set_mode(&a, mode);
        is_told(user, "/tmp/x/a", Some("chmod u+rwx /tmp/x/a"));
    }
    dead_at(&b.join("sockets/dead"), user);
    let json = run(user, &["sweep", "--json"]).json();
    assert_eq!(removed(&json), ["/tmp/x/b/sockets/dead"], "the others are swept: {json:#}");
    set_mode(&a, 0o700);
    // The folder that is named, whoever shuts it.
    for mode in [0o400, 0] {
        set_mode("/tmp/x", mode);
        is_told(user, "/tmp/x", Some("chmod u+rwx /tmp/x"));
    }
    std::os::unix::fs::chown("/tmp/x", Some(0), Some(0)).unwrap();
    for mode in [0o744, 0o700] {
        set_mode("/tmp/x", mode);
        is_told(user, "/tmp/x", None);
    }
    set_mode("/tmp/x", 0o755);
    assert_eq!(run(user, &["status"]).code, Some(0));
    // In it are names that the user may use, and cannot list.
    set_mode("/tmp/y-2", 0o711);
    is_told(user, "/tmp/y-2", None);
    // With --dir nobody looks there.
    assert_eq!(run(user, &["status", "--dir", b.join("sockets").to_str().unwrap()]).code, Some(0));
}

#[test]
fn a_watch_says_so_once_for_as_long_as_it_is_so() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let user = User::new();
    config("extra-socket-dirs = [\"/tmp/x/*/sockets\"]\n[watch]\nrescan = \"1s\"\n");
    make_dir(Path::new("/tmp/x"), user);
    let (a, b) = (folder("a", user), folder("b", user));
    set_mode(&a, 0);
    let mut command = janitor(user);
    command.args(["--config", "/tmp/config.toml", "-v", "watch"]);
    let mut daemon = Daemon::begin(command, |_, room| {
        set_mode(room, 0o755);
        set_mode(room.join("notify"), 0o777);
    });
    daemon.until_told("READY=1");
    let said = "/tmp/x/a: it cannot be read: Permission denied";
    // Each name that is found anew is found by a rescan.
    for name in ["c", "d"] {
        let next = folder(name, user).join("sockets/dead");
        wait::until("a rescan has found it", || !next.exists());
    }
    assert_eq!(daemon.logged(said), 1, "{}", daemon.log());
    set_mode(&a, 0o700);
    wait::until("its socket goes", || !a.join("sockets/dead").exists());
    set_mode(&a, 0);
    wait::until("it is said again", || daemon.logged(said) == 2);
    assert!(!b.join("sockets/dead").exists(), "{}", daemon.log());
    daemon.stop();
}
