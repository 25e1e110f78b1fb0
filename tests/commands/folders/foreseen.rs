//! What a dry run foresees: the words, the errors and the exit code of the sweep that comes after it. It changes nothing.

use super::{install, janitor};
use crate::common::daemon::Daemon;
use crate::common::janitor::{Run, entry, fate, find};
use crate::common::skip::skip;
use crate::users::scene::{Hall, User, dead_at, give, make_dir, print_of};
use nix::mount::{MsFlags, mount};
use rustix::fs::FlockOperation;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder of a user's with a dead socket and a start lock beside which nothing stands.
#[track_caller]
fn folder(path: &str, user: User) -> PathBuf {
    let path = PathBuf::from(path);
    make_dir(&path, user);
    dead_at(&path.join("dead"), user);
    lock(&path.join("orphan.lock"), user);
    // With a lock that goes with it.
    dead_at(&path.join("locked"), user);
    lock(&path.join("locked.lock"), user);
    path
}

#[track_caller]
fn lock(path: &Path, user: User) -> fs::File {
    let file = fs::File::create(path).unwrap();
    set_mode(path, 0o600);
    give(path, user);
    file
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// An attribute of chattr(1), for as long as this lives.
struct Attribute(&'static str, PathBuf);

impl Attribute {
    fn set(which: &'static str, path: &Path) -> Option<Self> {
        let attribute = Self(which, path.to_owned());
        attribute.change("+").then_some(attribute)
    }

    fn change(&self, how: &str) -> bool {
        let done = Command::new("chattr").arg(format!("{how}{}", self.0)).arg(&self.1).output();
        done.is_ok_and(|done| done.status.success())
    }
}

impl Drop for Attribute {
    fn drop(&mut self) {
        self.change("-");
    }
}

/// Has a user make a dry run and then a sweep, which say the same; the sweep's object.
#[track_caller]
fn foreseen(user: User, dir: &Path, which: &[&str]) -> (Option<i32>, Value) {
    let sweep = |how: &[&str]| Run::of(janitor(user).args(which).args(how).arg("--json"));
    let print = || {
        let own = fs::metadata(dir).unwrap();
        (print_of(dir), own.mtime_nsec(), own.ctime_nsec())
    };
    let before = print();
    let dry = sweep(&["--dry-run"]);
    assert_eq!(print(), before, "a dry run changes nothing");
    let real = sweep(&[]);
    // A sweep tells of a lock that it cannot take when all else is done.
    let lines = |run: &Run| run.stderr.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!((dry.code, lines(&dry)), (real.code, lines(&real)));
    let (code, dry, real) = (real.code, dry.json(), real.json());
    let told = |json: &Value| {
        let mut sockets = json["sockets"].clone();
        for socket in sockets.as_array_mut().unwrap() {
            if socket["outcome"] == "would-remove" {
                socket["outcome"] = "removed".into();
            }
        }
        sockets
    };
    assert_eq!(told(&dry), told(&real));
    for count in ["dead", "starting", "unknown", "failed", "orphaned_locks"] {
        assert_eq!(dry["counts"][count], real["counts"][count], "{count}");
    }
    (code, real)
}

#[track_caller]
fn nothing_can_be_taken_out_of(dir: &Path, user: User, why: &str) {
    let before = print_of(dir);
    let (code, json) = foreseen(user, dir, &["--dir", dir.to_str().unwrap(), "sweep"]);
    assert_eq!((code, fate(&json, "dead")), (Some(1), ("dead", "failed")), "{json:#}");
    let error = entry(&json, "dead")["error"].as_str().unwrap();
    assert!(error.contains(why), "{error}");
    // Nobody holds it: it is kept, which is no error.
    assert_eq!(
        (find(&json, "orphan.lock"), &json["counts"]["orphaned_locks"]),
        (None, &1.into()),
        "{json:#}"
    );
    assert_eq!(print_of(dir), before, "nothing is left behind");
}

#[test]
fn that_a_folder_lets_nothing_go() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let user = User::new();
    let closed = folder("/tmp/closed", user);
    set_mode(&closed, 0o500);
    nothing_can_be_taken_out_of(&closed, user, "Permission denied");

    let mounted = folder("/tmp/mounted", user);
    let none: Option<&str> = None;
    mount(Some(&mounted), &mounted, none, MsFlags::MS_BIND, none).unwrap();
    let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(none, &mounted, none, read_only, none).unwrap();
    nothing_can_be_taken_out_of(&mounted, user, "Read-only file system");

    let fixed = folder("/tmp/fixed", user);
    for which in ["i", "a"] {
        let Some(_attribute) = Attribute::set(which, &fixed) else {
            return skip("chattr cannot set the attributes on this file system");
        };
        nothing_can_be_taken_out_of(&fixed, user, "immutable or append-only");
    }
    let (code, json) = foreseen(user, &fixed, &["--dir", "/tmp/fixed", "sweep"]);
    assert_eq!(
        (code, fate(&json, "dead"), fs::read_dir(&fixed).unwrap().count()),
        (Some(0), ("dead", "removed"), 0)
    );
}

#[test]
fn that_one_lock_or_name_is_in_the_way() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let (user, other) = (User::new(), User::new());
    let dir = folder("/tmp/mixed", user);
    for label in ["blocked", "foreign", "shut", "starting", "taken", "left", "sealed"] {
        dead_at(&dir.join(label), user);
    }
    fs::create_dir(dir.join("blocked.lock")).unwrap();
    lock(&dir.join("foreign.lock"), other);
    lock(&dir.join("shut.lock"), user);
    set_mode(&dir.join("shut.lock"), 0);
    let held = lock(&dir.join("starting.lock"), user);
    rustix::fs::flock(&held, FlockOperation::LockExclusive).unwrap();
    let long = "l".repeat(240);
    fs::rename(dir.join("dead"), dir.join(&long)).unwrap();
    let aside = |label: &str| format!(".tmux-janitor-quarantine.{label}");
    for name in [aside("taken"), aside(&aside("taken"))] {
        fs::write(dir.join(name), "").unwrap();
    }
    // What a killed run has left is cleared first.
    for (at, name) in ["l1", "l2"].into_iter().zip([aside("left"), aside(&aside("left"))]) {
        dead_at(&dir.join(at), user);
        fs::rename(dir.join(at), dir.join(name)).unwrap();
    }
    lock(&dir.join("sealed.lock"), user);
    let seals = [("i", "sealed.lock"), ("a", "orphan.lock")]
        .map(|(which, name)| Attribute::set(which, &dir.join(name)));
    let (code, json) = foreseen(user, &dir, &["--dir", "/tmp/mixed", "sweep"]);
    assert_eq!(code, Some(1));
    for (label, part) in [
        ("blocked", "its start lock is a directory"),
        ("foreign", "its start lock belongs to uid"),
        ("shut", "its start lock cannot be taken: Permission denied"),
        ("taken", "its quarantine name is taken"),
        (&long, "its name is too long"),
    ] {
        assert_eq!(fate(&json, label), ("dead", "failed"), "{json:#}");
        let error = entry(&json, label)["error"].as_str().unwrap();
        assert!(error.contains(part), "{label}: {error}");
    }
    assert_eq!(fate(&json, "starting"), ("starting", "busy"), "{json:#}");
    assert_eq!(fate(&json, "left"), ("dead", "removed"), "{json:#}");
    if seals.iter().all(Option::is_some) {
        assert_eq!(fate(&json, "sealed"), ("dead", "failed"), "{json:#}");
        assert_eq!(json["counts"]["orphaned_locks"], 1, "{json:#}");
    }
}

#[test]
fn that_a_stranger_has_the_name_in_a_shared_folder() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let (user, mallory) = (User::new(), User::new());
    for label in ["x", "y"] {
        dead_at(&Path::new("/tmp").join(label), user);
    }
    let taken = Path::new("/tmp/.tmux-janitor-quarantine.x");
    fs::create_dir(taken).unwrap();
    give(taken, mallory);
    let (code, json) = foreseen(user, Path::new("/tmp"), &["sweep", "-S", "/tmp/x", "-S", "/tmp/y"]);
    assert_eq!((code, fate(&json, "x")), (Some(1), ("dead", "failed")), "{json:#}");
    assert_eq!(fate(&json, "y"), ("dead", "removed"), "{json:#}");
}

#[test]
fn in_an_append_only_folder_nothing_else_leaves_a_file_either() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let user = User::new();
    let dir = folder("/tmp/fixed", user);
    let Some(_attribute) = Attribute::set("a", &dir) else {
        return skip("chattr cannot set the attribute on this file system");
    };
    let before = print_of(&dir);
    let run = |arguments: &[&str]| Run::of(janitor(user).args(["--dir", "/tmp/fixed"]).args(arguments));
    let status = run(&["status", "--metrics-file", "/tmp/fixed/x.prom"]);
    assert!(status.stderr.contains("Operation not permitted"), "{}", status.stderr);
    assert_eq!(print_of(&dir), before);
    let doctor = run(&["doctor", "--json"]).json();
    let of_it = |finding: &&Value| finding["what"].as_str().unwrap().contains("/tmp/fixed is append-only");
    let found = doctor["findings"].as_array().unwrap().iter().find(of_it);
    assert_eq!(found.map(|found| &found["command"]), Some(&"sudo chattr -a /tmp/fixed".into()), "{doctor:#}");
}

/// Whoever removes nothing has failed at nothing.
#[test]
fn a_watch_that_only_looks_tells_of_no_failure() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let user = User::new();
    let dir = folder("/tmp/closed", user);
    set_mode(&dir, 0o500);
    let mut command = janitor(user);
    command.args(["-v", "--dir", "/tmp/closed", "watch", "--no-reap"]);
    let mut daemon = Daemon::begin(command, |_, room| {
        set_mode(room, 0o755);
        set_mode(&room.join("notify"), 0o777);
    });
    daemon.until_told("READY=1");
    assert!(!daemon.log().contains("cannot remove"), "{}", daemon.log());
    daemon.stop();
}
