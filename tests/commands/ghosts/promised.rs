//! What is said of a ghost is what happens: the dry run, and the commands in the sentences.

use super::scene::{ghost, in_mount_namespace, is_root};
use crate::common::arena::{self, Arena, Server};
use crate::common::ghosts::{ghosts, json, user};
use crate::common::janitor::{Run, bare, entry, fate, janitor};
use crate::common::skip::skip;
use crate::common::wait;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server of `tmux -L` under a `TMUX_TMPDIR` two folders below the arena, which were deleted since.
fn leaked(arena: &Arena) -> (PathBuf, Server) {
    let dir = arena.path("tests/one").join(format!("tmux-{}", user()));
    fs::create_dir_all(dir.parent().unwrap()).unwrap();
    let mut tmux = Command::new(arena::tmux_program());
    tmux.args(["-f", "/dev/null", "-L", "t", "new-session", "-d", "sleep 3600"]);
    assert!(tmux.env("TMUX_TMPDIR", dir.parent().unwrap()).env_remove("TMUX").status().unwrap().success());
    let server = Server::of(arena::pid_of(&dir.join("t")));
    fs::remove_dir_all(arena.path("tests")).unwrap();
    (dir, server)
}

/// What a dry run announces for a path, which the run must then do: the ghost's outcome, reason and error.
#[track_caller]
fn announced_and_done(arguments: &[&str]) -> [String; 3] {
    let run = |dry: &[&str]| {
        let run = Run::of(bare().args(arguments).arg("rescue").arg("--json").args(dry));
        let mut json = run.json();
        let ghosts: Vec<Value> =
            json["sockets"].as_array_mut().unwrap().drain(..).filter(|s| s["state"] == "ghost").collect();
        assert_eq!(ghosts.len(), 1, "{ghosts:#?}");
        let text =
            |key: &str| ghosts[0][key].as_str().unwrap_or_default().trim_start_matches("would-").to_owned();
        let told = [text("outcome").replace("rescued", "rescue"), text("reason"), text("error")];
        (run.code, told)
    };
    let dry = run(&["--dry-run"]);
    assert_eq!(dry, run(&[]));
    assert_eq!(dry.0, Some(i32::from(dry.1[0] != "rescue")), "{:?}", dry.1);
    dry.1
}

#[test]
fn a_deleted_tmux_tmpdir_comes_back_by_rescue_alone() {
    let arena = Arena::new();
    let (dir, server) = leaked(&arena);
    let place = dir.to_str().unwrap();
    // A sweep, which a timer may start, does not bring back what a test has removed.
    let swept = json(&dir, &["sweep", "--rescue"], 1);
    assert_eq!(fate(&swept, "t"), ("ghost", "kept"));
    let reason = entry(&swept, "t")["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("`kill {}` ends it", server.pid)), "{reason}");
    assert_eq!(fate(&json(&dir, &["sweep", "--rescue", "--dry-run"], 1), "t"), ("ghost", "kept"));
    assert!(!arena.has("tests"));

    let [outcome, reason, _] = announced_and_done(&["--dir", place]);
    assert!(reason.contains(&format!("`kill {}` ends it", server.pid)), "{reason}");
    assert_eq!(outcome, "rescue");
    assert_eq!(arena::pid_of(&dir.join("t")), server.pid);
}

#[test]
fn where_it_cannot_come_back_the_ways_by_hand_are_named_and_nothing_is_left() {
    let arena = Arena::new();
    let (dir, server) = leaked(&arena);
    // A link that leads nowhere stands in the way.
    std::os::unix::fs::symlink("nowhere", arena.path("tests")).unwrap();
    let [outcome, _, error] = announced_and_done(&["--dir", dir.to_str().unwrap()]);
    assert_eq!(outcome, "failed");
    for way in [format!("`kill -USR1 {}`", server.pid), format!("`kill {}`", server.pid)] {
        assert!(error.contains(&way), "{error}");
    }
    fs::remove_file(arena.path("tests")).unwrap();
    assert_eq!(fs::read_dir(arena.dir()).unwrap().count(), 0);
}

#[test]
fn another_folder_is_made_by_hand_and_the_command_that_is_named_does_it() {
    let arena = Arena::new();
    let dir = arena.path("own");
    fs::create_dir(&dir).unwrap();
    let server = arena::start(&dir.join("a"));
    fs::remove_dir_all(&dir).unwrap();
    let [outcome, reason, error] = announced_and_done(&["--dir", dir.to_str().unwrap()]);
    assert_eq!(outcome, "failed");
    assert!(reason.contains(&error) && error.contains(&format!("`kill -USR1 {}`", server.pid)), "{reason}");
    // As the sentence says.
    let by_hand = format!("mkdir -p -m 700 {} && kill -USR1 {}", dir.display(), server.pid);
    assert!(Command::new("sh").args(["-c", &by_hand]).status().unwrap().success());
    wait::until("the socket is back", || dir.join("a").exists());
    assert_eq!(arena::pid_of(&dir.join("a")), server.pid);
}

#[test]
fn what_stands_in_the_way_is_foreseen() {
    let gone = |arena: &Arena| fs::remove_file(arena.path("a")).unwrap();
    let told = |arena: &Arena| announced_and_done(&["--dir", arena.dir().to_str().unwrap()]);
    let arena = Arena::new().live("a");
    gone(&arena);
    // A start lock that is no file.
    fs::create_dir(arena.path("a.lock")).unwrap();
    let [outcome, _, error] = told(&arena);
    assert!(outcome == "failed" && error.contains("its start lock is a directory"), "{outcome}: {error}");
    fs::remove_dir(arena.path("a.lock")).unwrap();
    // One that is held.
    let lock = fs::File::create(arena.path("a.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let [outcome, reason, _] = told(&arena);
    assert!(outcome == "busy" && reason.contains("its start lock is held"), "{outcome}: {reason}");
    drop(lock);
    // A socket that somebody has bound and does not listen on.
    let arena = arena.bound_only("a");
    let [outcome, reason, _] = told(&arena);
    assert!(outcome == "kept" && reason.contains("not proven to be dead"), "{outcome}: {reason}");
    gone(&arena);
    // A dead one that the settings would keep: the path gets a live one.
    let arena = arena.dead("a");
    let settings = arena.path("config.toml");
    fs::write(&settings, "keep = [\"a\"]\nmin-age = \"1h\"\n").unwrap();
    let place = arena.dir().to_str().unwrap();
    let [outcome, ..] = announced_and_done(&["--config", settings.to_str().unwrap(), "--dir", place]);
    assert_eq!(outcome, "rescue");
    arena.assert_reachable("a");
}

#[test]
fn a_path_means_that_one_alone() {
    let arena = Arena::new().live("a").live("b");
    for label in ["a", "b"] {
        fs::remove_file(arena.path(label)).unwrap();
    }
    // By a link, and relative: as it is typed.
    let link = Arena::new();
    std::os::unix::fs::symlink(arena.dir(), link.path("link")).unwrap();
    let run = Run::of(bare().args(["rescue", "link/a"]).current_dir(link.dir()));
    let path = arena.path("a");
    let said = format!("rescued {} (pid {})\nrescued 1 ghost\n", path.display(), arena.server("a").pid);
    assert_eq!((run.code, run.stdout, run.stderr), (Some(0), said, String::new()));
    arena.assert_reachable("a");
    assert_eq!(ghosts(arena.dir()), [("b".to_owned(), arena.server("b").pid.into())]);
    let run = Run::of(bare().arg("rescue").arg(&path));
    let said = format!(
        "no ghost at {}; `tmux-janitor rescue --dry-run` shows each ghost with its path\n",
        path.display()
    );
    assert_eq!((run.code, run.stdout), (Some(0), said), "{}", run.stderr);
    for wrong in [vec!["rescue", "/"], vec!["--dir", "/tmp", "rescue", "/tmp/x"]] {
        assert_eq!(Run::of(bare().args(&wrong)).code, Some(2), "{wrong:?}");
    }
}

/// A server that sees other files than we do, but for its socket's folder; its socket is deleted.
fn elsewhere(arena: &Arena) -> Server {
    let script = r#"
        mount -t tmpfs tmpfs /mnt
        ask() { "$TMUX_PROGRAM" -f /dev/null -S "$1/a" "${@:2}" </dev/null; }
        ask "$1" new-session -d 'sleep 3600'; ask "$1" display-message -p '#{pid}'; rm "$1/a"
    "#;
    Server::of(in_mount_namespace(script, arena.dir()).trim().parse().unwrap())
}

/// The commands in a sentence.
fn commands(reason: &str) -> Vec<&str> {
    reason.split('`').skip(1).step_by(2).collect()
}

#[test]
fn what_is_named_for_a_server_in_another_mount_namespace_helps() {
    if !is_root() {
        return skip("needs root: it makes a mount namespace");
    }
    let arena = Arena::new();
    let server = elsewhere(&arena);
    let told = |path: &Path| {
        let path = format!("{}:{}", path.display(), std::env::var("PATH").unwrap());
        let list = Run::of(janitor(arena.dir()).args(["list", "--json"]).env("PATH", path)).json();
        ghost(&list, "a")["reason"].as_str().unwrap().to_owned()
    };
    let by_hand = format!("kill -USR1 {}", server.pid);
    let inside = format!("nsenter -t {} -m tmux-janitor rescue", server.pid);
    // The program is found there, and it is not.
    let program = Path::new(env!("CARGO_BIN_EXE_tmux-janitor")).parent().unwrap();
    let (with, without) = (told(program), told(Path::new("/nonexistent")));
    assert_eq!(commands(&with), [&inside, &by_hand]);
    assert_eq!(commands(&without), [&by_hand]);
    // A program of that name which is not ours promises nothing.
    let other = Arena::new();
    fs::write(other.path("tmux-janitor"), "").unwrap();
    assert_eq!(commands(&told(other.dir())), [&by_hand]);

    let run = |command: &str| {
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let shell = Run::of(Command::new("sh").args(["-c", command]).env("PATH", path));
        wait::until("the socket is back", || arena.listens_at("a"));
        assert_eq!(arena::pid_of(&arena.path("a")), server.pid, "{}{}", shell.stdout, shell.stderr);
        fs::remove_file(arena.path("a")).unwrap();
    };
    run(&inside);
    run(&by_hand);
    // The path is taken: the signal would take it from the living.
    let second = arena::start(&arena.path("a"));
    assert!(told(program).contains("when the other server has ended"), "{}", told(program));
    drop(second);
}

#[test]
fn a_server_that_cannot_write_its_folder_elsewhere_is_not_to_be_told() {
    if !is_root() {
        return skip("needs root: it makes a mount namespace");
    }
    let arena = Arena::new();
    let script = r#"
        ask() { "$TMUX_PROGRAM" -f /dev/null -S "$1/a" "${@:2}" </dev/null; }
        ask "$1" new-session -d 'sleep 3600'; ask "$1" display-message -p '#{pid}'; rm "$1/a"
        mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"
    "#;
    let _server = Server::of(in_mount_namespace(script, arena.dir()).trim().parse().unwrap());
    let list = json(arena.dir(), &["list"], 0);
    let reason = ghost(&list, "a")["reason"].as_str().unwrap();
    assert!(commands(reason).is_empty() && reason.contains("cannot be written"), "{reason}");
}
