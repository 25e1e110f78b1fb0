//! Every kind of entry that a socket directory can hold: its verdict, its reason, its outcome.

use crate::common::arena::{self, Arena};
use crate::common::janitor::{Run, entry, fate, find, janitor};
use crate::common::skip::skip;
use crate::common::wait;
use rustix::process::Signal;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

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
fn live_servers_of_every_kind_are_kept() {
    let arena =
        Arena::new().live("live").without_session("empty").stopped("stopped").full("full").listener("other");
    let all = list(arena.dir());
    let swept = sweep(arena.dir());
    for label in ["live", "empty", "stopped", "full", "other"] {
        assert_eq!(fate(&all, label), ("live", "kept"), "{all:#}");
        assert!(entry(&all, label)["reason"].as_str().unwrap().contains("listens"));
        assert!(find(&swept, label).is_none(), "sweep does not list the live: {swept:#}");
        assert!(arena.has(label));
    }
    assert_eq!(swept["counts"]["live"], 5);
    assert_eq!(entry(&all, "live")["server_pid"], arena.server("live").pid);
    assert_eq!(entry(&all, "stopped")["server_pid"], arena.server("stopped").pid);
    assert_eq!(arena.connections("other"), 0, "a live socket was connected to");
    arena.assert_reachable("live");
    arena.assert_reachable("empty");
}

#[test]
fn the_dead_go_however_they_died() {
    let arena = Arena::new()
        .dead_by("by-kill-server", None)
        .dead_by("by-kill", Some(Signal::KILL))
        .dead_by("by-term", Some(Signal::TERM))
        .dead_by("by-segv", Some(Signal::SEGV))
        .live("live");
    let json = sweep(arena.dir());
    for label in ["by-kill-server", "by-kill", "by-term", "by-segv"] {
        assert_eq!(fate(&json, label), ("dead", "removed"), "{json:#}");
        assert!(entry(&json, label)["reason"].as_str().unwrap().starts_with("nobody listens"));
    }
    assert_eq!(arena.names(), ["live"], "nothing is left behind");
    assert_eq!((&json["counts"]["dead"], &json["counts"]["removed"]), (&4.into(), &4.into()));
    arena.assert_reachable("live");
}

#[test]
fn what_contradicts_or_is_no_socket_is_never_touched() {
    let arena = Arena::new().bound_only("bound").datagram("datagram").live("live").dead("dead");
    fs::write(arena.path("file"), "x").unwrap();
    fs::create_dir(arena.path("directory")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, arena.path("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    symlink("live", arena.path("to-live")).unwrap();
    symlink("nothing", arena.path("to-nothing")).unwrap();
    symlink("dead", arena.path("to-dead")).unwrap();
    let json = list(arena.dir());
    assert_eq!(fate(&json, "bound"), ("unknown", "kept"));
    assert!(entry(&json, "bound")["reason"].as_str().unwrap().contains("does not listen"));
    assert_eq!(fate(&json, "datagram"), ("unknown", "kept"));
    for (label, kind) in [
        ("file", "regular"),
        ("directory", "directory"),
        ("fifo", "FIFO"),
        ("to-live", "link"),
        ("to-nothing", "link"),
    ] {
        assert_eq!(fate(&json, label), ("not-a-socket", "kept"));
        assert!(entry(&json, label)["reason"].as_str().unwrap().contains(kind), "{json:#}");
    }
    sweep(arena.dir());
    let names =
        ["bound", "datagram", "directory", "fifo", "file", "live", "to-dead", "to-live", "to-nothing"];
    assert_eq!(arena.names(), names);
    assert_eq!(fs::read(arena.path("file")).unwrap(), b"x");
}

#[test]
fn renamed_and_hard_linked_sockets_are_what_their_inode_is() {
    let arena = Arena::new().live("live").dead("dead").live("linked");
    fs::rename(arena.path("live"), arena.path("renamed")).unwrap();
    fs::hard_link(arena.path("linked"), arena.path("second-name")).unwrap();
    fs::hard_link(arena.path("dead"), arena.path("dead-too")).unwrap();
    let json = sweep(arena.dir());
    assert_eq!(fate(&json, "dead"), ("dead", "removed"));
    assert_eq!(fate(&json, "dead-too"), ("dead", "removed"));
    assert_eq!(arena.names(), ["linked", "renamed", "second-name"]);
    assert_eq!(arena::pid_of(&arena.path("renamed")), arena.server("live").pid);
    assert_eq!(arena::pid_of(&arena.path("second-name")), arena.server("linked").pid);
}

#[test]
fn hostile_names_are_removed_and_shown_harmlessly() {
    let names: &[&[u8]] = &[
        b"with space",
        b"new\nline",
        b"-rf",
        b"--help",
        b"esc\x1b[31m",
        b"not-utf8-\xff\xfe",
        b"x.lock",
        b".hidden",
        b"glob*?[",
    ];
    let mut arena = Arena::new();
    for name in names {
        arena = arena.dead(OsStr::from_bytes(name));
    }
    let run = Run::of(janitor(arena.dir()).args(["sweep", "--dry-run"]));
    assert_eq!(run.stdout.lines().count(), names.len() + 1, "a name broke its line: {:?}", run.stdout);
    assert!(
        !run.stdout.contains('\x1b') && run.stdout.contains("\\x1b[31m") && run.stdout.contains("new\\nline")
    );
    let json = sweep(arena.dir());
    assert_eq!(fate(&json, "new\nline"), ("dead", "removed"));
    let raw = entry(&json, "not-utf8-\\xff\\xfe");
    let bytes: Vec<u8> = raw["path_bytes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap())
        .collect();
    assert_eq!(bytes, arena.path(OsStr::from_bytes(b"not-utf8-\xff\xfe")).as_os_str().as_bytes());
    assert_eq!(json["counts"]["removed"].as_u64(), Some(names.len() as u64));
    assert!(arena.names().is_empty(), "{:?}", arena.names());
}

#[test]
fn a_path_of_107_bytes_is_judged_like_any_other() {
    let arena = Arena::new();
    let room = 107 - arena.dir().as_os_str().len() - 1;
    let (live, dead) = ("l".repeat(room), "d".repeat(room));
    let arena = arena.live(&live).dead_by(&dead, None);
    let json = sweep(arena.dir());
    assert_eq!(fate(&json, &dead), ("dead", "removed"));
    assert_eq!(arena.names(), [live.as_str()]);
}

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

#[test]
fn an_earlier_runs_quarantine_is_recovered() {
    let arena = Arena::new().dead(".tmux-janitor-quarantine.gone").live("back").live("split");
    fs::rename(arena.path("back"), arena.path(".tmux-janitor-quarantine.back")).unwrap();
    fs::rename(arena.path("split"), arena.path(".tmux-janitor-quarantine.split")).unwrap();
    let twice = ".tmux-janitor-quarantine..tmux-janitor-quarantine.twice";
    let arena = arena.dead("split").dead(".tmux-janitor-99-1.lock").live("twice").dead("gone");
    fs::rename(arena.path("twice"), arena.path(twice)).unwrap();
    let json = sweep(arena.dir());
    let gone = entry(&json, ".tmux-janitor-quarantine.gone");
    assert_eq!((&gone["reason"], &gone["outcome"]), (&"quarantine".into(), &"removed".into()));
    assert_eq!(fate(&json, ".tmux-janitor-quarantine.back"), ("live", "resurrected"));
    assert_eq!(fate(&json, "split"), ("dead", "removed"), "a dead socket does not stand in a live one's way");
    assert_eq!(fate(&json, "gone"), ("dead", "removed"), "and neither does a dead one's: {json:#}");
    assert_eq!(json["counts"]["dead"], 3, "the quarantine is no dead socket: {json:#}");
    assert_eq!(arena.names(), ["back", "split", "twice"]);
    arena.assert_reachable("twice");
    arena.assert_reachable("back");
    arena.assert_reachable("split");
}

#[test]
fn one_label_may_have_left_several_quarantines() {
    let mut name = "x".to_owned();
    let mut arena = Arena::new().dead(&name);
    for _ in 0..3 {
        name = format!(".tmux-janitor-quarantine.{name}");
        arena = arena.dead(&name);
    }
    let json = sweep(arena.dir());
    assert!(arena.names().is_empty(), "{json:#}");
}

#[test]
fn a_server_that_chose_a_quarantine_name_keeps_it() {
    let arena = Arena::new().live(".tmux-janitor-quarantine.mine");
    sweep(arena.dir());
    assert_eq!(arena.names(), [".tmux-janitor-quarantine.mine"]);
}

#[test]
fn keep_and_min_age_hold_what_is_dead() {
    let arena = Arena::new().dead("homebase").dead("bot-1").dead("gone").live("bot-live");
    let config = tempfile::NamedTempFile::new().unwrap();
    fs::write(config.path(), "keep = [\"homebase\", \"bot-*\"]").unwrap();
    let run = |config: &Path| {
        Run::of(janitor(arena.dir()).arg("--config").arg(config).args(["sweep", "--json"])).json()
    };
    let json = run(config.path());
    assert_eq!(fate(&json, "homebase"), ("dead", "kept"));
    assert_eq!(fate(&json, "bot-1"), ("dead", "kept"));
    assert_eq!(arena.names(), ["bot-1", "bot-live", "homebase"]);
    fs::write(config.path(), "min-age = \"1h\"").unwrap();
    assert_eq!(fate(&run(config.path()), "homebase"), ("dead", "kept"));
    // The change of the inode counts too, which a clock that was set does not bring back.
    let old = std::time::SystemTime::UNIX_EPOCH;
    touch(&arena.path("homebase"), old);
    assert_eq!(fate(&run(config.path()), "homebase"), ("dead", "kept"), "its ctime is young");
    fs::write(config.path(), "min-age = \"1ms\"").unwrap();
    touch(&arena.path("homebase"), std::time::SystemTime::now() + std::time::Duration::from_secs(3600));
    let json = run(config.path());
    assert_eq!(fate(&json, "homebase"), ("dead", "kept"), "a time in the future is young");
    assert_eq!(fate(&json, "bot-1"), ("dead", "removed"));
}

fn touch(path: &Path, time: std::time::SystemTime) {
    let since = time.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let time = rustix::fs::Timespec { tv_sec: since.as_secs().try_into().unwrap(), tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

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
        drop(UnixListener::bind(&dead).unwrap());
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
fn a_socket_of_another_user_is_foreign() {
    if !is_root() {
        return skip("needs root: it gives a socket to another user");
    }
    let arena = Arena::new().dead("theirs").dead("ours");
    rustix::fs::chownat(
        rustix::fs::CWD,
        arena.path("theirs"),
        Some(rustix::process::Uid::from_raw(65534)),
        None,
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )
    .unwrap();
    let json = sweep(arena.dir());
    assert_eq!(fate(&json, "theirs"), ("foreign", "kept"));
    assert!(entry(&json, "theirs")["reason"].as_str().unwrap().contains("uid 65534"));
    assert_eq!(arena.names(), ["theirs"]);
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

#[test]
fn sockets_whose_inode_numbers_coincide_are_told_apart() {
    if !is_root() {
        return skip("needs root: it mounts two tmpfs");
    }
    // On two fresh tmpfs the same inode numbers are given out in the same order.
    let script = r#"
        mkdir "$1/a" "$1/b"; mount -t tmpfs -o mode=700,inode32 a "$1/a"; mount -t tmpfs -o mode=700,inode32 b "$1/b"
        for label in 1 2 3; do
            "$2" -f /dev/null -S "$1/a/$label" new-session -d sleep 3600
            "$2" -f /dev/null -S "$1/b/$label" new-session -d sleep 3600
        done
        for label in 1 2 3; do
            pid=$("$2" -S "$1/b/$label" display-message -p '#{pid}'); "$2" -S "$1/b/$label" kill-server
            while kill -0 "$pid" 2>/dev/null; do :; done
        done
        stat -c %i "$1"/a/* >&2; echo - >&2; stat -c %i "$1"/b/* >&2
        "$JANITOR" --dir "$1/b" --dir "$1/a" sweep --json
        for label in 1 2 3; do "$2" -S "$1/a/$label" kill-server; done
    "#;
    let dir = tempfile::tempdir().unwrap();
    // Alone in a network of their own: small numbers are common, and a listener that cannot be looked
    // up, being in another mount namespace, saves every socket that has its number.
    let alone = ["--net", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let run = in_mount_namespace(&alone, script, &[dir.path().as_os_str(), &arena::tmux_program()]);
    let (live, dead) = run.stderr.split_once("-\n").unwrap_or_default();
    let shared = live.lines().filter(|number| dead.lines().any(|dead| dead == *number)).count();
    assert!(shared > 0, "the test needs a coincidence: {}", run.stderr);
    assert_eq!(run.json()["counts"]["live"], 3, "{}", run.stdout);
    assert_eq!(run.json()["counts"]["removed"], 3, "{}", run.stdout);
}

#[test]
fn live_sockets_are_never_connected_to_as_the_kernel_saw_it() {
    let arena = Arena::new().live("a").live("b").listener("counting").stopped("c").dead("dead");
    let trace = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new("strace")
        .args(["-f", "-e", "trace=connect", "-o"])
        .arg(trace.path())
        .arg(env!("CARGO_BIN_EXE_tmux-janitor"))
        .arg("--dir")
        .arg(arena.dir())
        .args(["-q", "sweep"])
        .status();
    let Ok(status) = status else { return skip("strace is not installed") };
    assert!(status.success());
    let trace = fs::read_to_string(trace.path()).unwrap();
    let calls: Vec<&str> = trace.lines().filter(|line| line.contains("connect(")).collect();
    assert_eq!(calls.len(), 2, "the dead one is asked twice, nobody else: {trace}");
    assert!(calls.iter().all(|call| call.contains("ECONNREFUSED")), "{trace}");
    assert_eq!(arena.connections("counting"), 0);
    assert!(!arena.has("dead"));
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

/// A sweep that may have so many files open.
fn with_descriptors(limit: u32, arena: &Arena) -> Run {
    let script = format!(r#"ulimit -n {limit}; exec "$0" --dir "$1" sweep --json"#);
    Run::of(Command::new("bash").args(["-c", &script, env!("CARGO_BIN_EXE_tmux-janitor")]).arg(arena.dir()))
}

#[test]
fn few_descriptors_only_make_smaller_steps() {
    let mut arena = Arena::new();
    for number in 0..200 {
        arena = arena.dead(format!("dead-{number}"));
    }
    let run = with_descriptors(24, &arena);
    assert_eq!(run.json()["counts"]["removed"], 200, "{}", run.stdout.replace("dead-", "\n"));
    assert!(arena.names().is_empty());
}

#[test]
fn too_few_descriptors_are_said_and_nothing_is_taken_for_dead() {
    let arena = Arena::new().live("x").dead("a").dead("b");
    let mut told = 0;
    for limit in 4..18 {
        let run = with_descriptors(limit, &arena);
        // Whoever runs the tests has files open, too, and leaves none to the loader.
        if run.code == Some(127) {
            continue;
        }
        // With hardly any it cannot even be seen whether there is a configuration, which might keep something.
        assert!(matches!(run.code, Some(0 | 1 | 78)), "{limit}: {:?} {}", run.code, run.stderr);
        assert_eq!(
            run.code != Some(0),
            run.stderr.contains("Too many open files"),
            "{limit}: {}",
            run.stderr
        );
        assert_eq!(
            run.code == Some(78),
            run.stderr.contains("configuration rejected"),
            "{limit}: {}",
            run.stderr
        );
        told += u32::from(run.code == Some(1));
        arena.assert_reachable("x");
    }
    assert!(told > 3, "{told}");
    assert_eq!(arena.names(), ["x"], "what could not be done with few was done with more");
}

/// A sweep under strace, which has its fcntl(2) do this; strace's own lines.
fn with_fcntl(arena: &Arena, inject: &str) -> (Run, String) {
    let trace = tempfile::NamedTempFile::new().unwrap();
    // Where that can be had, with no process in sight but its own: each of a server's costs a call.
    let is_root = rustix::process::getuid().is_root();
    let mut strace = Command::new(if is_root { "unshare" } else { "strace" });
    if is_root {
        strace.args(["--pid", "--fork", "--mount-proc", "--kill-child", "strace"]);
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

/// A dump can miss a live server: two have to, both read while the socket is held open, the second under its lock.
#[test]
fn the_table_is_read_between_pin_and_lock_and_again_under_the_lock() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("needs strace: it shows the order of the calls");
    }
    let arena = Arena::new().dead("x");
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.arg("-qq").arg("-o").arg(trace.path()).args(["-e", "trace=openat,sendto,renameat2,connect"]);
    strace.arg(env!("CARGO_BIN_EXE_tmux-janitor")).arg("--dir").arg(arena.dir()).arg("sweep");
    assert_eq!(Run::of(&mut strace).code, Some(0));
    let trace = fs::read_to_string(trace.path()).unwrap();
    let mut calls = trace.lines();
    for (what, call, argument) in [
        ("held open", "openat(", "\"x\", O_"),
        ("the first dump", "sendto(", ""),
        ("its lock", "renameat2(", "\"x.lock\", RENAME_NOREPLACE"),
        ("the second dump", "sendto(", ""),
        ("the question", "connect(", "/proc/self/fd/"),
        ("moved away", "renameat2(", "\".tmux-janitor-quarantine.x\", RENAME_NOREPLACE"),
    ] {
        let come = calls.any(|line| line.starts_with(call) && line.contains(argument));
        assert!(come, "{what} is not in its place:\n{trace}");
    }
}
