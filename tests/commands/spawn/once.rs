//! COMMAND is started once, and what became of it is told: whatever the user's configuration says, whoever kills, and
//! wherever we are killed ourselves.

use super::scene::{Scene, errors, is_silent, text};
use crate::common::arena::{Arena, tmux, tmux_program, until_left};
use crate::common::janitor::{Run, janitor};
use crate::common::wait;
use serde_json::Value;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// COMMAND has ended, and this is told of it.
#[track_caller]
fn assert_ended(run: &Run, json: &Value, status: Option<i32>, signal: Option<&str>) {
    assert_eq!(run.code, Some(4), "{json:#} {}", run.stderr);
    assert_eq!((text(json, "outcome"), text(json, "command_state")), ("ended", "ran"), "{json:#}");
    assert_eq!((&json["exit_status"], &json["signal"]), (&status.into(), &signal.into()), "{json:#}");
    assert_eq!(json["attempts"], 1);
    assert!(!run.stderr.is_empty());
}

#[test]
fn how_a_command_ended_is_told() {
    let scene = Scene::settled("");
    for (name, words, status, signal) in [
        ("zero", &["true"][..], Some(0), None),
        ("three", &["exit 3"], Some(3), None),
        ("late", &["sleep 0.1; exit 5"], Some(5), None),
        ("words", &["sh", "-c", "exit 7"], Some(7), None),
        ("kill", &["kill -9 $$"], None, Some("SIGKILL")),
        ("term", &["sh", "-c", "kill -TERM $$"], None, Some("SIGTERM")),
        ("a.b", &["exit 9"], Some(9), None),
        ("a b'c", &["exit 9"], Some(9), None),
    ] {
        let (run, json) = scene.at_home(&[&[name, "--"], words].concat());
        assert_ended(&run, &json, status, signal);
        assert!(json["server_pid"].is_null(), "{json:#}");
        assert!(scene.arena.names().is_empty(), "nothing is left of it: {:?}", scene.arena.names());
    }
}

#[test]
fn why_a_command_could_not_run_is_told() {
    let scene = Scene::settled("");
    let told = |arguments: &[&str], status, parts: &[&str]| {
        let (run, json) = scene.at_home(arguments);
        assert_ended(&run, &json, Some(status), None);
        for part in parts {
            assert!(errors(&json).contains(part), "{part}: {json:#}");
        }
        errors(&json)
    };
    told(
        &["a", "--", "no-such-program"],
        127,
        &["COMMAND `no-such-program`", "127", "did not find a program"],
    );
    told(&["a", "--", "no-such-program", "x"], 1, &["no program no-such-program is in PATH"]);
    told(&["a", "--", "/no/such", "x"], 1, &["there is no program /no/such"]);
    told(&["a", "--", "/dev/null"], 126, &["126", "cannot be executed"]);
    // A shell that refuses logins.
    let door = scene.path("nologin");
    fs::write(&door, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&door, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(scene.path(".tmux.conf"), format!("set -g default-shell {}", door.display())).unwrap();
    told(&["a", "--", "sleep 1000"], 1, &["nologin refuses logins", "COMMAND `sleep 1000`"]);
    let said = told(&["a"], 1, &["nologin refuses logins", "default-shell"]);
    assert!(!said.contains("COMMAND"), "none was given: {said}");
    // Several words need no shell.
    let (run, json) = scene.at_home(&["a", "--", "sleep", "1000"].map(|word| word));
    assert_eq!(run.code, Some(0), "{json:#}");
}

#[test]
fn whatever_the_configuration_says_it_is_started_once_and_the_answer_is_true() {
    for (configuration, long, short) in [
        ("", 0, 4),
        ("set -g remain-on-exit on", 0, 4),
        ("set -g remain-on-exit failed", 0, 4),
        ("set -s exit-empty off", 0, 4),
        ("new-session -d -s own", 0, 4),
        ("set-hook -g after-new-session 'rename-session other'", 0, 4),
        ("set-hook -g session-created 'rename-session other'", 0, 4),
        ("set-hook -g after-new-session 'split-window -d \"sleep 1000\"'", 0, 4),
        ("set-hook -g after-new-session 'new-session -d -s extra'\nset-hook -g session-created ''", 0, 4),
        ("set-hook -g pane-died respawn-pane", 0, 4),
        ("set-hook -g after-new-session 'run-shell \"sleep 0.2\"'", 0, 4),
        ("set -g default-terminal screen-256color\nset -g base-index 1\nset -g pane-base-index 1", 0, 4),
        ("set -g default-command 'exit 1'", 0, 4),
        ("set -g destroy-unattached on", 4, 4),
        ("bad line in a configuration", 0, 4),
    ] {
        let scene = Scene::settled(configuration);
        let (line, lines) = scene.counting("exit 3");
        let (run, json) = scene.at_home(&["x", "--", &line]);
        // With destroy-unattached tmux may end COMMAND before it has done anything.
        let done = lines();
        let is_right = done == 1 || (long == 4 && done == 0);
        assert!(run.code == Some(short) && is_right, "{configuration}: {done} {json:#} {}", run.stderr);
        assert_eq!(json["command_state"], "ran");
        let scene = scene.configured(&format!("tmux = {:?}", tmux_program().into_string().unwrap()));
        let (line, _) = scene.counting("exec sleep 1000");
        let (run, json) = scene.at_home(&["y", "--", &line]);
        assert_eq!(run.code, Some(long), "{configuration}: {json:#} {}", run.stderr);
        if long == 4 {
            assert!(errors(&json).contains("destroy-unattached"), "{json:#}");
        } else {
            wait::until("it has run", || lines() == 2);
        }
        if configuration.contains("bad line") {
            continue;
        }
        // What was set for the time is as it was.
        let socket = text(&json, "socket");
        let left = tmux(socket.as_ref()).args(["show-options", "-p", "-t", "%0"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "", "{configuration}");
    }
}

#[test]
fn a_pane_that_the_user_keeps_is_kept_and_any_other_is_not() {
    for (configuration, status, kept) in [
        ("", 3, false),
        ("set -g remain-on-exit on", 0, true),
        ("set -g remain-on-exit failed", 3, true),
        ("set -g remain-on-exit failed", 0, false),
    ] {
        for name in ["x", "a.b"] {
            let scene = Scene::settled(configuration);
            let (run, json) = scene.at_home(&[name, "--", &format!("exit {status}")]);
            assert_ended(&run, &json, Some(status), None);
            assert_eq!(errors(&json).contains("its session is still there"), kept, "{json:#}");
            let (run, _) = scene.at_home(&[name, "--", "sleep 1000"]);
            assert_eq!(run.code, Some(if kept { 3 } else { 0 }), "{configuration} {name}");
        }
    }
}

#[test]
fn a_server_that_will_outlive_its_command_is_told_of() {
    for configuration in ["set -s exit-empty off", "new-session -d -s own"] {
        let scene = Scene::settled(configuration);
        for name in ["x", "a.b"] {
            let (run, json) = scene.at_home(&[name, "--", "true"]);
            assert_ended(&run, &json, Some(0), None);
            assert!(json["warnings"].to_string().contains("will outlive COMMAND"), "{json:#}");
            assert!(run.stderr.contains("will outlive COMMAND"), "{}", run.stderr);
        }
    }
    let scene = Scene::settled("");
    let (_, json) = scene.at_home(&["x", "--", "true"]);
    assert_eq!(json["warnings"].to_string(), "[]");
}

#[test]
fn a_word_on_stderr_is_a_warning_and_no_failure() {
    let script = r#"echo "duplicate it is not: server exited, no server running" >&2; real "$@""#;
    let scene = Scene::scripted(Arena::new().live("shared"), script);
    for (name, label) in [("x", "spawn-x"), ("y", "shared")] {
        let json = scene.made([name, "--socket-label", label, "--", "sleep 1000"]);
        assert!(json["warnings"].to_string().contains("duplicate it is not"), "{json:#}");
        assert_eq!(json["errors"].to_string(), "[]");
        let (run, json) = scene.spawn([name, "--socket-label", label, "--", "sleep 1000"]);
        assert_eq!((run.code, &json["outcome"]), (Some(3), &"exists".into()), "{json:#}");
    }
    // Where tmux alone knows that a session is there already.
    let (run, _) = scene.spawn(["a.b", "--socket-label", "shared", "--", "sleep 1000"]);
    assert_eq!(run.code, Some(0));
    let (run, json) = scene.spawn(["a.b", "--socket-label", "shared", "--", "sleep 1000"]);
    assert_eq!(run.code, Some(3), "{json:#}");
}

#[test]
fn whoever_kills_a_command_is_never_started_twice() {
    let times = std::env::var("TMUX_JANITOR_ONCE").ok().and_then(|times| times.parse().ok()).unwrap_or(100);
    let scene = Scene::new();
    let over = AtomicBool::new(false);
    let socket = scene.arena.path("spawn-x");
    let mut codes = std::collections::BTreeMap::new();
    thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    tmux(&socket).arg("kill-server").stderr(Stdio::null()).status().unwrap();
                    thread::sleep(Duration::from_millis(7));
                }
            });
        }
        let _over = super::storm::Over(&over);
        for number in 0..times {
            let file = scene.path(format!("lines-{number}"));
            let line = format!(
                "echo >>'{}'; {}",
                file.display(),
                if number % 2 == 0 { "" } else { "exec sleep 100" }
            );
            let run = scene.run(["x", "--json", "--", &line]);
            let json = run.json();
            *codes.entry((run.code, text(&json, "command_state").to_owned())).or_insert(0) += 1;
            let lines = || fs::read_to_string(&file).unwrap_or_default().len();
            match text(&json, "command_state") {
                "not-run" => assert_eq!(lines(), 0, "{json:#}"),
                "ran" | "unknown" => {}
                other => panic!("{other} {json:#}"),
            }
            assert!(lines() <= 1, "{} lines: {json:#}", lines());
        }
    });
    println!("{times} spawns beside kill-server, by exit code and command_state: {codes:?}");
    for number in 0..times {
        let lines = fs::read_to_string(scene.path(format!("lines-{number}"))).unwrap_or_default().len();
        assert!(lines <= 1, "spawn {number} started COMMAND {lines} times");
    }
    assert!(codes.keys().any(|(_, state)| state == "ran"), "{codes:?}");
}

/// The answer gets lost as often as not, and COMMAND has run each time.
#[test]
fn a_command_that_takes_its_server_along_runs_once() {
    let scene = Scene::settled("");
    let mut states = std::collections::BTreeSet::new();
    for number in 0..20 {
        let file = scene.path(format!("lines-{number}"));
        let line = format!("echo >>'{}'; kill -9 $PPID", file.display());
        let run = scene.run(["x", "--json", "--", "sh", "-c", &line]);
        let json = run.json();
        assert_eq!(fs::read_to_string(&file).unwrap_or_default().len(), 1, "{json:#}");
        assert_eq!((json["attempts"].as_i64(), run.code == Some(0)), (Some(1), false), "{json:#}");
        states.insert(text(&json, "command_state").to_owned());
    }
    states.remove("ran");
    states.remove("unknown");
    assert!(states.is_empty(), "{states:?}");
}

/// Runs `spawn` and kills it after a time; how long it took if it was not killed.
fn killed_after(command: &mut Command, after: Duration) -> Option<Duration> {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while started.elapsed() < after {
        if child.try_wait().unwrap().is_some() {
            return Some(started.elapsed());
        }
        thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

#[test]
fn killed_anywhere_nothing_stays_that_blocks_the_name() {
    let scene = Scene::settled("");
    let home = scene.room.path().to_owned();
    let (mut killed, mut blocked) = (0, 0);
    for round in 0_u32..60 {
        let file = scene.path(format!("lines-{round}"));
        let line = format!("echo >>'{}'; sleep 0.05", file.display());
        let mut command = scene.command(["x", "--", &line]);
        let after = Duration::from_micros(u64::from(round) * 1500);
        killed += usize::from(killed_after(command.env("HOME", &home), after).is_none());
        // Once COMMAND is over, or was never started, the name is free again.
        until_left(scene.arena.dir());
        let before = fs::read_to_string(&file).unwrap_or_default().len();
        assert!(before <= 1, "{before} lines");
        let run = Run::of(scene.command(["x", "--json", "--", "exit 3"]).env("HOME", &home));
        blocked += usize::from(run.code == Some(3));
        assert_eq!(run.code, Some(4), "round {round}: {}{}", run.stdout, run.stderr);
    }
    println!("killed {killed} of 60 spawns at all moments; the name was blocked {blocked} times");
    assert!(killed > 20, "{killed}");
}

#[test]
fn what_is_renamed_by_a_hook_is_found_by_its_id() {
    let scene = Scene::settled("set-hook -g after-new-session 'rename-session other'");
    let scene = scene.configured(&format!("tmux = {:?}", tmux_program().into_string().unwrap()));
    let (run, json) = scene.at_home(&["x", "--", "sleep 1000"]);
    assert_eq!(run.code, Some(0), "{json:#}");
    assert_eq!(Scene::sessions(text(&json, "socket")), "other\n");
}

#[test]
fn it_ends_when_it_ends_and_is_left_alone_afterwards() {
    // It outlives the watch: then it ends as it would have.
    let scene = Scene::settled("");
    let scene =
        scene.configured(&format!("settle = \"0s\"\ntmux = {:?}", tmux_program().into_string().unwrap()));
    let (run, json) = scene.at_home(&["x", "--", "sleep 0.5"]);
    assert_eq!(run.code, Some(0), "{json:#}");
    wait::until("the session ends with it", || is_silent(text(&json, "socket").as_ref()));
    drop(Run::of(janitor(scene.arena.dir()).arg("sweep")));
}
