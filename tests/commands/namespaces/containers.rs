//! Containers: a network of their own, and folders of the host in it.

use super::{ONE_AT_A_TIME, is_root};
use crate::common::arena::{self, Arena};
use crate::common::janitor::{Run, fate};
use crate::common::skip::skip;
use std::process::Command;

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
            .args(["sh", "-euc", crate::common::WITHOUT_A_MANAGER])
            .arg(env!("CARGO_BIN_EXE_tmux-janitor"))
            .arg("--dir")
            .arg(arena.dir())
            .args(["sweep", "--json"]),
    );
    assert_eq!(fate(&run.json(), "dead"), ("dead", "removed"), "{}", run.stdout);
}

/// A container with a volume: its own root and network, and the folder of the host.
#[test]
fn what_came_from_outside_of_a_container_is_not_connected_to() {
    if !is_root() || Command::new("bwrap").arg("--version").output().is_err() {
        return skip("needs root and bwrap: it makes a container");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = Arena::new().dead("dead").listener("counting").live("live");
    for command in ["list", "sweep"] {
        let mut bwrap = Command::new("bwrap");
        bwrap.args(["--unshare-net", "--unshare-pid", "--proc", "/proc", "--dev", "/dev"]);
        bwrap.args([
            "--ro-bind",
            "/usr",
            "/usr",
            "--symlink",
            "usr/lib",
            "/lib",
            "--symlink",
            "usr/lib64",
            "/lib64",
        ]);
        bwrap.arg("--ro-bind").arg(env!("CARGO_BIN_EXE_tmux-janitor")).arg("/janitor");
        bwrap.arg("--bind").arg(arena.dir()).arg("/sockets");
        bwrap.args(["/janitor", "--dir", "/sockets", command, "--json"]).env("HOME", "/nonexistent");
        let run = Run::of(bwrap.env_remove("XDG_CONFIG_HOME"));
        for label in ["dead", "counting", "live"] {
            assert_eq!(fate(&run.json(), label), ("unknown", "kept"), "{command}: {}", run.stdout);
        }
    }
    assert_eq!(arena.connections("counting"), 0);
    assert!(arena.has("dead"));
}

/// A whole file system of the host in a container with a network of its own: nothing tells it from one of the container's.
/// What lives is connected to, and never removed: connect(2) goes by the file, and flock(2) too, whatever the namespace.
#[test]
fn what_lives_in_a_whole_file_system_from_outside_is_not_removed() {
    if !is_root() || Command::new("bwrap").arg("--version").output().is_err() {
        return skip("needs root and bwrap: it makes a container");
    }
    let _alone = ONE_AT_A_TIME.lock();
    let arena = Arena::new();
    let script = r#"
        dir=$0 janitor=$1 tmux=$2
        mount -t tmpfs -o mode=700 tmpfs "$dir"
        contained() {
            bwrap --unshare-net --unshare-pid --proc /proc --dev /dev --ro-bind /usr /usr --symlink usr/lib /lib \
                --symlink usr/lib64 /lib64 --symlink usr/bin /bin --ro-bind "$janitor" /janitor --bind "$dir" /sockets "$@"
        }
        contained sh -c 'grep " / /sockets " /proc/self/mountinfo' >&2
        start() { "$tmux" -f /dev/null -S "$dir/$1" new-session -d 'sleep 3600'; "$tmux" -S "$dir/$1" display-message -p '#{pid}'; }
        start live >/dev/null
        stopped=$(start stopped)
        kill -STOP "$stopped"
        kill -9 "$(start dead)"
        # Between bind and listen, under its start lock.
        python3 -c '
import fcntl, socket, sys, time
lock = open(sys.argv[1] + ".lock", "w"); fcntl.flock(lock, fcntl.LOCK_EX)
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); time.sleep(1000)' "$dir/bound" &
        until test -S "$dir/bound"; do sleep 0.02; done
        # And a label that is started and killed all the time, while the container sweeps.
        touch "$dir.on" "$dir.made"
        while test -e "$dir.on"; do contained /janitor --dir /sockets sweep >/dev/null || echo "sweep: $?" >&2; echo >>"$dir.made"; done &
        sweeps=$!
        sweeps_made() { wc -l <"$dir.made"; }
        lost=0 starts=0
        until test "$(sweeps_made)" -ge 25; do
            # Killed just before, tmux itself fails now and then.
            pid=$(start churn 2>/dev/null) || continue
            starts=$((starts + 1)) before=$(sweeps_made)
            # One whole sweep while it lives.
            if test $((starts % 2)) = 0; then until test "$(sweeps_made)" -ge $((before + 2)); do sleep 0.01; done; fi
            "$tmux" -S "$dir/churn" has-session || lost=$((lost + 1))
            kill -9 "$pid"
            while grep -q '^State:.[^Z]' "/proc/$pid/status"; do sleep 0.01; done 2>/dev/null
        done
        rm "$dir.on" "$dir.made"
        wait $sweeps
        rm -f "$dir.made"
        echo "$starts starts, $lost lost" >&2
        test $lost = 0
        contained /janitor --dir /sockets sweep --json
        kill -CONT "$stopped"
        for label in live stopped; do "$tmux" -S "$dir/$label" has-session; done
        ls "$dir" >&2
    "#;
    let run = Run::of(
        Command::new("timeout")
            .args(["-k", "5", "120", "unshare", "--mount", "--propagation", "private", "--pid", "--fork"])
            .args(["--mount-proc", "--kill-child", "sh", "-euc", script])
            .arg(arena.dir())
            .arg(env!("CARGO_BIN_EXE_tmux-janitor"))
            .arg(arena::tmux_program())
            .env_remove("TMUX")
            .env_remove("XDG_CONFIG_HOME")
            .env("HOME", "/nonexistent"),
    );
    assert_eq!(run.code, Some(0), "{} {}", run.stdout, run.stderr);
    for (label, state) in [("live", "live"), ("stopped", "live"), ("bound", "starting")] {
        assert_eq!(fate(&run.json(), label).0, state, "{} {}", run.stdout, run.stderr);
    }
    assert!(!run.stderr.lines().any(|line| line == "dead"), "{}", run.stderr);
}
