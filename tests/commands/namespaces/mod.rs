//! Network namespaces: where the kernel's table does not show what is alive.
//!
//! One after the other: a server in a foreign namespace, alone on the machine, blinds every janitor.

mod containers;

use crate::common::arena::{self, Arena};
use crate::common::janitor::{Run, entry, fate, janitor};
use crate::common::skip::skip;
use crate::common::wait;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

#[test]
fn a_listener_in_another_network_namespace_is_alive_and_not_connected_to() {
    if !is_root() {
        return skip("needs root: it makes a network namespace");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = Arena::new().live("here");
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
    for command in ["list", "sweep"] {
        let trace = tempfile::NamedTempFile::new().unwrap();
        let run = Run::of(
            Command::new("strace")
                .args(["-f", "-e", "trace=connect,renameat2", "-o"])
                .arg(trace.path())
                .arg(env!("CARGO_BIN_EXE_tmux-janitor"))
                .arg("--dir")
                .arg(arena.dir())
                .args([command, "--json"]),
        );
        let trace = fs::read_to_string(trace.path()).unwrap();
        assert!(!trace.contains("AF_UNIX") && !trace.contains("renameat2("), "{command}: {trace}");
        if command == "list" {
            let json = run.json();
            assert_eq!(fate(&json, "there"), ("live", "kept"));
            let there = entry(&json, "there");
            assert!(there["reason"].as_str().unwrap().contains("in another network namespace"), "{json:#}");
            assert_eq!(there["server_pid"], server.pid, "{json:#}");
        }
    }
    // Nor where too few descriptors are left to see that.
    for limit in 4..20 {
        let trace = tempfile::NamedTempFile::new().unwrap();
        Run::of(
            Command::new("strace")
                .args(["-f", "-e", "trace=connect,renameat2", "-o"])
                .arg(trace.path())
                .args(["sh", "-c", &format!("ulimit -n {limit}; exec \"$0\" --dir \"$1\" sweep")])
                .arg(env!("CARGO_BIN_EXE_tmux-janitor"))
                .arg(arena.dir()),
        );
        let trace = fs::read_to_string(trace.path()).unwrap();
        assert!(trace.contains("exited with"), "{trace}");
        assert!(!trace.contains("AF_UNIX") && !trace.contains("renameat2("), "ulimit -n {limit}: {trace}");
    }
    let arena = arena.dead("dead");
    Run::of(janitor(arena.dir()).args(["sweep"]));
    assert_eq!(arena.names(), ["here", "there"]);
    assert_eq!(arena::pid_of(&there), server.pid);
    // Which file there is its own that table does not tell: whatever stands at its path is kept.
    fs::remove_file(&there).unwrap();
    let arena = arena.dead("there");
    Run::of(janitor(arena.dir()).args(["sweep"]));
    assert_eq!(arena.names(), ["here", "there"]);
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

/// Runs this script in a machine of its own: no process but those of the script, no service manager, and a network of
/// its own. `$0` is the folder, `$1` the janitor, `$2` tmux.
fn alone(arena: &Arena, script: &str) -> Run {
    Run::of(
        wait::in_time("unshare")
            .args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child"])
            .args(["sh", "-euc", &format!("mount -t tmpfs tmpfs /sys/fs/cgroup\n{script}")])
            .arg(arena.dir())
            .arg(env!("CARGO_BIN_EXE_tmux-janitor"))
            .arg(arena::tmux_program())
            .env_remove("TMUX")
            .env_remove("XDG_CONFIG_HOME")
            .env("HOME", "/nonexistent"),
    )
}

/// What a script needs to be `$user`, whom `/proc` shows no process of others: nobody can be asked there whose network
/// namespace is the outer one. The folder is hers.
const NOBODY_TO_ASK: &str = r#"
    user='setpriv --reuid 4726 --regid 4726 --clear-groups'
    chown -R 4726 "$0"; cp "$1" "$0/.janitor"; set -- "$0/.janitor" "$2"
    mount -t proc -o hidepid=2 proc /proc
"#;

#[test]
fn a_table_that_shows_none_of_the_running_servers_is_not_believed_where_nobody_vouches_for_it() {
    if !is_root() {
        return skip("needs root: it makes namespaces");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = Arena::new().dead("dead");
    let start = |net: &str, label: &str| {
        format!(r#"{net} $user "$2" -f /dev/null -S "$0/{label}" new-session -d 'sleep 3600'; "#)
    };
    let there = start("unshare --net", "there");
    let sweep = r#"$user "$1" --dir "$0" sweep --json"#;
    let json = alone(&arena, &format!("{NOBODY_TO_ASK} {there} {sweep}")).json();
    assert_eq!(fate(&json, "dead"), ("unknown", "kept"), "{json:#}");
    let reason = entry(&json, "dead")["reason"].as_str().unwrap();
    assert!(reason.contains("none of the tmux servers that run"), "{reason}");
    // One that it shows is enough: the other one lives elsewhere.
    let here = start("", "here");
    let json = alone(&arena, &format!("{NOBODY_TO_ASK} {there} {here} {sweep}")).json();
    assert_eq!(fate(&json, "dead"), ("dead", "removed"), "{json:#}");
    assert_eq!(json["counts"]["live"], 2, "{json:#}");
}

#[test]
fn a_server_of_another_namespace_speaks_against_no_table_of_the_outer_one() {
    if !is_root() {
        return skip("needs root: it makes namespaces");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = Arena::new().dead("dead");
    // Process 1 is in our namespace; what it shares with us is what it vouches for.
    let start = r#"unshare --net "$2" -f /dev/null -S "$0/there" new-session -d 'sleep 3600'; "#;
    let json = alone(&arena, &format!(r#"{start} "$1" --dir "$0" sweep --json"#)).json();
    assert_eq!(fate(&json, "dead"), ("dead", "removed"), "{json:#}");
    assert_eq!(json["counts"]["live"], 1, "{json:#}");
    assert!(arena.has("there"));
}

/// As a unit with `PrivateNetwork=` under systemd 257 is: process 1 and the manager do not show their namespaces to an
/// ordinary user, and a server lives inside, so that the table shows one.
#[test]
fn a_private_network_is_noticed_by_a_user_whom_no_namespace_is_shown() {
    if !is_root() {
        return skip("needs root: it makes namespaces");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = Arena::new().dead("dead");
    let script = r#"
        chown -R 4726 "$0"; cp "$1" "$0/.janitor"
        unshare --net setpriv --reuid 4726 --regid 4726 --clear-groups sh -euc '
            ! readlink /proc/1/ns/net
            "$2" -f /dev/null -S "$0/inside" new-session -d "sleep 3600"
            "$1" --dir "$0" sweep --json' "$0" "$0/.janitor" "$2""#;
    let json = alone(&arena, script).json();
    assert_eq!(fate(&json, "dead"), ("unknown", "kept"), "{json:#}");
    let reason = entry(&json, "dead")["reason"].as_str().unwrap();
    assert!(reason.contains("in another network namespace than process 1"), "{reason}");
}

/// A container whose first process waits for nobody.
#[test]
fn a_server_that_has_ended_and_is_not_waited_for_speaks_against_no_table() {
    if !is_root() {
        return skip("needs root: it makes namespaces");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = Arena::new();
    let script = r##"
        chown -R 4726 "$0"; cp "$1" "$0/.janitor"
        # unshare(1) waits for its own child alone.
        exec unshare --fork setpriv --reuid 4726 --regid 4726 --clear-groups sh -euc '
            "$2" -f /dev/null -S "$0/ended" new-session -d "sleep 3600"
            pid=$("$2" -S "$0/ended" display-message -p "#{pid}")
            "$2" -S "$0/ended" kill-server
            until grep -q "^State:.Z" "/proc/$pid/status"; do sleep 0.02; done
            ! ls "/proc/$pid/fd"
            "$1" --dir "$0" sweep --json' "$0" "$0/.janitor" "$2""##;
    let json = alone(&arena, script).json();
    assert_eq!(fate(&json, "ended"), ("dead", "removed"), "{json:#}");
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
    crate::common::janitor::copy_program(Path::new("/bin/sleep"), &named);
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
        chmod 777 ROOM
        unshare --net $user "$2" -f /dev/null -S "$0/there" new-session -d 'sleep 3600'
        cd ROOM
        $user "$1" --dir "$0" --config config watch 2>log &
        until grep -q 'none of the tmux servers that run' log; do sleep 0.02; done
        test -e "$0/dead"
        $user "$2" -S "$0/there" kill-server
        looks=0
        while test -e "$0/dead"; do
            looks=$((looks + 1))
            test $looks -lt 1000
            sleep 0.02
        done"#;
    let script = format!("{NOBODY_TO_ASK} {script}");
    let run = alone(&arena, &script.replace("ROOM", room.path().to_str().unwrap()));
    let log = fs::read_to_string(room.path().join("log")).unwrap();
    assert_eq!(run.code, Some(0), "{} {log}", run.stderr);
}

/// Where no namespace is proven to be the outer one, the mounts say what came from outside: once for each look at the
/// table, not for each socket.
#[test]
fn the_mounts_are_not_read_for_each_socket() {
    if !is_root() {
        return skip("needs root: it makes namespaces");
    }
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("needs strace: it counts what is opened");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = (0..200).fold(Arena::new(), |arena, number| arena.dead(number.to_string()));
    let trace = tempfile::NamedTempFile::new().unwrap();
    let script = r#"strace -f -qq -o TRACE -e trace=openat,sendto "$1" --dir "$0" sweep --json"#;
    let json = alone(&arena, &script.replace("TRACE", trace.path().to_str().unwrap())).json();
    assert_eq!(json["counts"]["removed"], 200, "{json:#}");
    let trace = fs::read_to_string(trace.path()).unwrap();
    let count = |part: &str| trace.lines().filter(|line| line.contains(part)).count();
    let (read, tables) = (count("/proc/self/mountinfo"), count("sendto("));
    assert!((1..=tables + 20).contains(&read), "the mounts were read {read} times, the table {tables}");
}

/// Two containers share their files and the network, not the processes.
#[test]
fn nothing_is_started_over_a_server_whose_process_cannot_be_seen() {
    if !is_root() {
        return skip("needs root: it makes namespaces");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = Arena::new().live("spawn-gone").live("spawn-other").live("spawn-there");
    let link = tempfile::tempdir().unwrap();
    let link = link.path().join("link");
    std::os::unix::fs::symlink(arena.dir(), &link).unwrap();
    let odd = |path: String, label: &str| {
        let mut command = Command::new(arena::tmux_program());
        command.args(["-f", "/dev/null", "-S", &path, "new-session", "-d", "sleep 3600"]).env_remove("TMUX");
        assert!(command.status().is_ok_and(|done| done.success()));
        let server = arena::Server::of(arena::pid_of(&arena.path(label)));
        fs::remove_file(arena.path(label)).unwrap();
        server
    };
    let odd = [
        odd(format!("{}/.//spawn-odd", arena.dir().display()), "spawn-odd"),
        odd(format!("{}/spawn-linked", link.display()), "spawn-linked"),
    ];
    let hidden = |script: &str, arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc"]);
        command.args(["--kill-child", "sh", "-euc", crate::common::WITHOUT_A_MANAGER]);
        command.args(["sh", "-euc", script]).arg(arena.dir());
        command.env("JANITOR", env!("CARGO_BIN_EXE_tmux-janitor")).env_remove("TMUX");
        Run::of(command.args(&arguments[..1]).arg("--json").args(&arguments[1..]))
    };
    let same = r#"exec "$JANITOR" --dir "$0" "$@""#;
    let spawn = |name: &str| {
        let run = hidden(same, &["spawn", name, "--scope", "never"]);
        (run.code, run.json())
    };
    let json = hidden(same, &["list"]).json();
    for label in ["spawn-gone", "spawn-other", "spawn-there"] {
        assert_eq!(fate(&json, label).0, "live", "{json:#}");
    }
    fs::remove_file(arena.path("spawn-gone")).unwrap();
    fs::remove_file(arena.path("spawn-other")).unwrap();
    wait::leave_dead(arena.path("spawn-other"));
    for label in ["spawn-gone", "spawn-odd", "spawn-linked", "spawn-other"] {
        let json = hidden(same, &["list"]).json();
        let ghost = |entry: &&serde_json::Value| {
            let path = entry["path"].as_str().unwrap_or_default();
            entry["state"] == "ghost" && path.ends_with(&format!("/{label}"))
        };
        let ghost = json["sockets"].as_array().unwrap().iter().find(ghost);
        let ghost = ghost.unwrap_or_else(|| panic!("{label}: {json:#}"));
        assert!(ghost["server_pid"].is_null() && ghost["reason"].as_str().unwrap().contains("PID namespace"));
        let (code, json) = spawn(label.strip_prefix("spawn-").unwrap());
        assert_eq!((code, &json["command_state"]), (Some(1), &"not-run".into()), "{json:#}");
        assert!(json["errors"][0].as_str().unwrap().contains("cannot be seen from here"), "{json:#}");
        assert!(!arena.has(label) && !arena.has(format!("{label}.lock")), "{label}");
    }
    arena.assert_reachable("spawn-there");
    // Another folder of the same name, on another file system, is in nobody's way.
    let other = r#"mount -t tmpfs -o mode=700 tmpfs "$0"; exec "$JANITOR" --dir "$0" "$@""#;
    let run = hidden(other, &["spawn", "gone", "--scope", "never", "--", "sleep", "1000"]);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    // The last of them has ended: the way is free.
    drop(odd);
    let run = hidden(same, &["spawn", "odd", "--scope", "never", "--", "sleep", "1000"]);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
}
