//! Where the first folder cannot be written, or is not there.

use super::scene::{errors, text};
use crate::common::arena::tmux_program;
use crate::common::janitor::Run;
use crate::common::skip::skip;
use std::process::Command;

/// Runs a script in a mount namespace of its own, with a /tmp of its own.
fn in_a_mount_namespace(script: &str) -> Option<Run> {
    if !rustix::process::getuid().is_root() {
        skip("needs root: it makes a mount namespace");
        return None;
    }
    let mut command = Command::new("unshare");
    // The program itself may lie under /tmp, which is hidden here.
    let prepared = format!(
        "set -eu; exec 9<'{}'; mount -t tmpfs none /tmp; mkdir -m 700 /tmp/tmux-0
        cat <&9 >/tmp/janitor; chmod 755 /tmp/janitor; exec 9<&-
        printf '[spawn]\\ntmux = \"%s\"\\n' \"$TMUX_BIN\" >/tmp/config.toml
        run() {{ /tmp/janitor --config /tmp/config.toml spawn \"$@\"; }}\n{script}",
        env!("CARGO_BIN_EXE_tmux-janitor")
    );
    command.args(["--mount", "--propagation", "private", "sh", "-c", &prepared]);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", "/nonexistent");
    command.env("TMUX_BIN", tmux_program());
    // Files, not pipes: the server inherits nothing, and if it did we would not wait for it.
    Some(Run::of(&mut command))
}

#[test]
fn where_the_first_directory_is_read_only_the_next_is_taken() {
    let script = r#"
        mkdir -p /tmp/next/tmux-0; chmod 700 /tmp/next/tmux-0
        mount --bind /tmp/tmux-0 /tmp/tmux-0; mount -o remount,ro,bind /tmp/tmux-0
        XDG_RUNTIME_DIR=/tmp/next run --json x -- 'sleep 1000'
        "$TMUX_BIN" -S /tmp/next/tmux-0/spawn-x kill-server
    "#;
    let Some(run) = in_a_mount_namespace(script) else { return };
    let json = run.json();
    assert_eq!(run.code, Some(0), "{json:#} {}", run.stderr);
    assert_eq!(text(&json, "fallback_dir"), "/tmp/next/tmux-0");
    assert_eq!(text(&json, "socket"), "/tmp/next/tmux-0/spawn-x");
    assert!(text(&json, "fallback_reason").contains("the mount /tmp/tmux-0 is read-only"), "{json:#}");
}

#[test]
fn where_no_directory_can_be_written_the_mount_is_named() {
    let script = r#"
        mount -o remount,ro /tmp
        run --json --dir /tmp/tmux-0 x -- "sleep 1000" || exit $?
    "#;
    let Some(run) = in_a_mount_namespace(script) else { return };
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(errors(&run.json()).contains("the mount /tmp is read-only"), "{}", run.stdout);
}

#[test]
fn a_server_that_lives_where_nothing_can_be_written_is_joined_all_the_same() {
    let script = r#"
        "$TMUX_BIN" -f /dev/null -S /tmp/tmux-0/spawn-x new-session -d -s other 'sleep 1000'
        mount --bind /tmp/tmux-0 /tmp/tmux-0; mount -o remount,ro,bind /tmp/tmux-0
        run --json x -- 'sleep 1000'
        "$TMUX_BIN" -S /tmp/tmux-0/spawn-x list-sessions -F '#{session_name}' >&2
        "$TMUX_BIN" -S /tmp/tmux-0/spawn-x kill-server
    "#;
    let Some(run) = in_a_mount_namespace(script) else { return };
    assert_eq!(run.code, Some(0), "{} {}", run.stdout, run.stderr);
    assert!(run.json()["fallback_dir"].is_null());
    assert!(run.stderr.contains("other\nx\n"), "{}", run.stderr);
}

#[test]
fn an_unusable_tmux_tmpdir_is_passed_over_and_a_missing_directory_made() {
    let script = r#"
        rmdir /tmp/tmux-0
        TMUX_TMPDIR=/tmp/nowhere run --json x -- 'sleep 1000'
        stat -c %a /tmp/tmux-0 >&2
        "$TMUX_BIN" -S /tmp/tmux-0/spawn-x kill-server
    "#;
    let Some(run) = in_a_mount_namespace(script) else { return };
    assert_eq!(run.code, Some(0), "{} {}", run.stdout, run.stderr);
    assert_eq!(text(&run.json(), "fallback_dir"), "/tmp/tmux-0");
    assert!(run.stderr.contains("700"), "as tmux makes it: {}", run.stderr);
}
