//! `probe --session NAME`: the socket on which `spawn NAME` makes its session, found again.

use super::data::is_taken;
use super::scene::{Scene, text};
use crate::common::arena::{Arena, pid_of, tmux_program};
use crate::common::janitor::{Run, bare, janitor};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

#[track_caller]
fn probe(scene: &Scene, name: impl AsRef<OsStr>) -> (Run, serde_json::Value) {
    let mut command = janitor(scene.arena.dir());
    let run = Run::of(command.args(["probe", "--json", "--session"]).arg(name));
    let json = run.json();
    (run, json)
}

#[test]
fn what_was_spawned_is_found_by_its_name() {
    let scene = Scene::new();
    // tmux 3.8 takes no control characters.
    let odd = if is_taken("\n") { "x\n;#(id)" } else { "x;#(id)" };
    for name in ["build", "a.b", "-v", odd, &"long".repeat(50)] {
        let (run, before) = probe(&scene, name);
        assert_eq!((run.code, text(&before, "state")), (Some(3), "absent"), "{before:#}");
        assert_eq!((text(&before, "command"), &before["server_pid"]), ("probe", &serde_json::Value::Null));
        if name == "-v" {
            continue;
        }
        let made = scene.made([name, "--", "sleep 1000"]);
        let (run, json) = probe(&scene, name);
        assert_eq!((run.code, text(&json, "state")), (Some(0), "live"), "{json:#}");
        assert_eq!((&json["path"], text(&before, "path")), (&made["socket"], text(&made, "socket")));
        assert_eq!(json["server_pid"], made["server_pid"]);
    }
}

#[test]
fn its_state_is_that_of_the_socket_and_no_server_is_asked() {
    let scene = Scene::of(
        Arena::new()
            .dead("spawn-dead")
            .listener("spawn-counting")
            .bound_only("spawn-bound")
            .live("spawn-other"),
    );
    fs::write(scene.arena.path("spawn-file"), "").unwrap();
    let before = scene.arena.names();
    for (name, code, state) in [
        ("dead", 1, "dead"),
        ("counting", 0, "live"),
        ("bound", 4, "unknown"),
        ("file", 4, "not-a-socket"),
        ("absent", 3, "absent"),
        // Its only session is called otherwise.
        ("other", 0, "live"),
    ] {
        let (run, json) = probe(&scene, name);
        assert_eq!((run.code, text(&json, "state")), (Some(code), state), "{json:#}");
        assert_eq!(text(&json, "path"), scene.arena.path(format!("spawn-{name}")).to_str().unwrap());
        let is_told = text(&json, "reason").contains("whether it has the session was not asked");
        assert_eq!(is_told, state == "live", "{json:#}");
    }
    assert_eq!(scene.arena.connections("spawn-counting"), 0);
    assert_eq!(scene.arena.names(), before, "looking changes nothing");

    let run = Run::of(scene_probe(&scene).args(["--session", "other"]));
    let socket = scene.arena.path("spawn-other");
    let says = format!("tmux -S {} has-session -t '=other'\n", socket.display());
    let pid = pid_of(&socket);
    assert!(run.stdout.starts_with(&format!("{}: live (pid {pid}): ", socket.display())), "{}", run.stdout);
    assert!(run.stdout.ends_with(&says), "{}", run.stdout);
    let asks = says.replacen("tmux", tmux_program().to_str().unwrap(), 1);
    assert_eq!(Run::of(std::process::Command::new("sh").args(["-c", &asks])).code, Some(1));
}

fn scene_probe(scene: &Scene) -> std::process::Command {
    let mut command = janitor(scene.arena.dir());
    command.arg("probe");
    command
}

/// The first directory that can be used: one that tmux would refuse is passed by, as `spawn` does.
#[test]
fn a_probe_looks_where_spawn_would_go() {
    let room = tempfile::tempdir().unwrap();
    let own_name = format!("tmux-{}", rustix::process::getuid().as_raw());
    let dirs = ["refused", "missing"].map(|parent| room.path().join(parent).join(&own_name));
    let [refused, missing] = &dirs;
    fs::create_dir_all(refused).unwrap();
    fs::create_dir(missing.parent().unwrap()).unwrap();
    let set_mode = |mode| fs::set_permissions(refused, fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o777);
    let probe = |dirs: &[&Path]| {
        let mut command = bare();
        for dir in dirs {
            command.arg("--dir").arg(dir);
        }
        let run = Run::of(command.args(["probe", "--json", "--session", "x"]));
        (run.code, run.json())
    };
    let (code, json) = probe(&[refused, missing]);
    assert_eq!((code, text(&json, "path")), (Some(3), missing.join("spawn-x").to_str().unwrap()));
    assert!(!missing.exists(), "looking makes no directory");

    // Nowhere: not "absent", from which a caller would take that nothing is there.
    let (code, json) = probe(&[refused]);
    assert_eq!((code, text(&json, "state")), (Some(4), "unknown"), "{json:#}");
    assert!(text(&json, "reason").starts_with("no socket directory can be used: "), "{json:#}");

    // One that was made when the first could not be used is told of.
    set_mode(0o700);
    fs::create_dir(missing).unwrap();
    fs::set_permissions(missing, fs::Permissions::from_mode(0o700)).unwrap();
    let _listener = UnixListener::bind(missing.join("spawn-x")).unwrap();
    let (code, json) = probe(&[refused, missing]);
    assert_eq!((code, text(&json, "path")), (Some(3), refused.join("spawn-x").to_str().unwrap()));
    let elsewhere = format!("{}: live (pid {})", missing.join("spawn-x").display(), std::process::id());
    assert!(text(&json, "reason").contains(&elsewhere), "{json:#}");
}

#[test]
fn a_probe_names_the_socket_that_spawn_makes_in_another_directory() {
    let scene = Scene::new();
    let set_mode = |mode| fs::set_permissions(scene.arena.dir(), fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o777);
    let second = scene.path("second");
    let second = second.to_str().unwrap();
    let probe = || {
        let mut command = janitor(scene.arena.dir());
        Run::of(command.args(["--dir", second, "probe", "--json", "--session", "x"]))
    };
    let before = probe().json();
    let made = scene.made(["x", "--dir", second, "--", "sleep 1000"]);
    let after = probe();
    set_mode(0o700);
    assert_eq!((&before["path"], &before["state"]), (&made["socket"], &"absent".into()), "{before:#}");
    let json = after.json();
    assert_eq!((after.code, &json["path"]), (Some(0), &made["socket"]), "{json:#}");
    assert_eq!(json["server_pid"], made["server_pid"]);
}
