//! Ghosts that are reported and left alone.

use super::scene::{ghost, in_mount_namespace, is_root, rescue, say};
use crate::common::arena::{self, Arena};
use crate::common::daemon::Daemon;
use crate::common::ghosts::{ghosts, json};
use crate::common::janitor::{Run, entry, fate, find, janitor};
use crate::common::skip::skip;
use crate::common::wait;
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

#[test]
fn a_listener_that_is_no_tmux_survives_everything() {
    let arena = Arena::new().live("there");
    // A child that holds the listener, as its input, which no other child inherits: SIGUSR1 would end it.
    let listener = OwnedFd::from(UnixListener::bind(arena.path("other")).unwrap());
    let mut sleep = Command::new("sleep").arg("3600").stdin(listener).spawn().unwrap();
    let child = arena::Server::of(i32::try_from(sleep.id()).unwrap());
    fs::remove_file(arena.path("other")).unwrap();

    let json = json(arena.dir(), &["sweep", "--rescue"], 0);
    assert_eq!(fate(&json, "other"), ("ghost", "kept"));
    assert_eq!(entry(&json, "other")["server_pid"], child.pid);
    assert!(
        entry(&json, "other")["reason"].as_str().unwrap().contains("not proven to be a tmux"),
        "{json:#}"
    );
    rescue(arena.dir(), "other");
    assert!(child.is_alive());
    drop(child);
    sleep.wait().unwrap();
}

/// It has the name of a server and would take the signal: only its program tells that it is none.
#[test]
fn a_program_that_only_calls_itself_a_server_is_not_signalled() {
    let arena = Arena::new().live("there");
    let room = tempfile::tempdir().unwrap();
    let listener = OwnedFd::from(UnixListener::bind(arena.path("other")).unwrap());
    let script = r#"cd "$0"; mkfifo never; trap 'echo told >told' USR1; trap 'echo asked >asked' USR2
        printf 'tmux: server' >/proc/$$/comm; echo ready >ready; while :; do read x <>never; done"#;
    let mut command = Command::new("bash");
    command.args(["-c", script]).arg(room.path()).stdin(listener).process_group(0);
    let mut bash = command.spawn().unwrap();
    drop(command);
    let child = arena::Server::of(i32::try_from(bash.id()).unwrap());
    wait::until("it has its name", || room.path().join("ready").exists());
    fs::remove_file(arena.path("other")).unwrap();
    assert_eq!(rescue(arena.dir(), "other"), "kept");
    let list = json(arena.dir(), &["list"], 0);
    assert!(
        ghost(&list, "other")["reason"].as_str().unwrap().contains("not proven to be a tmux"),
        "{list:#}"
    );
    // Of two signals it obeys the lower one first.
    child.signal(Signal::USR2);
    wait::until("it obeys signals", || room.path().join("asked").exists());
    assert!(child.is_alive() && !room.path().join("told").exists(), "it was sent SIGUSR1");
    drop(child);
    bash.wait().unwrap();
}

#[test]
fn a_stopped_ghost_is_reported_and_nobody_hangs() {
    let arena = Arena::new().live("there").stopped("a");
    fs::remove_file(arena.path("a")).unwrap();
    let clock = wait::Clock::start();
    assert_eq!(rescue(arena.dir(), "a"), "kept");
    clock.assert_within(Duration::from_secs(2));
    let list = json(arena.dir(), &["list"], 0);
    assert!(ghost(&list, "a")["reason"].as_str().unwrap().contains("is stopped"), "{list:#}");
    // It has no signal pending that would make it take the path at some later time.
    arena.server("a").signal(Signal::CONT);
    let second = arena::start(&arena.path("a"));
    assert_eq!(arena::pid_of(&arena.path("a")), second.pid);
    say(&arena.path("a"), &["kill-server"]);
    second.wait_for_end();
    assert_eq!(entry(&json(arena.dir(), &["rescue"], 0), "a")["outcome"], "removed");
    arena.assert_reachable("a");
}

#[test]
fn of_several_ghosts_of_one_path_none_is_touched() {
    let arena = Arena::new().live("a");
    fs::remove_file(arena.path("a")).unwrap();
    let second = arena::start(&arena.path("a"));
    say(&arena.path("a"), &["respawn-pane", "-k", "cat"]);
    fs::remove_file(arena.path("a")).unwrap();
    let look = || {
        let list = json(arena.dir(), &["list"], 0);
        let sockets = list["sockets"].as_array().unwrap().iter();
        sockets.filter(|socket| socket["state"] == "ghost").cloned().collect::<Vec<_>>()
    };
    let program = |pid: &serde_json::Value| if *pid == second.pid { "cat" } else { "sleep" };
    // A pane has its shell's name, or tmux's, until its exec.
    wait::until("the panes have the names of what runs in them", || {
        look().iter().all(|socket| socket["panes"] == serde_json::json!([program(&socket["server_pid"])]))
    });
    let both = look();
    assert_eq!(both.len(), 2, "{both:#?}");
    for socket in &both {
        let reason = socket["reason"].as_str().unwrap();
        assert!(reason.contains("2 ghosts share this path"), "{reason}");
        assert!(reason.contains(&format!("`kill -USR1 {}`", socket["server_pid"])), "{reason}");
    }
    let people = Run::of(janitor(arena.dir()).arg("list")).stdout;
    assert!(people.contains("panes: cat") && people.contains("panes: sleep"), "{people}");
    assert_eq!(rescue(arena.dir(), "a"), "kept");
    assert!(!arena.has("a"));
    // One of them ends: then there is nothing to choose.
    second.signal(Signal::KILL);
    second.wait_for_end();
    assert_eq!(rescue(arena.dir(), "a"), "rescued");
    arena.assert_reachable("a");
}

#[test]
fn what_is_no_socket_is_not_removed_for_a_ghost() {
    let arena = Arena::new().live("a");
    fs::remove_file(arena.path("a")).unwrap();
    fs::write(arena.path("a"), "precious").unwrap();
    assert_eq!(ghosts(arena.dir()).len(), 1);
    let json = json(arena.dir(), &["rescue"], 1);
    assert_eq!(ghost(&json, "a")["outcome"], "kept");
    assert_eq!(fs::read(arena.path("a")).unwrap(), b"precious");
}

#[test]
fn a_start_under_way_is_not_robbed() {
    let arena = Arena::new().live("a");
    fs::remove_file(arena.path("a")).unwrap();
    let lock = fs::File::create(arena.path("a.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_eq!(rescue(arena.dir(), "a"), "busy");
    assert!(!arena.has("a"));
    drop(lock);
    wait::until("the lock is free and the ghost comes back", || rescue(arena.dir(), "a") == "rescued");
}

#[test]
fn where_our_own_lock_takes_the_last_inode_no_signal_is_sent() {
    if !is_root() {
        return skip("needs root: it mounts a file system");
    }
    let arena = Arena::new();
    let out = in_mount_namespace(
        r#"
        mount -t tmpfs -o nr_inodes=64,mode=700 tmpfs "$1"
        ask() { "$TMUX_PROGRAM" -f /dev/null -S "$1/a" "${@:2}" </dev/null; }
        ask "$1" new-session -d 'sleep 3600'; pid=$(ask "$1" display-message -p '#{pid}')
        trap 'kill -KILL $pid; while [ -e /proc/$pid ] && ! grep -q "State:.Z" /proc/$pid/status; do :; done' EXIT
        rm "$1/a"
        i=0; while : 2>/dev/null >"$1/fill-$i"; do i=$((i + 1)); done; rm "$1/fill-0"
        "$JANITOR" --dir "$1" rescue --json || :
        rm "$1"/fill-*
        "$JANITOR" --dir "$1" rescue
        ask "$1" new-window -d "umask >$1/umask.new; mv $1/umask.new $1/umask"
        until [ -e "$1/umask" ]; do :; done
        cat "$1/umask"
        "#,
        arena.dir(),
    );
    let first: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(fate(&first, "a"), ("ghost", "failed"), "{out}");
    assert!(entry(&first, "a")["error"].as_str().unwrap().contains("the server was not signalled"), "{out}");
    assert!(out.ends_with("rescued 1 ghost\n0022\n"), "the panes have a wrong umask: {out}");
}

#[test]
fn from_a_user_namespace_it_is_reported_without_a_pid() {
    if !is_root() {
        return skip("needs root: it makes a user namespace");
    }
    // What PrivateUsers= does to a unit: nobody's descriptors can be read.
    let arena = Arena::new().live("a").live("there");
    let sandboxed = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", env!("CARGO_BIN_EXE_tmux-janitor"), "--dir"]);
        Run::of(command.arg(arena.dir()).args(arguments).arg("--json"))
    };
    assert_eq!(sandboxed(&["status"]).code, Some(0));
    fs::remove_file(arena.path("a")).unwrap();
    // A dump of the kernel's table can miss one, where many sockets come and go.
    wait::until("the ghost is seen", || sandboxed(&["status"]).code == Some(1));
    let mut json = Value::Null;
    wait::until("the ghost is found", || {
        json = sandboxed(&["sweep", "--rescue"]).json();
        find(&json, "a").is_some()
    });
    assert_eq!(fate(&json, "a"), ("ghost", "kept"));
    assert!(entry(&json, "a")["server_pid"].is_null());
    assert!(entry(&json, "a")["reason"].as_str().unwrap().contains("PrivateUsers="), "{json:#}");
    assert!(!arena.has("a"));
}

/// As beside a unit with `PrivateTmp=`: that server may well be the one whose socket is not seen here.
#[test]
fn from_a_user_namespace_a_server_that_sees_other_files_hides_no_ghost() {
    if !is_root() {
        return skip("needs root: it makes namespaces");
    }
    let arena = Arena::new().live("a");
    let private = |mount: &str, label: &str| {
        let script = format!(
            r#"mkdir "$1.{label}"; {mount} "$1"; "$TMUX_PROGRAM" -f /dev/null -S "$1/{label}" new-session -d 'sleep 3600'
            "$TMUX_PROGRAM" -S "$1/{label}" display-message -p '#{{pid}}'"#
        );
        let pid = in_mount_namespace(&script, arena.dir());
        arena::Server::of(pid.trim().parse().unwrap())
    };
    let sandboxed = |arguments: &[&str], code: i32| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", env!("CARGO_BIN_EXE_tmux-janitor")]).args(arguments);
        let mut run = None;
        // A dump of the kernel's table can miss one, and other tests have servers in namespaces of theirs.
        wait::until(&format!("{arguments:?} ends with {code}"), || {
            run.insert(Run::of(&mut command)).code == Some(code)
        });
        run.unwrap()
    };
    let dir = arena.dir().to_str().unwrap();
    // On another file system: it is never the one that was bound here.
    let far = private("mount -t tmpfs tmpfs", "far");
    sandboxed(&["--dir", dir, "status"], 0);
    fs::remove_file(arena.path("a")).unwrap();
    sandboxed(&["--dir", dir, "status"], 1);
    // On the same one.
    let near = private(r#"mount --bind "$1.near""#, "near");
    let status = sandboxed(&["--dir", dir, "status", "--json"], 4).json();
    let unseen: Vec<&str> =
        status["unseen"].as_array().unwrap().iter().map(|place| place["path"].as_str().unwrap()).collect();
    assert_eq!(unseen, [format!("{dir}/a"), format!("{dir}/near")], "{status:#}");
    assert!(status["unseen"][0]["reason"].as_str().unwrap().contains("which of the two"), "{status:#}");
    assert_eq!(status["healthy"], false);
    let rescue = sandboxed(&["--dir", dir, "rescue"], 1);
    assert!(rescue.stdout.contains("not all could be looked at"), "{}", rescue.stdout);
    let path = arena.path("a");
    let probe = sandboxed(&["probe", "-S", path.to_str().unwrap()], 3);
    assert!(probe.stdout.contains("which of the two"), "{}", probe.stdout);
    // Nobody is silent of it, and each says it once of each path.
    let said =
        |label: &str| format!("{dir}/{label}: a live server was bound to this path and is not reached here");
    let sandbox = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", env!("CARGO_BIN_EXE_tmux-janitor")]).args(arguments);
        command.env("XDG_CONFIG_HOME", "/nonexistent");
        command
    };
    for (arguments, code) in [
        (&["--dir", dir, "sweep"][..], 0),
        (&["--dir", dir, "list"], 0),
        (&["sweep", "-S", path.to_str().unwrap(), "-S", &format!("{dir}/near")], 0),
        (&["--dir", dir, "doctor"], 1),
        (&["--dir", dir], 0),
    ] {
        let mut told = String::new();
        wait::until(&format!("{arguments:?} says it"), || {
            let run = Run::of(&mut sandbox(arguments));
            told = format!("{}{}", run.stdout, run.stderr);
            ["a", "near"].iter().all(|label| told.contains(&said(label))) && run.code == Some(code)
        });
        for label in ["a", "near"] {
            assert_eq!(told.matches(&said(label)).count(), 1, "{arguments:?}: {told}");
        }
    }
    for follows in ["watch", "events"] {
        let daemon = Daemon::begin(sandbox(&["--dir", dir, follows]), |_, _| {});
        wait::until("both are told of", || {
            ["a", "near"].iter().all(|label| daemon.logged(&said(label)) == 1)
        });
    }
    let spawn = ["--dir", dir, "spawn", "x", "--socket-label", "near", "--scope", "never", "--json"];
    let run = Run::of(sandbox(&spawn).args(["--", "sleep", "1000"]));
    let json = run.json();
    let server = arena::Server::of(i32::try_from(json["server_pid"].as_i64().unwrap()).unwrap());
    let warnings = json["warnings"].as_array().unwrap();
    let is_it = |warning: &&Value| warning.as_str().unwrap().contains(&said("near"));
    assert_eq!((run.code, warnings.iter().filter(is_it).count()), (Some(0), 1), "{json:#}");
    drop(server);
    fs::remove_file(arena.path("near")).unwrap();
    // Outside of it nothing is in doubt.
    let run = Run::of(janitor(arena.dir()).args(["status", "--json"]));
    assert_eq!((run.code, &run.json()["counts"]["ghost"]), (Some(1), &1.into()), "{}", run.stdout);
    drop((far, near));
    for label in ["far", "near"] {
        fs::remove_dir_all(format!("{dir}.{label}")).unwrap();
    }
}

#[test]
fn where_no_socket_can_be_made_no_signal_is_sent() {
    if !is_root() {
        return skip("needs root: it mounts a folder read-only");
    }
    let arena = Arena::new();
    // The server would fail to bind, and its panes would have a wrong umask ever after.
    let out = in_mount_namespace(
        r#"
        mkdir "$1/d"; mount --bind "$1/d" "$1/d"
        ask() { "$TMUX_PROGRAM" -f /dev/null -S "$1/d/a" "${@:2}" </dev/null; }
        ask "$1" new-session -d 'sleep 3600'; pid=$(ask "$1" display-message -p '#{pid}')
        trap 'kill -KILL $pid; while [ -e /proc/$pid ] && ! grep -q "State:.Z" /proc/$pid/status; do :; done' EXIT
        rm "$1/d/a"; mount -o remount,bind,ro "$1/d"
        strace -qq -p $pid -e trace=none -e signal=USR1 -o "$1/signals" & tracer=$!
        until grep -q "TracerPid:.[1-9]" /proc/$pid/status && grep -q "State:.S" /proc/$pid/status; do :; done
        for i in 1 2 3; do "$JANITOR" --dir "$1/d" rescue --json || :; done
        kill $tracer; wait $tracer || :
        mount -o remount,bind,rw "$1/d"
        "$JANITOR" --dir "$1/d" rescue
        [ "$pid" = "$(ask "$1" display-message -p '#{pid}')" ]
        "#,
        arena.dir(),
    );
    let first: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(fate(&first, "a"), ("ghost", "failed"), "{out}");
    assert!(entry(&first, "a")["error"].as_str().unwrap().contains("read-only"), "{out}");
    assert!(out.ends_with("rescued 1 ghost\n"), "{out}");
    let signals = fs::read_to_string(arena.path("signals")).unwrap();
    assert!(!signals.contains("SIGUSR1"), "{signals}");
}
