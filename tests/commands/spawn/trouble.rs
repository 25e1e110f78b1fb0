//! What is in the way is told with its cure; what may be alive is never replaced; no exit code is
//! believed.

use super::scene::{Scene, errors, text};
use crate::common::arena::{Arena, pid_of, tmux_program};
use crate::common::janitor::{Run, bare};
use crate::common::wait;
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

impl Scene {
    /// A scene whose tmux is a shell script; in it `real` runs the real one, `$*` are the arguments and
    /// `$room` is a folder.
    pub(crate) fn scripted(arena: Arena, script: &str) -> Self {
        let scene = Self::of(arena);
        let program = scene.path("tmux");
        let real = tmux_program().into_string().unwrap();
        let room = scene.room.path().display();
        fs::write(&program, format!("#!/bin/sh\nroom='{room}'\nreal() {{ {real} \"$@\"; }}\n{script}\n"))
            .unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let table = format!("tmux = \"{}\"\nverify-delay = \"20ms\"", program.display());
        scene.configured(&table)
    }

    /// How often the scripted tmux was asked for something.
    fn asked(&self, word: &str) -> usize {
        fs::read_to_string(self.path("log"))
            .unwrap_or_default()
            .lines()
            .filter(|line| line.contains(word))
            .count()
    }
}

const LOGGED: &str = r#"echo "$*" >>"$room/log"; "#;

#[track_caller]
fn failed(scene: &Scene, arguments: &[&str], attempts: u32) -> Value {
    let (run, json) = scene.spawn(arguments);
    assert_eq!((run.code, &json["attempts"]), (Some(1), &attempts.into()), "{json:#}");
    assert!(!run.stderr.is_empty());
    json
}

#[test]
fn a_stopped_server_is_left_alone_and_nothing_hangs() {
    let scene = Scene::of(Arena::new().stopped("spawn-x"));
    let pid = scene.arena.server("spawn-x").pid;
    // Who captures the output through a pipe is not kept waiting either.
    let clock = wait::Clock::start();
    let output = scene.command(["x", "--json"]).stdout(Stdio::piped()).output().unwrap();
    clock.assert_within(Duration::from_secs(2));
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains(&format!("kill -CONT {pid}")), "{told}");
    scene.arena.server("spawn-x").signal(Signal::CONT);
    scene.arena.assert_reachable("spawn-x");
    assert_eq!(Scene::sessions(scene.arena.path("spawn-x")), "test\n", "nothing was done late");
}

#[test]
fn a_check_that_hangs_is_given_up() {
    let script = format!(r#"{LOGGED} case "$*" in *has-session*) exec sleep 77;; esac; real "$@""#);
    let scene = Scene::scripted(Arena::new().live("spawn-x"), &script);
    let clock = wait::Clock::start();
    let (run, json) = scene.spawn(["x", "--", "sleep 1000"]);
    clock.assert_within(Duration::from_secs(20));
    assert_eq!((run.code, scene.asked("has-session")), (Some(1), 1), "{json:#}");
    assert!(errors(&json).contains("did not answer within 2 s"), "{json:#}");
}

/// It is its turn that is missing, as on a machine with too much to do.
#[test]
fn a_client_that_waits_for_nothing_but_a_processor_is_waited_for() {
    let busy = "read -r now _ </proc/uptime; until=$((${now%.*} + 8)); while [ ${now%.*} -lt $until ]; do read -r now _ </proc/uptime; done";
    // Whoever starts the server, and whoever asks for the session.
    for who in ["start-server", "new-session"] {
        let script = format!(r#"{LOGGED} case "$*" in *{who}*) {busy};; esac; real "$@""#);
        let scene = Scene::scripted(Arena::new(), &script);
        let started = Instant::now();
        scene.made(["x", "--", "sleep 1000"]);
        // Longer than a client has, and has to leave.
        assert!(started.elapsed() > Duration::from_secs(5), "{who}: {:?}", started.elapsed());
    }
}

#[test]
fn a_client_that_hangs_is_given_up() {
    let script = format!(r#"{LOGGED} case "$*" in *new-session*) exec sleep 77;; esac; real "$@""#);
    let scene = Scene::scripted(Arena::new(), &script);
    let (started, clock) = (Instant::now(), wait::Clock::start());
    let json = failed(&scene, &["x", "--", "sleep 1000"], 1);
    let took = started.elapsed();
    assert!(Duration::from_secs(2) <= took, "{took:?}");
    clock.assert_within(Duration::from_secs(5));
    assert!(errors(&json).contains("within 2 s"), "{json:#}");
    let left = Command::new("pgrep").args(["-f", "^sleep 77$"]).output().unwrap();
    let room = scene.room.path().display().to_string();
    let ours = String::from_utf8(left.stdout).unwrap().lines().any(|pid| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|text| String::from_utf8_lossy(&text).contains(&room))
    });
    assert!(!ours, "the client is gone");
}

#[test]
fn a_server_that_reads_a_slow_configuration_is_waited_for() {
    let scene = Scene::new();
    fs::write(scene.path(".tmux.conf"), "run-shell 'sleep 3'\n").unwrap();
    let mut command = scene.command(["x", "--json", "--", "sleep 1000"]);
    let run = Run::of(command.env("HOME", scene.room.path()));
    let json = run.json();
    scene.adopt(&json);
    assert_eq!((run.code, &json["attempts"]), (Some(0), &1.into()), "{json:#}");
}

#[test]
fn a_ghost_is_not_replaced_but_brought_back() {
    for beside in [false, true] {
        let scene = Scene::of(Arena::new().live("spawn-x"));
        let pid = scene.arena.server("spawn-x").pid;
        let path = scene.arena.path("spawn-x");
        fs::remove_file(&path).unwrap();
        if beside {
            wait::leave_dead(&path);
        }
        let json = scene.made(["x", "--", "sleep 1000"]);
        assert_eq!(json["server_pid"], pid, "{json:#}");
        assert_eq!(json["rescued"], serde_json::json!([path]));
        assert_eq!(Scene::sessions(&path), "test\nx\n");
    }
}

#[test]
fn a_ghost_that_cannot_be_brought_back_is_told_and_not_replaced() {
    let scene = Scene::of(Arena::new().stopped("spawn-x"));
    let pid = scene.arena.server("spawn-x").pid;
    fs::remove_file(scene.arena.path("spawn-x")).unwrap();
    let json = failed(&scene, &["x", "--", "sleep 1000"], 0);
    assert!(errors(&json).contains(&pid.to_string()) && errors(&json).contains("stopped"), "{json:#}");
    assert!(scene.arena.names().is_empty());
    assert!(scene.arena.server("spawn-x").is_alive());
}

#[test]
fn what_is_no_dead_socket_is_in_the_way() {
    let arena = Arena::new().bound_only("spawn-bound").datagram("spawn-datagram");
    for name in ["spawn-file", "spawn-dir", "spawn-link"] {
        let path = arena.path(name);
        match name {
            "spawn-file" => fs::write(path, "precious").unwrap(),
            "spawn-dir" => fs::create_dir(path).unwrap(),
            _ => std::os::unix::fs::symlink("nowhere", path).unwrap(),
        }
    }
    let scene = Scene::of(arena);
    let before = scene.arena.names();
    for name in ["bound", "datagram", "file", "dir", "link"] {
        let json = failed(&scene, &[name, "--", "sleep 1000"], 0);
        assert!(errors(&json).contains(&format!("spawn-{name}")), "{json:#}");
    }
    assert_eq!(scene.arena.names(), before);
    assert_eq!(fs::read_to_string(scene.arena.path("spawn-file")).unwrap(), "precious");
}

#[test]
fn a_lock_that_cannot_be_opened_is_named() {
    let scene = Scene::new();
    fs::create_dir(scene.arena.path("spawn-x.lock")).unwrap();
    let json = failed(&scene, &["x", "--", "sleep 1000"], 0);
    assert!(errors(&json).contains("spawn-x.lock") && errors(&json).contains("remove it"), "{json:#}");
    assert_eq!(scene.arena.names(), ["spawn-x.lock"]);
}

#[test]
fn an_exit_code_of_0_that_did_nothing_is_seen_through() {
    // As tmux does where it cannot make its socket: nothing was asked of it yet, so that it may be tried again.
    for said in ["", "error creating /x (Address already in use)"] {
        let script = format!(
            r#"{LOGGED} case "$*" in *start-server*) printf %s '{said}' >&2; exit 0;; esac; real "$@""#
        );
        let scene = Scene::scripted(Arena::new(), &script);
        let json = failed(&scene, &["x", "--", "sleep 1000"], 2);
        assert_eq!(json["errors"].as_array().map(Vec::len), Some(2), "both errors are told: {json:#}");
        assert!(errors(&json).contains(if said.is_empty() { "exit code 0" } else { said }), "{json:#}");
        assert_eq!(json["command_state"], "not-run");
        assert_eq!((scene.asked("start-server"), scene.asked("new-session")), (2, 0));
        // A new-session that says so may have done something all the same.
        let script = format!(
            r#"{LOGGED} case "$*" in *new-session*) printf %s '{said}' >&2; exit 0;; esac; real "$@""#
        );
        let scene = Scene::scripted(Arena::new(), &script);
        let json = failed(&scene, &["x", "--", "sleep 1000"], 1);
        assert_eq!(json["command_state"], "unknown", "{json:#}");
        assert_eq!((scene.asked("new-session"), scene.asked("has-session")), (1, 7));
        assert!(
            scene.arena.names().is_empty(),
            "the server that it was to be in is removed: {:?}",
            scene.arena.names()
        );
    }
}

/// A tmux whose answer to `new-session` gets lost, all of it but its exit code.
const WORDLESS: &str = r#"case "$*" in *new-session*) real "$@" >/dev/null; exit;; esac; "#;

#[test]
fn a_session_of_which_nothing_is_told_is_asked_for_and_a_check_that_fails_is_no_absence() {
    let script = format!(
        r#"{LOGGED} {WORDLESS} case "$*" in *has-session*) [ $(grep -c has-session "$room/log") -gt 3 ] || exit 1;; esac; real "$@""#
    );
    let scene = Scene::scripted(Arena::new(), &script);
    let json = scene.made(["x", "--", "sleep 1000"]);
    assert_eq!((&json["attempts"], &json["command_state"]), (&1.into(), &"ran".into()), "{json:#}");
    // Three that fail, one that does not, and one when it has settled.
    assert_eq!((scene.asked("has-session"), scene.asked("new-session")), (5, 1));
    let checks = fs::read_to_string(scene.path("log")).unwrap();
    let checks: Vec<&str> = checks.lines().filter(|line| line.contains("has-session")).collect();
    assert!(checks.iter().all(|line| line.contains("-N ") && line.ends_with("-t =x")), "{checks:?}");
}

#[test]
fn a_session_that_is_not_told_of_is_asked_for_as_often_as_configured() {
    // It was made; who watches it gets no answer.
    let script = format!(
        r#"{LOGGED} case "$*" in *new-session*) ;; *display-message*) echo 'no such thing' >&2; exit 1;; esac; real "$@""#
    );
    let scene = Scene::scripted(Arena::new(), &script);
    let renamed = fs::write(scene.path(".tmux.conf"), "set-hook -g after-new-session 'rename-session other'");
    renamed.unwrap();
    let mut command = scene.command(["x", "--json", "--", "sleep 1000"]);
    let run = Run::of(command.env("HOME", scene.room.path()));
    let json = run.json();
    scene.adopt(&json);
    assert_eq!((run.code, &json["command_state"]), (Some(1), &"ran".into()), "{json:#}");
    assert!(errors(&json).contains("no such thing"), "{json:#}");
    assert_eq!((scene.asked("-t %0 remain-on-exit on"), scene.asked("new-session")), (6, 1));
    assert_eq!(json["server_pid"], pid_of(&scene.arena.path("spawn-x")));
}

#[test]
fn a_server_that_dies_between_the_steps_is_replaced_while_nothing_was_asked_of_it() {
    // Between the preflight and the creation: the one that was seen alive is gone.
    let script = r#"case "$*" in *new-session*) [ -e "$room/died" ] || { : >"$room/died"; real -S "$3" kill-server; while real -N -S "$3" list-sessions 2>&1 | grep -q 'server exited'; do :; done; };; esac; real "$@""#;
    let scene = Scene::scripted(Arena::new().live("spawn-x"), script);
    let json = scene.made(["x", "--", "sleep 1000"]);
    assert_eq!(json["attempts"], 2, "{json:#}");
    assert_ne!(json["server_pid"], scene.arena.server("spawn-x").pid);
    assert_eq!(Scene::sessions(scene.arena.path("spawn-x")), "x\n");
}

#[test]
fn a_socket_error_is_tried_once_more_and_no_more_and_only_before_anything_was_asked() {
    for error in ["server exited unexpectedly", "lost server", "error creating /x (Address already in use)"] {
        let script = format!(
            r#"{LOGGED} case "$*" in *start-server*) [ -e "$room/once" ] || {{ : >"$room/once"; echo '{error}' >&2; exit 1; }};; esac; real "$@""#
        );
        let scene = Scene::scripted(Arena::new().dead("spawn-x"), &script);
        let json = scene.made(["x", "--", "sleep 1000"]);
        assert_eq!((&json["attempts"], scene.asked("start-server")), (&2.into(), 2));
        assert_eq!(json["errors"], serde_json::json!([error]));
        assert_eq!(scene.asked("new-session"), 1);
    }
    // An answer that is lost says nothing of what was done.
    for error in ["server exited unexpectedly", "lost server"] {
        let script = format!(
            r#"{LOGGED} case "$*" in *new-session*) real "$@" >/dev/null 2>&1; echo '{error}' >&2; exit 1;; esac; real "$@""#
        );
        let scene = Scene::scripted(Arena::new(), &script);
        let json = failed(&scene, &["x", "--", "sleep 1000"], 1);
        assert_eq!((&json["command_state"], scene.asked("new-session")), (&"unknown".into(), 1), "{json:#}");
        assert!(errors(&json).contains(error), "{json:#}");
    }
    let script =
        format!(r#"{LOGGED} case "$*" in *new-session*) echo 'bad thing' >&2; exit 1;; esac; real "$@""#);
    let scene = Scene::scripted(Arena::new(), &script);
    let json = failed(&scene, &["x", "--", "sleep 1000"], 1);
    assert_eq!((errors(&json).as_str(), scene.asked("new-session")), ("bad thing", 1));
    assert_eq!(json["command_state"], "not-run");
}

#[test]
fn an_old_tmux_without_the_flag_is_asked_without_it() {
    let script = format!(
        r#"{LOGGED} case " $* " in *" -N "*) echo "tmux: unknown option -- N" >&2; echo "usage: tmux" >&2; exit 1;; esac; real "$@""#
    );
    let scene = Scene::scripted(Arena::new().live("shared"), &script);
    scene.made(["x", "--", "sleep 1000"]);
    scene.made(["y", "--socket-label", "shared", "--", "sleep 1000"]);
    // Without the flag a server could be started.
    failed(&scene, &["z", "--socket-label", "shared", "--join-only", "--", "sleep 1000"], 1);
    assert_eq!(Scene::sessions(scene.arena.path("shared")), "test\ny\n");
}

#[test]
fn a_directory_that_tmux_would_refuse_is_not_used() {
    let scene = Scene::new();
    let open = scene.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let run = Run::of(bare().arg("--dir").arg(&open).args(["spawn", "x", "--json", "--", "sleep 1000"]));
    assert_eq!(run.code, Some(1));
    assert!(errors(&run.json()).contains("others can write it"), "{}", run.stdout);
    // The next one is.
    let mut command = bare();
    command.arg("--dir").arg(&open).arg("--dir").arg(scene.arena.dir());
    let run = Run::of(command.args(["spawn", "x", "--json", "--", "sleep 1000"]));
    let json = run.json();
    scene.adopt(&json);
    assert_eq!(text(&json, "fallback_dir"), scene.arena.dir().to_str().unwrap());
    assert_eq!(fs::metadata(scene.arena.path("spawn-x")).unwrap().uid(), rustix::process::getuid().as_raw());
}

#[test]
fn the_real_tmux_hangs_on_a_server_that_stops_answering_and_is_given_up() {
    // Stopped only when it is asked: what /proc says beforehand does not help.
    let scene = Scene::of(Arena::new().live("spawn-x"));
    let pid = scene.arena.server("spawn-x").pid;
    let program = scene.path("tmux");
    let real = tmux_program().into_string().unwrap();
    fs::write(&program, format!("#!/bin/sh\nkill -STOP {pid}; exec {real} \"$@\"\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let scene = scene.configured(&format!("tmux = \"{}\"", program.display()));
    let (started, clock) = (Instant::now(), wait::Clock::start());
    let json = failed(&scene, &["x", "--", "sleep 1000"], 0);
    let took = started.elapsed();
    assert!(Duration::from_secs(2) <= took, "{took:?}");
    clock.assert_within(Duration::from_secs(4));
    assert!(errors(&json).contains("did not answer"), "{json:#}");
    scene.arena.server("spawn-x").signal(Signal::CONT);
    assert_eq!(pid_of(&scene.arena.path("spawn-x")), pid);
    assert_eq!(Scene::sessions(scene.arena.path("spawn-x")), "test\n");
}
