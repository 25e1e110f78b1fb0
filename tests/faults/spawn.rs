//! Faults in a spawn. The tmux that it runs is not disturbed.

use crate::common::arena::tmux;
use crate::common::janitor::janitor;
use crate::plan::{self, Fault, Sample};
use crate::play;
use crate::scene::{Scene, pid_at};
use crate::strace;
use rustix::process::Signal;
use std::process::Command;

/// A session on a label that a dead socket has.
fn spawn(scene: &Scene) -> Command {
    let config = scene.scratch().join("config.toml");
    std::fs::write(&config, "[spawn]\nverify-delay = \"5ms\"\n").unwrap();
    let mut command = janitor(&scene.dir);
    command.arg("--config").arg(config);
    command.args(["spawn", "work", "--socket-label", "dead", "--scope", "never", "--json"]);
    command.args(["--", "sleep", "3600"]);
    command
}

#[test]
fn no_fault_in_a_spawn_harms_anybody() {
    if crate::is_hindered() {
        return;
    }
    let learnt = {
        let scene = Scene::new();
        scene.set();
        let learnt = strace::trace(&spawn(&scene), scene.scratch(), &[]).unwrap();
        drop(scene.census("dead").unwrap());
        learnt
    };
    assert_eq!(learnt.code, Some(0), "{}{}", learnt.stdout, learnt.stderr);
    let faults = plan::of(&learnt.lines, Sample { alike: 2, of_one_name: 4, lasting: 1 });
    play::all("spawn", 2, &faults, play);
}

fn play(scene: &Scene, fault: &Fault) -> Result<bool, String> {
    scene.set();
    let options = [format!("trace={}", fault.call), fault.injection()];
    let traced = strace::trace(&spawn(scene), scene.scratch(), &options)?;
    let server = scene.census("dead")?;
    play::ended_well(&traced, fault)?;
    scene.is_unharmed()?;
    let socket = scene.dir.join("dead");
    if traced.code == Some(0) {
        let has = strace::run(tmux(&socket).args(["has-session", "-t", "=work"]));
        if !has.status.success() {
            return Err(format!("success and no session: {}{}", traced.stdout, traced.stderr));
        }
        let told = serde_json::from_str::<serde_json::Value>(&traced.stdout).unwrap_or_default();
        let told = told["server_pid"].as_i64();
        let answers = pid_at(&socket).map(i64::from);
        if told.is_some() && told != answers {
            return Err(format!("{answers:?} answers: {}", traced.stdout));
        }
    }
    if let Some(server) = server {
        server.signal(Signal::KILL);
        server.wait_for_end();
    }
    scene.recovers()?;
    Ok(traced.is_struck())
}
