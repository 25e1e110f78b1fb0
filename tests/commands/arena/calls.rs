//! What only the kernel sees of it: which calls it makes, and how many files it needs.

use crate::common::arena::Arena;
use crate::common::janitor::Run;
use crate::common::skip::skip;
use std::fs;
use std::process::Command;

#[test]
fn live_sockets_are_never_connected_to_as_the_kernel_saw_it() {
    let arena = Arena::new().live("a").live("b").listener("counting").stopped("c").dead("dead");
    let trace = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new("strace")
        .args(["-f", "-e", "trace=connect", "-o"])
        .arg(trace.path())
        .arg(env!("CARGO_BIN_EXE_tmux-janitor"))
        .arg("--dir")
        .arg(arena.dir())
        .args(["-q", "sweep"])
        .status();
    let Ok(status) = status else { return skip("strace is not installed") };
    assert!(status.success());
    let trace = fs::read_to_string(trace.path()).unwrap();
    let calls: Vec<&str> = trace.lines().filter(|line| line.contains("connect(")).collect();
    assert_eq!(calls.len(), 2, "the dead one is asked twice, nobody else: {trace}");
    assert!(calls.iter().all(|call| call.contains("ECONNREFUSED")), "{trace}");
    assert_eq!(arena.connections("counting"), 0);
    assert!(!arena.has("dead"));
}

/// A sweep that may have so many files open.
fn with_descriptors(limit: u32, arena: &Arena) -> Run {
    let script = format!(r#"ulimit -n {limit}; exec "$0" --dir "$1" sweep --json"#);
    Run::of(Command::new("bash").args(["-c", &script, env!("CARGO_BIN_EXE_tmux-janitor")]).arg(arena.dir()))
}

#[test]
fn few_descriptors_only_make_smaller_steps() {
    let mut arena = Arena::new();
    for number in 0..200 {
        arena = arena.dead(format!("dead-{number}"));
    }
    let run = with_descriptors(24, &arena);
    assert_eq!(run.json()["counts"]["removed"], 200, "{}", run.stdout.replace("dead-", "\n"));
    assert!(arena.names().is_empty());
}

#[test]
fn too_few_descriptors_are_said_and_nothing_is_taken_for_dead() {
    let arena = Arena::new().live("x").dead("a").dead("b");
    let mut told = 0;
    for limit in (4..18).chain([64]) {
        let run = with_descriptors(limit, &arena);
        // Whoever runs the tests has files open, too, and leaves none to the loader.
        if run.code == Some(127) {
            continue;
        }
        // With hardly any it cannot even be seen whether there is a configuration, which might keep something.
        assert!(matches!(run.code, Some(0 | 1 | 78)), "{limit}: {:?} {}", run.code, run.stderr);
        assert_eq!(
            run.code != Some(0),
            run.stderr.contains("Too many open files"),
            "{limit}: {}",
            run.stderr
        );
        assert_eq!(
            run.code == Some(78),
            run.stderr.contains("configuration rejected"),
            "{limit}: {}",
            run.stderr
        );
        told += u32::from(run.code == Some(1));
        arena.assert_reachable("x");
    }
    assert!(told > 3, "{told}");
    assert_eq!(arena.names(), ["x"], "what could not be done with few was done with more");
}

/// A dump can miss a live server: two have to, both read while the socket is held open, the second under its lock.
#[test]
fn the_table_is_read_between_pin_and_lock_and_again_under_the_lock() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("needs strace: it shows the order of the calls");
    }
    let arena = Arena::new().dead("x");
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.arg("-qq").arg("-o").arg(trace.path()).args(["-e", "trace=openat,sendto,renameat2,connect"]);
    strace.arg(env!("CARGO_BIN_EXE_tmux-janitor")).arg("--dir").arg(arena.dir()).arg("sweep");
    assert_eq!(Run::of(&mut strace).code, Some(0));
    let trace = fs::read_to_string(trace.path()).unwrap();
    let mut calls = trace.lines();
    for (what, call, argument) in [
        ("held open", "openat(", "\"x\", O_"),
        ("the first dump", "sendto(", ""),
        ("its lock", "renameat2(", "\"x.lock\", RENAME_NOREPLACE"),
        ("the second dump", "sendto(", ""),
        ("the question", "connect(", "/proc/self/fd/"),
        ("moved away", "renameat2(", "\".tmux-janitor-quarantine.x\", RENAME_NOREPLACE"),
    ] {
        let come = calls.any(|line| line.starts_with(call) && line.contains(argument));
        assert!(come, "{what} is not in its place:\n{trace}");
    }
}
