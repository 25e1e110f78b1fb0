//! Faults in a sweep.

use crate::common::janitor::janitor;
use crate::errnos::is_a_lie;
use crate::plan::{self, Fault, Sample};
use crate::play;
use crate::scene::Scene;
use crate::strace::{self, Traced};
use std::process::Command;

fn sweep(scene: &Scene) -> Command {
    let mut command = janitor(&scene.dir);
    command.args(["sweep", "--json"]);
    command
}

#[test]
fn no_fault_in_a_sweep_harms_anybody() {
    if crate::is_hindered() {
        return;
    }
    let learnt = {
        let scene = Scene::new();
        scene.set();
        strace::trace(&sweep(&scene), scene.scratch(), &[]).unwrap()
    };
    assert_eq!(learnt.code, Some(0), "{}", learnt.stderr);
    let faults = plan::of(&learnt.lines, Sample { alike: 4, of_one_name: 12, lasting: 3 });
    play::all("sweep", 2, &faults, play);
}

fn play(scene: &Scene, fault: &Fault) -> Result<bool, String> {
    scene.set();
    let options = [format!("trace={}", fault.call), fault.injection()];
    let traced = strace::trace(&sweep(scene), scene.scratch(), &options)?;
    play::ended_well(&traced, fault)?;
    tells_the_truth(scene, &traced, fault)?;
    scene.is_unharmed()?;
    scene.recovers()?;
    Ok(traced.is_struck())
}

/// What it says is removed is gone, what it says is failed makes the exit code 1.
fn tells_the_truth(scene: &Scene, traced: &Traced, fault: &Fault) -> Result<(), String> {
    let Ok(json) = serde_json::from_str::<serde_json::Value>(&traced.stdout) else {
        return if traced.code == Some(0) && fault.call != "write" {
            Err(format!("success and no result: {}", traced.stdout))
        } else {
            Ok(())
        };
    };
    let names = scene.names();
    for entry in json["sockets"].as_array().ok_or("no sockets")? {
        let (label, outcome) = (entry["label"].as_str().unwrap_or_default(), &entry["outcome"]);
        let is_false = outcome == "removed" && names.contains(label);
        // A lock that seems to have been opened at the last look gets its name back, after the report.
        let is_returned = fault.call == "fcntl" && label == "orphan.lock";
        if is_false && !is_returned && !fault.errno().is_some_and(is_a_lie) {
            return Err(format!("{label} is still there: {}", traced.stdout));
        }
        if outcome == "failed" && traced.code != Some(1) {
            return Err(format!("a failure and {:?}: {}", traced.code, traced.stdout));
        }
    }
    Ok(())
}
