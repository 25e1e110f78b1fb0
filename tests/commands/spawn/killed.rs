//! `spawn` is killed with SIGKILL at each of its steps in turn: nothing stays that makes the next one say that a
//! session is there whose COMMAND never ran, or is over.

use super::scene::Scene;
use crate::common::arena::until_left;
use crate::common::janitor::Run;
use crate::common::wait;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use tmux_sockets::kernel::checkpoint::Step;

/// The steps before COMMAND was asked for, and the ones after.
const BEFORE: [Step; 4] = [Step::Placed, Step::Swept, Step::Keeping, Step::Kept];
const AFTER: [Step; 5] = [Step::Asked, Step::Told, Step::LetGo, Step::Settled, Step::PutBack];

/// Spawns, is killed at a step, and tells how often COMMAND was started.
#[track_caller]
fn killed_at(scene: &Scene, step: Step, name: &str, then: &str) -> impl Fn() -> usize + use<> {
    let (line, lines) = scene.counting(then);
    let mut command = scene.command([name, "--", &line]);
    command.env("TMUX_JANITOR_DIE_AT", format!("{step:?}")).env("HOME", scene.room.path());
    let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert_eq!(ended.signal(), Some(9), "{name} comes to {step:?}");
    lines
}

#[test]
fn at_each_step_the_name_is_free_once_command_is_over() {
    for name in ["x", "a.b", "a b'c", "ä#(x)"] {
        for step in BEFORE.into_iter().chain(AFTER) {
            let scene = Scene::settled("");
            let lines = killed_at(&scene, step, name, "exit 3");
            until_left(scene.arena.dir());
            let once = usize::from(!BEFORE.contains(&step));
            // Asked and not read yet: the server may have ended with the client before.
            assert!(
                lines() <= once && (step == Step::Asked || lines() == once),
                "{name} {step:?} {}",
                lines()
            );
            let run = Run::of(scene.command([name, "--", "exit 3"]).env("HOME", scene.room.path()));
            assert_eq!(run.code, Some(4), "{name} {step:?}: {}", run.stderr);
        }
    }
}

#[test]
fn at_each_step_a_session_that_is_there_is_one_whose_command_runs() {
    for name in ["x", "a.b", "a b'c", "ä#(x)"] {
        for step in BEFORE.into_iter().chain(AFTER) {
            let scene = Scene::new();
            let lines = killed_at(&scene, step, name, "exec sleep 1000");
            if BEFORE.contains(&step) {
                until_left(scene.arena.dir());
            }
            let run =
                Run::of(scene.command([name, "--json", "--", "sleep 1000"]).env("HOME", scene.room.path()));
            let json = run.json();
            scene.adopt(&json);
            match run.code {
                Some(0) => assert_eq!(lines(), 0, "{name} {step:?}: {json:#}"),
                Some(3) => wait::until("it has run", || lines() == 1),
                _ => panic!("{name} {step:?}: {json:#}"),
            }
            assert_eq!(run.code == Some(0), BEFORE.contains(&step) || lines() == 0);
            // What was set for the time is as it was.
            let left = left_on_panes(&scene, json["socket"].as_str().unwrap());
            assert_eq!(left, "", "{name} {step:?}");
        }
    }
}

fn left_on_panes(scene: &Scene, socket: &str) -> String {
    assert!(fs::exists(socket).unwrap(), "{}", scene.arena.dir().display());
    let mut left = crate::common::arena::tmux(socket.as_ref());
    let left = left.args(["show-options", "-p", "-t", "%0"]).output().unwrap();
    String::from_utf8_lossy(&left.stdout).into_owned()
}
