//! Units that start tmux at boot and are not ordered after the janitor.

use super::{Cure, Finding, Patient, Severity};
use crate::host::apart;
use crate::host::systemd::{Instance, Unit};
use std::io::Read as _;
use std::path::Path;
use tmux_sockets::kernel::escape::{escaped, shell_word};

const SWEEP: &str = "tmux-janitor.service";

/// How much of a script is read.
const MOST: u64 = 64 * 1024;

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    for manager in [Instance::User, Instance::System] {
        let list = ["list-unit-files", "--type=service", "--state=enabled", "--no-legend", "--plain"];
        let Some(text) = patient.systemd.systemctl(manager, &list) else {
            continue;
        };
        let names: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_ascii_whitespace().next())
            .filter(|name| !name.starts_with("tmux-janitor") && !name.contains('@'))
            .collect();
        // Where there is no sweep, there is nothing to be ordered after.
        let sweep = patient.systemd.show(manager, &[SWEEP], "LoadState");
        if names.is_empty() || !sweep.iter().flatten().any(|unit| unit.get("LoadState") == "loaded") {
            continue;
        }
        let Some(units) = patient.systemd.show(manager, &names, "Id,ExecStart,After") else {
            continue;
        };
        for unit in units.iter().filter(|unit| starts_tmux(unit)) {
            if unit.get("After").split(' ').any(|after| after == SWEEP) {
                continue;
            }
            findings.push(Finding::new(
                Severity::Risk,
                format!("{} starts tmux at boot and is not ordered after {SWEEP}", escaped(unit.get("Id"))),
                "it may start before the dead sockets are swept, and meets them",
                order(patient, manager, unit.get("Id")),
            ));
        }
    }
}

/// Orders a unit after the sweep, and has it swept before.
fn order(patient: &Patient<'_>, manager: Instance, id: &str) -> Cure {
    let folder = shell_word(&format!("{id}.d"));
    let lines = format!("printf '[Unit]\\nWants={SWEEP}\\nAfter={SWEEP}\\n'");
    Cure::command(match manager {
        Instance::User => {
            let dir = format!("~/.config/systemd/user/{folder}");
            format!("mkdir -p {dir} && {lines} >{dir}/tmux-janitor.conf && systemctl --user daemon-reload")
        }
        Instance::System => {
            let (dir, sudo) = (format!("/etc/systemd/system/{folder}"), patient.sudo());
            format!(
                "{sudo}mkdir -p {dir} && {lines} | {sudo}tee {dir}/tmux-janitor.conf >/dev/null && {sudo}systemctl daemon-reload"
            )
        }
    })
}

/// Whether a service runs tmux, itself or by its script.
fn starts_tmux(unit: &Unit) -> bool {
    let command = unit.get("ExecStart");
    if command.is_empty() {
        return false;
    }
    if speaks_of_tmux(command) {
        return true;
    }
    let words = command.split(['=', ' ', ';']).filter(|word| word.starts_with('/'));
    words.take(8).any(|path| {
        let mut script = Vec::new();
        let is_read = apart::answers(Path::new(path))
            && std::fs::File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut script)).is_ok();
        is_read && script.starts_with(b"#!") && speaks_of_tmux(&String::from_utf8_lossy(&script))
    })
}

/// Whether a command line or script has `tmux` as a word, or starts sessions with us.
fn speaks_of_tmux(text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.split(|c: char| !is_word(c)).any(|word| word == "tmux") || text.contains("tmux-janitor spawn")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tmux_is_a_word_and_not_a_part_of_one() {
        assert!(speaks_of_tmux("{ path=/usr/bin/tmux ; argv[]=/usr/bin/tmux new -d }"));
        assert!(speaks_of_tmux("exec tmux new"));
        assert!(speaks_of_tmux("tmux-janitor spawn a"));
        assert!(!speaks_of_tmux("/usr/bin/tmux-janitor sweep; /tmp/tmux-1000/x; mytmux"));
    }
}
