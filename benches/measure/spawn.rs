//! What `spawn` costs beside plain `tmux new-session -d`. Needs tmux.
//!
//! The best of the runs counts: it is what the work costs while nobody else wants the processor.

use super::scene::{Server, add_dead, janitor, room, time_success, tmux};
use super::section::{Scale, Section};
use super::sweep::thousands;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

pub(crate) fn measure(scale: Scale) -> Section {
    let mut section = Section::versus("spawn", "What a spawn takes");
    for (in_memory, place) in [(true, "tmpfs"), (false, "disk")] {
        let dir = room(in_memory);
        on(&mut section, dir.path(), place, scale.of(25, 1), scale.of(1000, 10));
    }
    let dir = room(true);
    let count = clients(dir.path());
    section.note(format!("tmux clients per spawn: {count} (one that starts and keeps the server, one that makes the session and watches it)"));
    section
}

/// What COMMAND gets to settle is not what a spawn costs: it is the same on every machine.
fn spawn(dir: &Path) -> Command {
    let mut command = janitor(dir, &["spawn", "x"]);
    command.arg("--config").arg(unsettled());
    command
}

/// A configuration in which COMMAND is not watched.
fn unsettled() -> &'static Path {
    static FILE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = FILE.get_or_init(|| {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("config.toml");
        fs::write(&path, "[spawn]\nsettle = \"0s\"\n").unwrap();
        (room, path)
    });
    path
}

/// Ends the server on a socket and waits until it is gone, socket and all.
fn end(socket: &Path) {
    let server = Server::on(socket.to_owned());
    time_success(tmux(socket).arg("kill-server"));
    server.wait_for_end();
    fs::remove_file(socket).unwrap();
}

fn on(section: &mut Section, dir: &Path, place: &str, runs: usize, dead: usize) {
    let (ours, theirs) = (dir.join("spawn-x"), dir.join("plain"));
    let (mut spawned, mut plain, mut after_sweep) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for _ in 0..runs {
        spawned = spawned.min(time_success(&mut spawn(dir)));
        end(&ours);
        plain = plain.min(time_success(tmux(&theirs).args(["new-session", "-d", "-s", "x", "sleep 1000"])));
        end(&theirs);
        add_dead(dir, dead);
        after_sweep = after_sweep.min(time_success(&mut spawn(dir)));
        end(&ours);
        assert_eq!(fs::read_dir(dir).unwrap().count(), 0, "all were swept");
    }
    let work = format!("`spawn` in a clean directory, {place}");
    section.compare(&work, "`tmux new-session -d`", [spawned, plain], "≤ 12 ms more");
    let work = format!("`spawn` with {} dead sockets, swept, {place}", thousands(dead));
    section.compare(&work, "`spawn` in a clean directory", [after_sweep, spawned], "≤ 60 ms more");
}

/// How many tmux clients a spawn runs: its tmux is a script that counts.
fn clients(dir: &Path) -> usize {
    let room = room(false);
    let (script, count) = (room.path().join("tmux"), room.path().join("count"));
    fs::write(&script, format!("#!/bin/sh\necho >>'{}'\nexec tmux \"$@\"\n", count.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let config = room.path().join("config.toml");
    fs::write(&config, format!("[spawn]\nsettle = \"0s\"\ntmux = \"{}\"\n", script.display())).unwrap();
    time_success(janitor(dir, &["spawn", "x"]).arg("--config").arg(config));
    end(&dir.join("spawn-x"));
    fs::read_to_string(count).unwrap().lines().count()
}
