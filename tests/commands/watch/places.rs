//! Directories that come, go, are replaced and mounted over.

use crate::common::arena::{Arena, Server, start, tmux};
use crate::common::daemon::Daemon;
use crate::common::janitor::{bare, with};
use crate::common::{inodes, locks, skip, wait};
use rustix::fs::FlockOperation;
use rustix::process::Signal;
use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::Command;

/// A folder of sockets, made as tmux makes it.
#[track_caller]
fn make(path: &Path) {
    fs::DirBuilder::new().mode(0o700).recursive(true).create(path).unwrap();
}

/// A server that is started here and killed: its socket must go.
#[track_caller]
fn dies_and_is_noticed(daemon: &Daemon, dir: &Path, label: &str) {
    let path = dir.join(label);
    let server = start(&path);
    wait::until("the server is known", || daemon.waits_for().contains(&server.pid));
    server.signal(Signal::KILL);
    wait::until(&format!("the socket {label} goes"), || !path.exists());
}

#[test]
fn a_directory_may_come_go_come_again_and_be_replaced() {
    let arena = Arena::new();
    let dir = arena.path("not/yet/here");
    let daemon = Daemon::watching(&dir);
    make(&dir);
    dies_and_is_noticed(&daemon, &dir, "first");

    let left = start(&dir.join("left"));
    wait::until("it is known", || daemon.waits_for().contains(&left.pid));
    fs::remove_dir_all(&dir).unwrap();
    make(&dir);
    dies_and_is_noticed(&daemon, &dir, "made-anew");

    let other = arena.path("not/yet/other");
    make(&other);
    let in_other = start(&other.join("x"));
    fs::rename(&dir, arena.path("not/yet/away")).unwrap();
    fs::rename(&other, &dir).unwrap();
    dies_and_is_noticed(&daemon, &dir, "replaced");
    in_other.signal(Signal::KILL);
    wait::until("the socket that came with it goes", || !dir.join("x").exists());

    // And all the way up.
    fs::remove_dir_all(arena.path("not")).unwrap();
    make(&dir);
    dies_and_is_noticed(&daemon, &dir, "from-the-top");
    daemon.stop();
}

#[test]
fn only_a_missing_directory_has_its_parent_watched() {
    let arena = Arena::new();
    let dir = arena.path("d");
    let daemon = Daemon::watching(&dir);
    make(&dir);
    dies_and_is_noticed(&daemon, &dir, "x");
    wait::until("the shield is down again", || !is_shielded(&dir));
    let before = daemon.status("voluntary_ctxt_switches");
    for number in 0..100 {
        File::create(arena.path(number.to_string())).unwrap();
    }
    let woken = daemon.status("voluntary_ctxt_switches") - before;
    assert!(woken < 10, "other files in the parent woke it {woken} times");
    daemon.stop();
}

#[test]
fn a_directory_that_tmux_refuses_is_used_when_it_is_mended() {
    use std::os::unix::fs::PermissionsExt;
    let arena = Arena::new();
    let dir = arena.path("d");
    make(&dir);
    fs::set_permissions(&dir, PermissionsExt::from_mode(0o777)).unwrap();
    let mut daemon = Daemon::watching(&dir);
    daemon.rescan();
    assert_eq!(daemon.logged("others can write it"), 1, "{}", daemon.log());
    fs::set_permissions(&dir, PermissionsExt::from_mode(0o700)).unwrap();
    dies_and_is_noticed(&daemon, &dir, "x");
    daemon.stop();
}

#[test]
fn what_is_mounted_over_is_noticed() {
    let arena = Arena::new();
    let dir = arena.path("d");
    make(&dir);
    let possible = Command::new("unshare").args(["--mount", "true"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        return skip::skip("this user may not make a mount namespace");
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", env!("CARGO_BIN_EXE_tmux-janitor"), "-v", "--dir"]);
    command.arg(&dir).arg("watch").env("XDG_CONFIG_HOME", "/nonexistent");
    let daemon = Daemon::of(command);
    let pid = daemon.pid().to_string();
    let inside = |script: &str| {
        let run = Command::new("nsenter")
            .args(["--target", &pid, "--mount", "sh", "-euc", script, "sh"])
            .arg(&dir)
            .env("TMUX", crate::common::arena::tmux_program())
            .output()
            .unwrap();
        assert!(run.status.success(), "{script}: {run:?}");
        String::from_utf8_lossy(&run.stdout).trim().to_owned()
    };
    let start = "\"$TMUX\" -f /dev/null -S \"$1\"/x new-session -d 'sleep 60' >&2; \"$TMUX\" -S \"$1\"/x display-message -p '#{pid}'";
    let is_gone = || inside("test -e \"$1\"/x && echo there || echo gone") == "gone";
    inside("mount -t tmpfs -o mode=700 none /mnt");
    inodes::use_up(&Path::new("/proc").join(&pid).join("root/mnt"));
    for (way, back) in [("mount --move /mnt \"$1\"", false), ("umount \"$1\"", true)] {
        inside(way);
        let server = Server::of(inside(start).parse().unwrap());
        wait::until("the server is known", || daemon.waits_for().contains(&server.pid));
        server.signal(Signal::KILL);
        wait::until("the socket goes", is_gone);
        assert_eq!(back, !inside("cat /proc/self/mounts").contains(dir.to_str().unwrap()));
    }
    daemon.stop();
}

#[test]
fn it_watches_five_directories_or_none_at_all() {
    let arena = Arena::new();
    let mut command = bare();
    let dirs: Vec<_> = (0..5).map(|number| arena.path(number.to_string())).collect();
    for dir in &dirs {
        make(dir);
        command.arg("--dir").arg(dir);
    }
    // The same once more, under another name.
    std::os::unix::fs::symlink(&dirs[0], arena.path("link")).unwrap();
    command.arg("--dir").arg(arena.path("link"));
    let mut daemon = Daemon::of(with(command, ["-v", "watch"]));
    assert!(daemon.told().iter().any(|told| told.contains("in 5 directories")), "{:?}", daemon.told());
    for dir in &dirs {
        dies_and_is_noticed(&daemon, dir, "x");
    }
    let log = daemon.stop();
    assert_eq!(log.matches("removed dead socket").count(), 5, "{log}");

    let mut daemon = Daemon::watching(&arena.path("nowhere"));
    assert!(daemon.told().iter().any(|told| told.contains("in 0 directories")), "{:?}", daemon.told());
    daemon.stop();
}

/// Whether somebody holds a shared lock on a directory. Asked of `/proc/locks`: a lock of our own, taken to find out,
/// would be in the way of who wants to shield it.
fn is_shielded(dir: &Path) -> bool {
    let has = |line: &[String], word: &str| line.iter().any(|other| other == word);
    locks::on(dir).iter().any(|line| has(line, "FLOCK") && has(line, "READ"))
}

#[test]
fn live_sockets_are_shielded_and_nobody_is_hindered() {
    let arena = Arena::new().live("x");
    let mut daemon = Daemon::watching(arena.dir());
    wait::until("the shield is up", || is_shielded(arena.dir()));
    let other = File::open(arena.dir()).unwrap();
    rustix::fs::flock(&other, FlockOperation::NonBlockingLockShared).expect("others may shield it too");
    drop(tmux(&arena.path("x")).arg("kill-server").output());
    wait::until("the socket goes", || !arena.has("x"));
    drop(other);
    wait::until("an empty directory needs no shield", || !is_shielded(arena.dir()));

    // Held by somebody exclusively: without it, and again at the next rescan.
    let other = File::open(arena.dir()).unwrap();
    rustix::fs::flock(&other, FlockOperation::LockExclusive).unwrap();
    let arena = arena.live("y");
    daemon.rescan();
    drop(other);
    // A child of another test may have it open until it execs.
    wait::until("the shield is up again", || {
        daemon.rescan();
        is_shielded(arena.dir())
    });
    daemon.stop();
    assert!(!is_shielded(arena.dir()));

    let daemon = Daemon::configured(arena.dir(), "[watch]\nprotect = false\n");
    assert!(!is_shielded(arena.dir()));
    daemon.stop();
}

/// systemd-tmpfiles cleaning by one rule, in another network namespace: there every socket looks dead.
fn clean(room: &Path, rule: &str) -> bool {
    let rules = room.join("rules.conf");
    fs::write(&rules, format!("{rule}\n")).unwrap();
    let run = Command::new("unshare").args(["--net", "systemd-tmpfiles", "--clean"]).arg(rules).output();
    run.is_ok_and(|run| run.status.success())
}

#[test]
fn ageing_leaves_live_sockets_alone_unless_its_rule_names_their_very_directory() {
    let arena = Arena::new();
    let (room, parent) = (tempfile::tempdir().unwrap(), arena.path("parent"));
    let dir = parent.join("sockets");
    make(&dir);
    let on_parent = format!("d {} - - - 0", parent.display());
    let on_directory = format!("d {} - - - 0", dir.display());
    let server = start(&dir.join("x"));
    if !clean(room.path(), &on_parent) {
        return skip::skip("no systemd-tmpfiles, or this user may not make a network namespace");
    }
    assert!(!dir.join("x").exists(), "without the watch ageing takes a live server's socket");
    drop(server);

    make(&dir);
    let daemon = Daemon::watching(&dir);
    let server = start(&dir.join("x"));
    wait::until("the shield is up", || is_shielded(&dir));
    assert!(clean(room.path(), &on_parent));
    assert_eq!(crate::common::arena::pid_of(&dir.join("x")), server.pid);
    // As documented: that rule takes no lock.
    assert!(clean(room.path(), &on_directory));
    assert!(!dir.join("x").exists());
    daemon.stop();
}
