//! What a spawn is when nothing is in its way.

use super::scene::{Scene, errors, text};
use crate::common::arena::{Arena, pid_of, tmux, tmux_program};
use crate::common::wait;
use std::fs;
use std::process::Command;

#[test]
fn a_session_gets_a_socket_of_its_own_and_is_told_in_one_line() {
    let scene = Scene::new();
    let run = scene.run(["build", "--", "sleep 1000"]);
    let socket = scene.arena.path("spawn-build");
    let pid = pid_of(&socket);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let attach = format!("attach: {} -S {} attach", tmux_program().to_string_lossy(), socket.display());
    assert_eq!(run.stdout, format!("spawned \"build\" on {} (pid {pid}); {attach}\n", socket.display()));
    assert_eq!(run.stderr, "");
    assert_eq!(scene.arena.names(), ["spawn-build"]);
    assert_eq!(Scene::sessions(&socket), "build\n");

    let run = scene.run(["build", "--", "sleep 1000"]);
    assert_eq!(run.code, Some(3));
    assert!(run.stdout.starts_with("\"build\" is there already on "), "{}", run.stdout);
    assert!(run.stdout.ends_with(&format!("; {attach}\n")), "{}", run.stdout);
    let run = scene.run(["build", "--exist-ok", "--", "sleep 1000"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.starts_with("\"build\" is there already on "), "{}", run.stdout);
    assert_eq!((pid_of(&socket), Scene::sessions(&socket)), (pid, "build\n".into()));
}

#[test]
fn every_field_of_the_result_is_there() {
    let scene = Scene::of(Arena::new().dead("stale"));
    let json = scene.made(["x", "--", "sleep 1000"]);
    assert_eq!(text(&json, "session"), "x");
    assert_eq!(text(&json, "label"), "spawn-x");
    assert_eq!(text(&json, "socket"), scene.arena.path("spawn-x").to_str().unwrap());
    assert_eq!(json["server_pid"], pid_of(&scene.arena.path("spawn-x")));
    assert_eq!(json["attempts"], 1);
    assert_eq!(json["swept"], serde_json::json!([scene.arena.path("stale")]));
    for (field, value) in [("rescued", "[]"), ("scope", "null"), ("fallback_dir", "null"), ("errors", "[]")] {
        assert_eq!(json[field].to_string(), value, "{field}");
    }
}

#[test]
fn dead_sockets_are_swept_first_and_others_stay_as_they_are() {
    let mut arena = Arena::new().dead("spawn-x").live("homebase").listener("counting");
    for number in 0..20 {
        arena = arena.dead(format!("dead-{number}"));
    }
    let scene = Scene::of(arena);
    let run = scene.run(["x", "--", "sleep 1000"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains(" after cleaning 21 stale sockets; attach: "), "{}", run.stdout);
    assert_eq!(scene.arena.names(), ["counting", "homebase", "spawn-x"]);
    scene.arena.assert_reachable("homebase");
    assert_eq!(Scene::sessions(scene.arena.path("homebase")), "test\n");
    assert_eq!(scene.arena.connections("counting"), 0, "no live server is connected to");
}

#[test]
fn without_a_sweep_nothing_else_is_removed() {
    let scene = Scene::of(Arena::new().dead("spawn-x").dead("other"));
    let json = scene.made(["x", "--no-sweep", "--", "sleep 1000"]);
    assert_eq!(json["swept"].to_string(), "[]");
    assert_eq!(scene.arena.names(), ["other", "spawn-x"]);
}

#[test]
fn the_environment_names_no_other_server_and_nothing_is_inherited() {
    let scene = Scene::new();
    let seen = scene.path("seen");
    let script = format!(
        "env >{0}.part; ls -l /proc/$PPID/fd >>{0}.part; mv {0}.part {0}; sleep 1000",
        seen.display()
    );
    let leaked = scene.path("leaked");
    // A descriptor that whoever calls us left open, as flock(1) does.
    let status = Command::new("sh")
        .args(["-c", r#"exec 7>"$0"; exec "$@""#])
        .arg(&leaked)
        .arg(env!("CARGO_BIN_EXE_tmux-janitor"))
        .arg("--dir")
        .arg(scene.arena.dir())
        .args(["spawn", "x", "--", &script])
        .env("TMUX", "/tmp/other,1,0")
        .env("TMUX_PANE", "%77")
        .env("NOTIFY_SOCKET", "/run/nobody")
        .env("LISTEN_FDS", "1")
        .env("KEPT", "yes")
        .status();
    assert!(status.is_ok_and(|status| status.success()));
    wait::until("the session tells", || seen.exists());
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("\nKEPT=yes\n") || seen.starts_with("KEPT=yes\n"), "{seen}");
    let tmux = format!("TMUX={},", scene.arena.path("spawn-x").display());
    assert!(seen.lines().any(|line| line.starts_with(&tmux)), "{seen}");
    for gone in ["/tmp/other", "%77", "NOTIFY_SOCKET", "LISTEN_FDS", "leaked"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
}

#[test]
fn a_living_server_gets_the_session() {
    let scene = Scene::of(Arena::new().live("shared"));
    let pid = scene.arena.server("shared").pid;
    let json = scene.made(["one", "--socket-label", "shared", "--join-only", "--", "sleep 1000"]);
    assert_eq!((json["server_pid"].as_i64(), text(&json, "label")), (Some(pid.into()), "shared"));
    let json = scene.made(["two", "--socket-label", "shared", "--", "sleep 1000"]);
    assert_eq!(json["server_pid"], pid);
    assert_eq!(Scene::sessions(scene.arena.path("shared")), "one\ntest\ntwo\n");
    // Beside others the command that attaches names it.
    let run = scene.run(["three", "--socket-label", "shared", "--", "sleep 1000"]);
    let attach = format!("-S {} attach -t '=three'\n", scene.arena.path("shared").display());
    assert!(run.stdout.ends_with(&attach), "{}", run.stdout);
}

#[test]
fn a_server_without_sessions_gets_one() {
    let scene = Scene::of(Arena::new().without_session("spawn-x"));
    let pid = scene.arena.server("spawn-x").pid;
    assert_eq!(scene.made(["x", "--", "sleep 1000"])["server_pid"], pid);
}

#[test]
fn join_only_starts_nothing() {
    let scene = Scene::of(Arena::new().dead("spawn-dead"));
    for name in ["absent", "dead"] {
        let (run, json) = scene.spawn([name, "--join-only", "--no-sweep", "--", "sleep 1000"]);
        assert_eq!((run.code, &json["attempts"]), (Some(1), &0.into()), "{json:#}");
        assert!(errors(&json).contains("--join-only"), "{json:#}");
    }
    assert_eq!(scene.arena.names(), ["spawn-dead"]);
}

#[test]
fn size_directory_and_environment_arrive() {
    let scene = Scene::new();
    let dir = scene.path("link");
    fs::create_dir(scene.path("real")).unwrap();
    std::os::unix::fs::symlink("real", &dir).unwrap();
    scene.made([
        "x",
        "--width",
        "101",
        "--height",
        "37",
        "--cwd",
        dir.to_str().unwrap(),
        "--env",
        "A=b c",
        "--",
        "sleep 1000",
    ]);
    let socket = scene.arena.path("spawn-x");
    let told = tmux(&socket)
        .args(["display-message", "-p", "-t", "=x:", "#{window_width} #{window_height} #{session_path}"])
        .output()
        .unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told, format!("101 37 {}\n", dir.display()), "a link keeps its name");
    let told = tmux(&socket).args(["show-environment", "-t", "=x", "A"]).output().unwrap();
    assert_eq!(told.stdout, b"A=b c\n");
    // A relative one counts from here.
    let json = scene.made(["y", "--cwd", ".", "--", "sleep 1000"]);
    let told = tmux(text(&json, "socket").as_ref())
        .args(["display-message", "-p", "#{session_path}"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(told.stdout).unwrap().trim(),
        std::env::current_dir().unwrap().to_str().unwrap()
    );
    let (run, json) = scene.spawn(["z", "--cwd", "/nonexistent", "--", "sleep 1000"]);
    assert_eq!(run.code, Some(1));
    assert!(errors(&json).contains("/nonexistent"), "{json:#}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let scene = Scene::new();
    for arguments in [
        &["", "--", "x"][..],
        &["--", "x"],
        &["-h", "--", "x"],
        &["--version", "--json", "--", "x"],
        &["x", "--env", "A", "--", "x"],
        &["x", "--width", "0"],
        &["x", "--socket-label", "default"],
        &["x", "--socket-label", "../x"],
        &["x", "y"],
    ] {
        let run = scene.run(arguments);
        assert_eq!(run.code, Some(2), "{arguments:?} {}", run.stdout);
        assert!(!run.stderr.is_empty() && run.stdout.is_empty(), "{arguments:?}");
    }
    assert_eq!(scene.run(["--help"]).code, Some(0));
    assert!(scene.arena.names().is_empty());
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let scene = Scene::new().configured("tmux = \"/nonexistent/tmux\"");
    let (run, json) = scene.spawn(["x"]);
    assert_eq!(run.code, Some(1));
    assert!(errors(&json).contains("/nonexistent/tmux"), "{json:#}");
    assert!(run.stderr.contains("/nonexistent/tmux"), "{}", run.stderr);
}
