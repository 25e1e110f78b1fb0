//! Many at once, and somebody who kills.

use super::scene::{Scene, errors, text};
use crate::common::arena::{Arena, Server, tmux};
use crate::common::janitor::{Run, janitor};
use crate::common::wait;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const TIMES: usize = 300;

fn kill_server(socket: &Path) {
    tmux(socket).arg("kill-server").stderr(Stdio::null()).status().unwrap();
}

#[test]
fn right_after_a_kill_server_every_spawn_gives_a_session() {
    let scene = Scene::new();
    let socket = scene.arena.path("spawn-x");
    let mut plain = 0;
    for _ in 0..TIMES {
        kill_server(&socket);
        let made = tmux(&socket).args(["new-session", "-d", "-s", "x", "sleep 1000"]).output().unwrap();
        let there = tmux(&socket).args(["has-session", "-t", "=x"]).output().unwrap();
        plain += usize::from(made.status.success() && there.status.success());
    }
    let (mut made, mut second) = (0, 0);
    for _ in 0..TIMES {
        kill_server(&socket);
        let run = scene.run(["x", "--json", "--", "sleep 1000"]);
        let json = run.json();
        assert_eq!(run.code, Some(0), "{json:#}");
        made += usize::from(Scene::sessions(&socket) == "x\n");
        second += usize::from(json["attempts"] == 2);
    }
    println!(
        "kill-server, then: plain new-session {plain} of {TIMES}, spawn {made} of {TIMES} ({second} at the second attempt)"
    );
    assert_eq!(made, TIMES);
    // What a server has forked for a pane has its socket until its exec; one that was lost would stay.
    wait::until("one server is on the path", || servers_on(&scene, &socket).len() == 1);
}

/// The pids of all that are bound to a path, whoever can be reached there.
fn servers_on(scene: &Scene, socket: &Path) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        // Only what this test started bears its folder on the command line.
        let ours = String::from_utf8_lossy(&line).contains(scene.arena.dir().to_str().unwrap());
        if name.starts_with("tmux: server")
            && ours
            && String::from_utf8_lossy(&line).contains(socket.to_str().unwrap())
        {
            found.push(pid);
        }
    }
    found
}

#[test]
fn whoever_kills_in_a_loop_every_answer_is_true_and_no_second_server_appears() {
    let scene = Scene::of(Arena::new().live("homebase"));
    let socket = scene.arena.path("spawn-x");
    let over = AtomicBool::new(false);
    let (mut made, mut ended, mut there, mut failed) = (0, 0, 0, 0);
    thread::scope(|threads| {
        threads.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                kill_server(&socket);
            }
        });
        // Also when an answer is not what it should be.
        let _over = Over(&over);
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let clock = crate::common::wait::Clock::start();
            let run = scene.run(["x", "--json", "--", "sleep 1000"]);
            clock.assert_within(Duration::from_secs(10));
            let json = run.json();
            match run.code {
                Some(0) => made += 1,
                Some(3) => there += 1,
                Some(4) => {
                    ended += 1;
                    assert_eq!(
                        (&json["command_state"], json["attempts"].as_u64() <= Some(2)),
                        (&"ran".into(), true)
                    );
                }
                Some(1) => {
                    failed += 1;
                    assert!(!errors(&json).is_empty() && json["attempts"].as_u64() <= Some(2), "{json:#}");
                }
                other => panic!("{other:?} {json:#}"),
            }
        }
    });
    println!("killed in a loop: {made} made, {ended} ended, {there} there already, {failed} failed");
    assert!(made + ended > 0);
    scene.arena.assert_reachable("homebase");
    // What still ends, ends; then at most one is left, and it can be reached.
    crate::common::wait::until("one server at most", || servers_on(&scene, &socket).len() <= 1);
    let run = Run::of(janitor(scene.arena.dir()).args(["list", "--json"]));
    let json = run.json();
    assert!(json["counts"]["ghost"] == 0, "{json:#}");
}

/// Says so when it is dropped.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn start(scene: &Scene, name: &str) -> Child {
    let mut command = scene.command([name, "--json", "--", "sleep 1000"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn twenty_five_names_at_once_give_as_many_sessions() {
    let scene = Scene::of(Arena::new().dead("stale"));
    let names: Vec<String> = (0..25).map(|number| format!("n{number}")).collect();
    let children: Vec<Child> = names.iter().map(|name| start(&scene, name)).collect();
    let runs: Vec<Run> = children.into_iter().map(|child| child.wait_with_output().unwrap().into()).collect();
    for (run, name) in runs.iter().zip(&names) {
        let json = run.json();
        scene.adopt(&json);
        assert_eq!(run.code, Some(0), "{json:#}");
        assert_eq!(Scene::sessions(text(&json, "socket")), format!("{name}\n"));
    }
    assert_eq!(scene.arena.names().len(), names.len(), "{:?}", scene.arena.names());
}

#[test]
fn one_name_twenty_times_at_once_gives_one_session() {
    for round in 0..5 {
        let scene = Scene::of(if round % 2 == 0 { Arena::new() } else { Arena::new().dead("spawn-same") });
        let children: Vec<Child> = (0..20).map(|_| start(&scene, "same")).collect();
        let codes = AtomicUsize::new(0);
        let mut made = Vec::new();
        for child in children {
            let run: Run = child.wait_with_output().unwrap().into();
            let json = run.json();
            match run.code {
                Some(0) => made.push(json["server_pid"].as_i64()),
                Some(3) => drop(codes.fetch_add(1, Ordering::Relaxed)),
                other => panic!("{other:?}: {json:#}"),
            }
            scene.adopt(&json);
        }
        assert_eq!((made.len(), codes.into_inner()), (1, 19));
        assert_eq!(Scene::sessions(scene.arena.path("spawn-same")), "same\n");
        let alive = servers_on(&scene, &scene.arena.path("spawn-same"));
        assert_eq!(alive.first().map(|pid| i64::from(*pid)), made[0], "{alive:?}");
        assert_eq!(alive.len(), 1);
        drop(Server::of(alive[0]));
    }
}
