//! Playing faults, some at a time, and telling what came of it.

use crate::plan::{Fault, What};
use crate::scene::Scene;
use crate::strace::Traced;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Plays each fault in a scene, `at_once` of them at a time; fails with all that went wrong. `play` tells
/// whether the fault struck.
pub(crate) fn all(
    name: &str,
    at_once: usize,
    faults: &[Fault],
    play: impl Fn(&Scene, &Fault) -> Result<bool, String> + Sync,
) {
    let (next, struck, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                let mut scene = Scene::new();
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match play(&scene, fault) {
                        Ok(was_struck) => {
                            struck.fetch_add(usize::from(was_struck), Ordering::Relaxed);
                        }
                        Err(what) => {
                            println!("{name} {fault}: {what}");
                            wrong.lock().unwrap().push(format!("{name} {fault}: {what}"));
                            scene = Scene::new();
                        }
                    }
                }
            });
        }
    });
    let calls: BTreeSet<&str> = faults.iter().map(|fault| fault.call.as_str()).collect();
    let kinds: BTreeSet<(&str, &str)> =
        faults.iter().filter_map(|fault| Some((fault.call.as_str(), fault.errno()?))).collect();
    println!(
        "{name}: {} runs ({} struck), {} system calls, {} pairs of call and errno, {:.0?}",
        faults.len(),
        struck.load(Ordering::Relaxed),
        calls.len(),
        kinds.len(),
        begun.elapsed()
    );
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} went wrong:\n{}", wrong.len(), wrong.join("\n"));
    // Calls that look through /proc come and go with the machine's processes.
    assert!(struck.into_inner() * 2 > faults.len(), "too few of the faults came to pass");
}

/// The exit codes of the contract for what may fail from outside; an end by a signal only where we sent one.
pub(crate) fn ended_well(traced: &Traced, fault: &Fault) -> Result<(), String> {
    let fine = match (traced.code, fault.what) {
        (Some(0 | 1 | 77 | 78), _) | (None, What::Kills) => !traced.stderr.contains("a bug of ours"),
        _ => false,
    };
    if fine { Ok(()) } else { Err(format!("it ended with {:?}: {}", traced.code, traced.stderr)) }
}
