//! A file system that lacks `RENAME_NOREPLACE` and `RENAME_EXCHANGE`, as ZFS before 2.2: link(2) and plain renames do
//! as well. `checkpoints` plays the adversaries there, `model` walks the orders.

use crate::common::arena::Arena;
use crate::common::janitor::{Run, fate};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

/// A sweep whose every renameat2(2) is refused.
fn sweep(arena: &Arena) -> Run {
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o", "/dev/null", "-e", "trace=renameat2", "-e", "inject=renameat2:error=EINVAL"]);
    strace.arg(env!("CARGO_BIN_EXE_tmux-janitor")).arg("--dir").arg(arena.dir()).args(["sweep", "--json"]);
    Run::of(&mut strace)
}

fn leave_lock(arena: &Arena, name: &str) {
    fs::write(arena.path(name), "").unwrap();
    fs::set_permissions(arena.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn everything_goes_and_nothing_stays() {
    if Command::new("strace").arg("-V").output().is_err() {
        return crate::common::skip::skip("needs strace: it refuses renames");
    }
    let mut arena = Arena::new().live("live").dead("beside-a-lock");
    for number in 0..40 {
        arena = arena.dead(number.to_string());
    }
    leave_lock(&arena, "beside-a-lock.lock");
    leave_lock(&arena, "alone.lock");
    // What killed runs left: a dead socket in quarantine, and a lock at rest.
    let arena = arena.dead("left");
    fs::rename(arena.path("left"), arena.path(".tmux-janitor-quarantine.left")).unwrap();
    leave_lock(&arena, ".tmux-janitor-1-1.lock");
    let run = sweep(&arena);
    assert_eq!(run.code, Some(0), "{} {}", run.stdout, run.stderr);
    assert_eq!(run.json()["counts"]["removed"], 41, "{}", run.stdout);
    assert_eq!(arena.names(), ["live"]);
    arena.assert_reachable("live");
}

/// A run was killed when it had moved a live server's socket, or half put it back.
#[test]
fn a_live_socket_in_quarantine_is_put_back_and_over_nothing() {
    if Command::new("strace").arg("-V").output().is_err() {
        return crate::common::skip::skip("needs strace: it refuses renames");
    }
    let arena = Arena::new();
    let quarantine = arena.path(".tmux-janitor-quarantine.x");
    let server = UnixListener::bind(arena.path("x")).unwrap();
    fs::rename(arena.path("x"), &quarantine).unwrap();
    let run = sweep(&arena);
    assert_eq!(fate(&run.json(), ".tmux-janitor-quarantine.x"), ("live", "resurrected"), "{}", run.stdout);
    assert_eq!(arena.names(), ["x"]);
    // Killed between link and unlink: it has both names.
    fs::hard_link(arena.path("x"), &quarantine).unwrap();
    sweep(&arena);
    assert_eq!(arena.names(), ["x"]);
    // Another one has the name by now.
    fs::rename(arena.path("x"), &quarantine).unwrap();
    let other = UnixListener::bind(arena.path("x")).unwrap();
    assert_eq!(sweep(&arena).code, Some(1), "two servers claim the name, and nothing is said");
    for (path, listener) in [(quarantine, &server), (arena.path("x"), &other)] {
        assert!(UnixStream::connect(path).is_ok() && listener.accept().is_ok());
    }
}
