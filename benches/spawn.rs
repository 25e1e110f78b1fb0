//! What `spawn` costs beside plain `tmux new-session -d`. `cargo bench --bench spawn` prints the table.
//!
//! The two sides are run in turn and the best of each counts, because machines are noisy: it is what the
//! work costs while nobody else wants the processor. Needs tmux.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that fails says so"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tmux-janitor");
const RUNS: usize = 25;
const DEAD: usize = 1000;

fn tmux(socket: &Path) -> Command {
    let mut command = Command::new("tmux");
    command.args(["-f", "/dev/null", "-S"]).arg(socket).env_remove("TMUX");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn spawn(dir: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("--dir").arg(dir).args(["spawn", "x"]);
    command.env("XDG_CONFIG_HOME", "/nonexistent").env("HOME", "/nonexistent").env_remove("TMUX");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn time(command: &mut Command) -> Duration {
    let begun = Instant::now();
    let status = command.status();
    let spent = begun.elapsed();
    assert!(status.is_ok_and(|status| status.success()), "{command:?} failed");
    spent
}

/// Ends the server on a socket and waits until it is gone, socket and all.
fn end(socket: &Path) {
    let output = tmux(socket).args(["display-message", "-p", "#{pid}"]).stdout(Stdio::piped()).output();
    let pid = String::from_utf8(output.unwrap().stdout).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    time(tmux(socket).arg("kill-server"));
    let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut fds, None).unwrap();
    fs::remove_file(socket).unwrap();
}

fn best(times: &[Duration]) -> f64 {
    times.iter().min().unwrap().as_secs_f64() * 1000.0
}

fn make_dead(dir: &Path) {
    for number in 0..DEAD {
        drop(UnixListener::bind(dir.join(format!("dead-{number}"))).unwrap());
    }
}

/// How many tmux clients a spawn runs: its tmux is a script that counts.
fn clients(dir: &Path) -> usize {
    let room = tempfile::tempdir().unwrap();
    let (script, count) = (room.path().join("tmux"), room.path().join("count"));
    fs::write(&script, format!("#!/bin/sh\necho >>'{}'\nexec tmux \"$@\"\n", count.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let config = room.path().join("config.toml");
    fs::write(&config, format!("[spawn]\ntmux = \"{}\"\n", script.display())).unwrap();
    time(spawn(dir).arg("--config").arg(config));
    fs::read_to_string(count).unwrap().lines().count()
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (ours, theirs) = (dir.join("spawn-x"), dir.join("plain"));
    let (mut spawned, mut plain, mut after_sweep) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        spawned.push(time(&mut spawn(dir)));
        end(&ours);
        plain.push(time(tmux(&theirs).args(["new-session", "-d", "-s", "x", "sleep 1000"])));
        end(&theirs);
        make_dead(dir);
        after_sweep.push(time(&mut spawn(dir)));
        end(&ours);
        assert_eq!(fs::read_dir(dir).unwrap().count(), 0, "all were swept");
    }
    let (spawned, plain, after_sweep) = (best(&spawned), best(&plain), best(&after_sweep));
    println!("| what | spawn | beside it | difference | ratio | aim |");
    println!("| --- | --- | --- | --- | --- | --- |");
    println!(
        "| a session in a clean directory | {spawned:.1} ms | `tmux new-session -d`: {plain:.1} ms | {:.1} ms | {:.1} | ≤ 12 ms more |",
        spawned - plain,
        spawned / plain
    );
    println!(
        "| the same with {DEAD} dead sockets, swept | {after_sweep:.1} ms | in a clean directory: {spawned:.1} ms | {:.1} ms | {:.1} | ≤ 60 ms more |",
        after_sweep - spawned,
        after_sweep / spawned
    );
    println!("\ntmux clients per spawn: {} (new-session and has-session)", clients(dir));
    end(&ours);
}
