//! Network namespaces: where the kernel's table does not show what is alive.
//!
//! One after the other: a server in a foreign namespace, alone on the machine, blinds every janitor.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

mod common;

use common::arena::{self, Arena};
use common::janitor::{Run, entry, fate, janitor};
use common::skip::skip;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

#[test]
fn a_listener_in_another_network_namespace_is_alive() {
    if !is_root() {
        return skip("needs root: it makes a network namespace");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = Arena::new().live("here").dead("dead");
    let there = arena.path("there");
    let done = Command::new("unshare")
        .arg("--net")
        .arg(arena::tmux_program())
        .args(["-f", "/dev/null", "-S"])
        .arg(&there)
        .args(["new-session", "-d", "sleep 3600"])
        .env_remove("TMUX")
        .status();
    assert!(done.is_ok_and(|done| done.success()));
    let server = arena::Server::of(arena::pid_of(&there));
    let json = Run::of(janitor(arena.dir()).args(["list", "--json"])).json();
    assert_eq!(fate(&json, "there"), ("live", "kept"));
    assert!(entry(&json, "there")["reason"].as_str().unwrap().contains("another namespace"), "{json:#}");
    Run::of(janitor(arena.dir()).args(["sweep"]));
    assert_eq!(arena.names(), ["here", "there"]);
    assert_eq!(arena::pid_of(&there), server.pid);
}

#[test]
fn a_blind_table_makes_everything_unknown_and_nothing_is_asked() {
    if !is_root() {
        return skip("needs root: it makes a network namespace");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = Arena::new().live("live").dead("dead").listener("counting");
    let trace = arena.path("trace");
    let run = Run::of(
        Command::new("unshare")
            .args(["--net", "strace", "-f", "-e", "trace=connect,renameat2,unlinkat", "-o"])
            .arg(&trace)
            .arg(env!("CARGO_BIN_EXE_tmux-janitor"))
            .arg("--dir")
            .arg(arena.dir())
            .args(["sweep", "--json"]),
    );
    let json = run.json();
    for label in ["live", "dead", "counting"] {
        assert_eq!(fate(&json, label), ("unknown", "kept"), "{json:#}");
    }
    let reason = entry(&json, "live")["reason"].as_str().unwrap();
    assert!(reason.contains("network namespace") && reason.contains("PrivateNetwork="), "{reason}");
    let trace = fs::read_to_string(&trace).unwrap();
    assert!(!trace.contains("connect(") && !trace.contains("renameat2("), "{trace}");
    assert_eq!(arena.connections("counting"), 0);
    assert!(arena.has("dead"));
}

#[test]
fn a_bare_namespace_without_any_server_is_not_blind() {
    if !is_root() {
        return skip("needs root: it makes namespaces");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = Arena::new().dead("dead");
    // A container: its own processes, its own network, nothing else in it.
    let run = Run::of(
        Command::new("unshare")
            .args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child"])
            .arg(env!("CARGO_BIN_EXE_tmux-janitor"))
            .arg("--dir")
            .arg(arena.dir())
            .args(["sweep", "--json"]),
    );
    assert_eq!(fate(&run.json(), "dead"), ("dead", "removed"), "{}", run.stdout);
}

/// Runs this script in a machine of its own: no process but those of the script, and a network of its own. `$0` is the
/// folder, `$1` the janitor, `$2` tmux.
fn alone(arena: &Arena, script: &str) -> Run {
    Run::of(
        Command::new("unshare")
            .args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-euc", script])
            .arg(arena.dir())
            .arg(env!("CARGO_BIN_EXE_tmux-janitor"))
            .arg(arena::tmux_program())
            .env_remove("TMUX"),
    )
}

#[test]
fn a_table_that_shows_none_of_the_running_servers_is_not_believed() {
    if !is_root() {
        return skip("needs root: it makes namespaces");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = Arena::new().dead("dead");
    let start = r#"unshare --net "$2" -f /dev/null -S "$0/there" new-session -d 'sleep 3600'; "#;
    let json = alone(&arena, &format!(r#"{start} "$1" --dir "$0" sweep --json"#)).json();
    for label in ["there", "dead"] {
        assert_eq!(fate(&json, label), ("unknown", "kept"), "{json:#}");
    }
    let reason = entry(&json, "dead")["reason"].as_str().unwrap();
    assert!(reason.contains("none of the tmux servers that run"), "{reason}");
    // One that it shows is enough: the other one lives elsewhere, and is asked.
    let second = r#""$2" -f /dev/null -S "$0/here" new-session -d 'sleep 3600'; "#;
    let json = alone(&arena, &format!(r#"{start} {second} "$1" --dir "$0" sweep --json"#)).json();
    assert_eq!(fate(&json, "dead"), ("dead", "removed"), "{json:#}");
    assert_eq!(json["counts"]["live"], 2, "{json:#}");
}

/// No server runs there that could be missing: the namespaces alone speak against the table.
#[test]
fn the_table_of_another_namespace_than_process_1_is_not_believed() {
    if !is_root() {
        return skip("needs root: it makes namespaces");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = Arena::new().dead("dead");
    let json = alone(&arena, r#"unshare --net "$1" --dir "$0" sweep --json"#).json();
    assert_eq!(fate(&json, "dead"), ("unknown", "kept"), "{json:#}");
    let reason = entry(&json, "dead")["reason"].as_str().unwrap();
    assert!(reason.contains("in another network namespace than process 1"), "{reason}");
    assert!(arena.has("dead"));
}

/// Between fork and exec a pane's process bears the server's name.
#[test]
fn a_process_of_that_name_without_sockets_speaks_against_no_table() {
    if !is_root() {
        return skip("needs root: it makes namespaces");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = Arena::new().dead("dead");
    let room = tempfile::tempdir().unwrap();
    let named = room.path().join("tmux: server");
    common::janitor::copy_program(Path::new("/bin/sleep"), &named);
    let runs = r#"until [ "$(cat /proc/$!/comm)" = 'tmux: server' ]; do :; done"#;
    let script = format!(r#""{}" 3600 & {runs}; "$1" --dir "$0" sweep --json"#, named.display());
    assert_eq!(fate(&alone(&arena, &script).json(), "dead"), ("dead", "removed"));
}

#[test]
fn a_watch_sees_again_when_what_blinded_it_has_gone() {
    if !is_root() {
        return skip("needs root: it makes namespaces");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = Arena::new().dead("dead");
    let room = tempfile::tempdir().unwrap();
    fs::write(room.path().join("config"), "[watch]\nrescan = \"1s\"\n").unwrap();
    let script = r#"
        unshare --net "$2" -f /dev/null -S "$0/there" new-session -d 'sleep 3600'
        cd ROOM
        "$1" --dir "$0" --config config watch 2>log &
        until grep -q 'none of the tmux servers that run' log; do sleep 0.02; done
        test -e "$0/dead"
        "$2" -S "$0/there" kill-server
        looks=0
        while test -e "$0/dead"; do
            looks=$((looks + 1))
            test $looks -lt 1000
            sleep 0.02
        done"#;
    let run = alone(&arena, &script.replace("ROOM", room.path().to_str().unwrap()));
    let log = fs::read_to_string(room.path().join("log")).unwrap();
    assert_eq!(run.code, Some(0), "{} {log}", run.stderr);
}
