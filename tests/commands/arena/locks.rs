//! Start locks: whose they are, and which of them are litter.

use super::{list, sweep};
use crate::common::arena::Arena;
use crate::common::janitor::{Run, entry, fate, janitor};
use crate::common::skip::skip;
use crate::common::wait;
use crate::ghosts::scene::{in_mount_namespace, is_root};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Instant;

#[test]
fn a_start_under_way_is_left_in_peace() {
    let arena = Arena::new().dead("starting");
    let lock = fs::File::create(arena.path("starting.lock")).unwrap();
    fs::set_permissions(arena.path("starting.lock"), fs::Permissions::from_mode(0o600)).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_eq!(fate(&list(arena.dir()), "starting"), ("starting", "kept"));
    assert_eq!(fate(&sweep(arena.dir()), "starting"), ("starting", "busy"));
    let probe = Run::of(janitor(arena.dir()).args(["probe", "-L", "starting"]));
    assert_eq!(probe.code, Some(0), "{}", probe.stdout);
    assert_eq!(arena.names(), ["starting", "starting.lock"], "neither socket nor lock may be touched");
    drop(lock);
    // A child of another test, between fork and exec, may hold the lock a moment longer.
    wait::until("the lock is free and the socket goes", || {
        sweep(arena.dir());
        arena.names().is_empty()
    });
}

#[test]
fn a_lock_that_somebody_has_open_is_his_and_stays() {
    let arena = Arena::new().dead("x");
    // A client between open(2) and flock(2).
    let client =
        fs::OpenOptions::new().write(true).create(true).truncate(false).open(arena.path("x.lock")).unwrap();
    fs::set_permissions(arena.path("x.lock"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(fate(&sweep(arena.dir()), "x"), ("dead", "removed"));
    assert_eq!(arena.names(), ["x.lock"]);
    sweep(arena.dir());
    assert_eq!(arena.names(), ["x.lock"], "an open lock must not lose its name");
    drop(client);
    let json = wait_for_removal(&arena, "x.lock");
    assert_eq!(entry(&json, "x.lock")["reason"], "orphaned lock");
    assert_eq!(fate(&json, "x.lock").1, "removed");
    assert_eq!((&json["counts"]["dead"], &json["counts"]["removed"]), (&0.into(), &0.into()));
    assert!(arena.names().is_empty());
}

/// Sweeps until a name is gone: a child of another test, between fork and exec, may have it open.
fn wait_for_removal(arena: &Arena, name: &str) -> Value {
    let mut json = Value::Null;
    wait::until("the lock is closed everywhere and goes", || {
        json = sweep(arena.dir());
        !arena.has(name)
    });
    json
}

#[test]
fn only_empty_own_locks_without_a_socket_are_litter() {
    let arena = Arena::new().live("live");
    let make = |name: &str, text: &str, mode| {
        fs::write(arena.path(name), text).unwrap();
        fs::set_permissions(arena.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    make("orphan.lock", "", 0o600);
    make("full.lock", "somebody's", 0o600);
    make("wide.lock", "", 0o644);
    make("live.lock", "", 0o600);
    make("notes", "", 0o600);
    let dry = Run::of(janitor(arena.dir()).args(["sweep", "--dry-run", "--json"])).json();
    assert_eq!(fate(&dry, "orphan.lock").1, "would-remove");
    sweep(arena.dir());
    assert_eq!(arena.names(), ["full.lock", "live", "live.lock", "notes", "wide.lock"]);
}

#[test]
fn a_lock_that_cannot_be_taken_is_one_failed_entry() {
    let arena = Arena::new().dead("blocked").dead("other").live("living");
    fs::create_dir(arena.path("blocked.lock")).unwrap();
    fs::create_dir(arena.path("living.lock")).unwrap();
    let run = Run::of(janitor(arena.dir()).args(["sweep", "--json"]));
    assert_eq!(run.code, Some(1));
    let json = run.json();
    assert_eq!(fate(&json, "blocked"), ("dead", "failed"));
    let error = entry(&json, "blocked")["error"].as_str().unwrap();
    assert!(error.contains("start lock is a directory") && error.contains("remove it"), "{error}");
    assert!(run.stderr.contains("blocked"), "the failure is told: {}", run.stderr);
    assert_eq!(fate(&json, "other"), ("dead", "removed"));
    assert_eq!(arena.names(), ["blocked", "blocked.lock", "living", "living.lock"]);
}

/// A sweep under strace, which has its fcntl(2) do this; strace's own lines.
fn with_fcntl(arena: &Arena, inject: &str) -> (Run, String) {
    let trace = tempfile::NamedTempFile::new().unwrap();
    // Where that can be had, with no process in sight but its own: each of a server's costs a call.
    let is_root = rustix::process::getuid().is_root();
    let mut strace = Command::new(if is_root { "unshare" } else { "strace" });
    if is_root {
        strace.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-euc"]);
        strace.args([crate::common::WITHOUT_A_MANAGER, "strace"]);
    }
    strace.arg("-qq").arg("-o").arg(trace.path()).args(["-e", "trace=fcntl"]);
    if !inject.is_empty() {
        strace.arg("-e").arg(format!("inject=fcntl:{inject}"));
    }
    strace.arg(env!("CARGO_BIN_EXE_tmux-janitor")).arg("--dir").arg(arena.dir()).args(["sweep", "--json"]);
    let run = Run::of(&mut strace);
    (run, fs::read_to_string(trace.path()).unwrap())
}

/// `/proc/sys/fs/leases-enable`, and file systems that have none: a lock is made as tmux makes it, and stays.
#[test]
fn without_leases_the_dead_go_and_their_locks_stay() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("needs strace: it refuses leases");
    }
    let scene = || Arena::new().dead("a").dead("b").live("x");
    // What else runs on the machine is looked at with fcntl(2), too. Only a run that was refused its first lease, and
    // nothing before, is one without leases.
    let begun = Instant::now();
    let (arena, run) = loop {
        let (_, trace) = with_fcntl(&scene(), "");
        let first = trace.lines().position(|line| line.contains("F_SETSIG")).expect("a lease is taken") + 1;
        let arena = scene();
        let (run, trace) = with_fcntl(&arena, &format!("error=EINVAL:when={first}+"));
        let refused = trace.lines().find(|line| line.contains("INJECTED"));
        if refused.is_some_and(|line| line.contains("F_SETSIG")) && !trace.contains("F_SETLEASE") {
            break (arena, run);
        }
        assert!(
            begun.elapsed() < wait::DEADLINE,
            "the first lease was never the first that was refused: {trace}"
        );
    };
    let counts = &run.json()["counts"];
    assert_eq!((run.code, &counts["removed"]), (Some(0), &2.into()), "{}", run.stdout);
    assert_eq!(counts["orphaned_locks"], 2, "what stays is not said: {}", run.stdout);
    let status = Run::of(janitor(arena.dir()).arg("status"));
    assert!(status.code == Some(0) && status.stdout.contains("2 orphaned locks"), "{}", status.stdout);
    assert_eq!(arena.names(), ["a.lock", "b.lock", "x"]);
    let mode = fs::metadata(arena.path("a.lock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600, "tmux could not open it");
    arena.assert_reachable("x");
    Run::of(janitor(arena.dir()).arg("sweep"));
    assert_eq!(arena.names(), ["x"]);
}

/// An orphaned lock that cannot go is not said to go, and the doctor says why.
#[test]
fn where_no_leases_are_given_an_orphaned_lock_is_foreseen_to_stay_and_stays() {
    if !is_root() {
        return skip("needs root: it covers a setting of the kernel in a mount namespace");
    }
    let arena = Arena::new();
    fs::write(arena.path("o.lock"), "").unwrap();
    fs::set_permissions(arena.path("o.lock"), fs::Permissions::from_mode(0o600)).unwrap();
    let script = r#"
        mount -t tmpfs none /mnt
        echo 0 >/mnt/none
        mount --bind /mnt/none /proc/sys/fs/leases-enable
        for command in 'sweep --dry-run' sweep status doctor; do
            "$JANITOR" --dir "$1" $command || [ "$command $?" = 'doctor 1' ]
        done
    "#;
    let told = in_mount_namespace(script, arena.dir());
    let orphaned = told.lines().filter(|line| line.contains("1 orphaned lock")).count();
    assert!(orphaned == 3 && told.contains("1 orphaned start lock cannot be removed"), "{told}");
    assert_eq!(arena.names(), ["o.lock"]);
    Run::of(janitor(arena.dir()).arg("sweep"));
    assert!(arena.names().is_empty());
}
