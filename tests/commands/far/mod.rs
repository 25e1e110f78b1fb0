//! Mounts that do not answer: a FUSE file system (bindfs) whose server is stopped. Whoever looks at a path on it waits
//! until it goes on. Nobody here may.

mod beside;

use crate::common::inodes::USE_UP;
use crate::common::janitor::Run;
use crate::common::reader::reader;
use crate::common::skip::skip;
use crate::common::{arena, wait};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A world of its own: mounts, processes and `/tmp`; `$0` is a folder outside of it for what is to be told. Everything in it ends
/// with it. There, `/tmp/far` is a mount that answers until `stand_still`, and a server and a dead socket are in
/// `/tmp/far/tmux-0` and in `/tmp/tmux-0`.
const WORLD: &str = r#"
    mount -t tmpfs -o mode=1777 tmpfs /tmp
    use_up /tmp
    mkdir /tmp/real /tmp/far /tmp/home
    bindfs -f /tmp/real /tmp/far &
    bindfs=$!
    until mountpoint -q /tmp/far; do sleep 0.02; done
    export HOME=/tmp/home
    alive() { TMUX_TMPDIR=$1 "$TMUX_BIN" -f /dev/null -L "$2" new-session -d 'sleep 3600'; }
    dead() {
        alive "$1" "$2"
        pid=$(TMUX_TMPDIR=$1 "$TMUX_BIN" -L "$2" display-message -p '#{pid}')
        kill -9 "$pid"
        while grep -q '^State:.[^Z]' "/proc/$pid/status"; do sleep 0.02; done 2>/dev/null
    }
    alive /tmp live
    dead /tmp dead
    alive /tmp/far far
    dead /tmp/far gone
    stand_still() { kill -STOP "$bindfs"; }
    # Runs the janitor, and tells its exit code; 124: it did not come back.
    j() { name=$1; shift; code=0; timeout 90 "$JANITOR" "$@" >"$0/$name.out" 2>"$0/$name.err" || code=$?; echo $code >"$0/$name.code"; }
"#;

/// What the script leaves behind; `None`, and said: something that it needs is not here.
fn world(script: &str) -> Option<TempDir> {
    if !rustix::process::getuid().is_root() {
        skip("needs root: it makes mounts");
        return None;
    }
    if !Path::new("/dev/fuse").exists() || Command::new("bindfs").arg("--version").output().is_err() {
        skip("needs bindfs and /dev/fuse");
        return None;
    }
    // Not in /tmp, which the world has its own of.
    let told = tempfile::tempdir_in("/var/tmp").unwrap();
    let run = Run::of(
        wait::in_time("unshare")
            .args(["--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc", "--kill-child"])
            .args(["sh", "-euc", crate::common::WITHOUT_A_MANAGER, "sh", "-euc"])
            .arg(format!("{USE_UP} {WORLD} {script}"))
            .arg(told.path())
            .env("JANITOR", env!("CARGO_BIN_EXE_tmux-janitor"))
            .env("TMUX_BIN", arena::tmux_program())
            .env_remove("TMUX")
            .env_remove("TMUX_TMPDIR")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("INVOCATION_ID"),
    );
    assert_eq!(run.code, Some(0), "{} {}", run.stdout, run.stderr);
    Some(told)
}

fn told(folder: &TempDir, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

const NO_ANSWER: &str = "did not answer within 2 s (fuse";

#[test]
fn what_stands_still_holds_nobody_up_and_is_told_of() {
    let script = r#"
        stand_still
        j sweep sweep --json
        ls /tmp/tmux-0 >"$0/left"
        j status status &
        j list list --json &
        j doctor doctor &
        j rescue rescue &
        j probe probe -S /tmp/far/tmux-0/far &
        j named list --dir /tmp/far/tmux-0 --json &
        j spawn spawn new -- sleep 1000 &
        for name in status list doctor rescue probe named spawn; do
            until test -e "$0/$name.code"; do sleep 0.02; done
        done
        "$TMUX_BIN" -L spawn-new has-session && echo there >"$0/new"
        kill -CONT "$bindfs"
    "#;
    let Some(folder) = world(script) else { return };
    for name in ["sweep", "status", "list", "doctor", "rescue", "probe", "named", "spawn"] {
        assert_ne!(told(&folder, &format!("{name}.code")).trim(), "124", "{name} did not come back");
    }
    // What is near is worked on; what is far is said, and is an error.
    assert_eq!(told(&folder, "left"), "live\n");
    assert_eq!(told(&folder, "sweep.code").trim(), "1");
    let sweep: serde_json::Value = serde_json::from_str(&told(&folder, "sweep.out")).unwrap();
    let far = |directory: &&serde_json::Value| directory["path"] == "/tmp/far/tmux-0";
    let error = sweep["directories"].as_array().unwrap().iter().find(far).unwrap()["error"].to_string();
    assert!(error.contains(NO_ANSWER) && error.contains("/tmp/far"), "{error}");
    // A listener that the table shows is alive, wherever it lies.
    for name in ["list", "named"] {
        let list: serde_json::Value = serde_json::from_str(&told(&folder, &format!("{name}.out"))).unwrap();
        let state = |path: &str| {
            let entries = list["sockets"].as_array().unwrap();
            entries.iter().find(|entry| entry["path"] == path).map(|entry| entry["state"].to_string())
        };
        assert_eq!(state("/tmp/far/tmux-0/far").as_deref(), Some("\"live\""), "{list:#}");
        assert_eq!(state("/tmp/far/tmux-0/gone"), None, "nothing is known of it");
    }
    assert!(told(&folder, "status.code").trim() != "0", "not healthy: it could not look");
    assert_eq!(told(&folder, "probe.code").trim(), "0", "{}", told(&folder, "probe.out"));
    assert_eq!(told(&folder, "spawn.code").trim(), "0", "{}", told(&folder, "spawn.err"));
    assert_eq!(told(&folder, "new"), "there\n");
}

/// Where death is never proven: what lives is joined, and nothing new is started if it can be elsewhere.
#[test]
fn a_session_is_joined_there_and_started_elsewhere() {
    let script = r#"
        export TMUX_TMPDIR=/tmp/far
        j there spawn 0 --socket-label far --json
        j joined spawn more --socket-label far --json -- sleep 1000
        j found-before probe --session new --json
        j new spawn new --json -- sleep 1000
        j found probe --session new --json
        j gone spawn more --socket-label gone --json -- sleep 1000
        j gone-alone --dir /tmp/far/tmux-0 spawn more --socket-label gone --json -- sleep 1000
        j alone --dir /tmp/far/tmux-0 spawn alone --json -- sleep 1000
        j found-alone --dir /tmp/far/tmux-0 probe --session alone --json
        rm /tmp/far/tmux-0/far
        unshare --pid --fork --mount-proc --kill-child "$JANITOR" spawn 0 --socket-label far >"$0/hidden.out" 2>&1 || echo $? >"$0/hidden.code"
    "#;
    let Some(folder) = world(script) else { return };
    for (name, code, socket) in [
        ("there", "3", "/tmp/far/tmux-0/far"),
        ("joined", "0", "/tmp/far/tmux-0/far"),
        ("new", "0", "/tmp/tmux-0/spawn-new"),
        ("gone", "0", "/tmp/tmux-0/gone"),
        ("gone-alone", "1", ""),
        ("alone", "0", "/tmp/far/tmux-0/spawn-alone"),
    ] {
        let out = told(&folder, &format!("{name}.out"));
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(told(&folder, &format!("{name}.code")).trim(), code, "{name}: {json:#}");
        let is_there = json["socket"].as_str().unwrap_or_default().ends_with(socket);
        assert!(is_there, "{name}: {json:#}");
        let reason = json["fallback_reason"].as_str().unwrap_or_default();
        assert_eq!(reason.contains("FUSE"), socket.starts_with("/tmp/tmux-0/"), "{name}: {json:#}");
    }
    for (name, code, path) in [
        ("found-before", "3", "/tmp/tmux-0/spawn-new"),
        ("found", "0", "/tmp/tmux-0/spawn-new"),
        ("found-alone", "0", "/tmp/far/tmux-0/spawn-alone"),
    ] {
        let json: serde_json::Value =
            serde_json::from_str(&told(&folder, &format!("{name}.out"))).unwrap_or_default();
        assert_eq!(told(&folder, &format!("{name}.code")).trim(), code, "{name}: {json:#}");
        assert_eq!(json["path"], path, "{name}: {json:#}");
    }
    assert_eq!(told(&folder, "hidden.code").trim(), "1", "{}", told(&folder, "hidden.out"));
    assert!(told(&folder, "hidden.out").contains("cannot be seen from here"));
}

/// Its reader would wait in the kernel, for ever.
#[test]
fn a_script_on_a_mount_that_does_not_answer_is_told_of_and_the_others_are_audited() {
    reader();
    let script = r#"
        echo 'tmux kill-server' | tee /tmp/near.sh >/tmp/real/far.sh
        j before audit /tmp/far/far.sh /tmp/near.sh
        stand_still
        j audit audit /tmp/near.sh /tmp/far/far.sh /tmp/far/other.sh /tmp/near.sh
        kill -CONT "$bindfs"
    "#;
    let Some(folder) = world(script) else { return };
    let (before, audit) = (told(&folder, "before.out"), told(&folder, "audit.out"));
    assert_eq!((told(&folder, "before.code").trim(), before.lines().count()), ("1", 2), "{before}");
    assert_eq!(
        (told(&folder, "audit.code").trim(), audit.matches("near.sh:1:1").count()),
        ("77", 2),
        "{audit}"
    );
    let err = told(&folder, "audit.err");
    assert!(err.contains("/tmp/far/other.sh cannot be read") && err.matches(NO_ANSWER).count() == 2, "{err}");
}

#[test]
fn who_is_sent_has_no_lock_and_nobody_else_is_sent_while_one_hangs() {
    let Some(folder) = world(
        r#"
        stand_still
        strace -f -o "$0/trace" -e trace=execve,fcntl,flock "$JANITOR" sweep >/dev/null 2>&1 || :
        "$JANITOR" sweep >/dev/null 2>&1 &
        sweep=$!
        until comm=$(grep -l '^janitor-apart$' /proc/[0-9]*/comm); do sleep 0.02; done
        ls -l "${comm%comm}fd" >"$0/held"
        wait $sweep || :
        kill -CONT "$bindfs"
        # One of an earlier run that does not end, by its name and its words.
        cd "$0"
        echo 'printf janitor-apart >/proc/$$/comm; sleep 1000 & wait' >apart
        sh apart /tmp/far &
        hangs=$!
        until grep -q '^janitor-apart$' /proc/$hangs/comm; do sleep 0.02; done
        j again sweep
        kill -9 $hangs
        j after sweep"#,
    ) else {
        return;
    };
    let trace = told(&folder, "trace");
    let last = |text: &str| trace.rfind(text).unwrap_or_else(|| panic!("no {text} in {trace}"));
    let sent = last("execve(\"/proc/self/exe\"");
    assert!(last("F_SETLEASE") < sent, "{trace}");
    let held = told(&folder, "held");
    assert!(held.contains(" -> ") && !held.contains(".lock"), "{held}");
    assert_eq!(told(&folder, "again.code").trim(), "1");
    assert!(told(&folder, "again.err").contains(NO_ANSWER), "one hangs, and no other is sent after it");
    assert_eq!(told(&folder, "after.code").trim(), "0", "{}", told(&folder, "after.err"));
}

#[test]
fn the_watch_works_on_beside_it() {
    let Some(folder) = world(
        r#"
        stand_still
        timeout 300 "$JANITOR" watch 2>"$0/log" &
        watch=$!
        until ! test -e /tmp/tmux-0/dead; do sleep 0.02; done
        dead /tmp later
        until ! test -e /tmp/tmux-0/later; do sleep 0.02; done
        until grep -q 'may not answer' "$0/log"; do sleep 0.02; done
        kill "$watch"
        code=0; wait "$watch" || code=$?
        echo $code >"$0/code"
        kill -CONT "$bindfs""#,
    ) else {
        return;
    };
    assert_eq!(told(&folder, "code").trim(), "0", "{}", told(&folder, "log"));
}

/// It answers so many questions and then none: at each of them once. What is asked of it first is told apart from
/// what a run does that goes there itself by what the run says.
#[test]
fn one_that_answers_and_then_stands_still_is_given_up() {
    let Some(folder) = world(
        r#"
        # NUMBER COMMAND...: the file system stops with its NUMBERth look at what lies below it.
        at() {
            name=$1-$2 number=$1; shift
            mkdir "/tmp/real-$name" "/tmp/far-$name"
            bindfs -f "/tmp/real-$name" "/tmp/far-$name" &
            served=$!
            until mountpoint -q "/tmp/far-$name"; do sleep 0.02; done
            alive "/tmp/far-$name" far
            mkdir "/tmp/near-$name"
            dead "/tmp/near-$name" gone
            looks=lstat,newfstatat,openat,statx,getdents64,statfs,readlink,access,faccessat
            strace -f -p "$served" -o /dev/null -e trace=$looks -e inject=$looks:signal=STOP:when=$number 2>/dev/null &
            until ! grep -q 'TracerPid:.0$' "/proc/$served/status"; do sleep 0.02; done
            set -- --dir "/tmp/far-$name/tmux-0" --dir "/tmp/near-$name/tmux-0" "$@"
            # Whoever reads to the end comes to it.
            (timeout 20 "$JANITOR" "$@" 2>"$0/$name.err" || echo "code $?") | cat >"$0/$name"
            ls "/tmp/near-$name/tmux-0" >"$0/$name.near"
            kill -CONT "$served"
        }
        pids=
        # How many looks it makes of its own first depends on its version.
        for number in 1 2 3 4 5 6 7 8 10 12 14 16 18; do
            at $number status & pids="$pids $!"
            at $number sweep & pids="$pids $!"
        done
        for number in 3 5 8 11 13 15 17 19; do
            for command in list doctor rescue 'spawn new --json --scope never -- sleep 1000'; do
                at $number $command & pids="$pids $!"
            done
        done
        wait $pids
        "#,
    ) else {
        return;
    };
    let mut given_up = std::collections::BTreeMap::<String, usize>::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some((_, command)) = name.strip_suffix(".err").unwrap_or_default().split_once('-') else {
            continue;
        };
        let said = told(&folder, name.trim_end_matches(".err"));
        let err = told(&folder, &name);
        assert!(!said.contains("code 124") && !said.contains("code 137"), "{name}: {said} {err}");
        if err.contains("stopped answering: nothing came within 2 s") {
            let code = if matches!(command, "status" | "probe") { "code 4" } else { "code 1" };
            assert!(said.contains(code), "{name}: {said} {err}");
            if command == "sweep" {
                assert!(
                    said.contains("removed") && told(&folder, &name.replace(".err", ".near")).is_empty(),
                    "{said}"
                );
            }
            if command == "spawn" {
                let json: serde_json::Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
                assert_eq!((&json["outcome"], &json["command_state"]), (&"failed".into(), &"unknown".into()));
            }
            *given_up.entry(command.to_owned()).or_default() += 1;
        }
    }
    for command in ["status", "sweep", "list", "doctor", "rescue", "spawn"] {
        assert!(given_up.contains_key(command), "{command} was never on its way: {given_up:?}");
    }
}
