//! What stands in a folder: the living stay, the dead go, and what is neither is not touched.

use super::{in_mount_namespace, is_root, list, sweep};
use crate::common::arena::{self, Arena};
use crate::common::janitor::{Run, entry, fate, find, janitor};
use crate::common::skip::skip;
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

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
        assert!(entry(&json, label)["reason"].as_str().unwrap().starts_with("no listener"));
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
fn sockets_whose_inode_numbers_coincide_are_told_apart() {
    if !is_root() {
        return skip("needs root: it mounts two tmpfs");
    }
    // On two fresh tmpfs the same inode numbers are given out in the same order.
    let script = r#"
        mount -t tmpfs tmpfs /sys/fs/cgroup # no manager of root's
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
