//! Servers that live and do not answer: stopped, held by a debugger, frozen.

use super::{Cure, Finding, Patient, Severity};
use rustix::fs::{Access, AtFlags, CWD};
use std::path::{Path, PathBuf};
use tmux_sockets::judge::State;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::escape::{escaped, shell_word};

/// Where cgroup v2 is mounted (cgroups(7)).
const CGROUPS: &str = "/sys/fs/cgroup";

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    // A stopped ghost is told by the check of ghosts.
    for (entry, pid) in patient.servers().filter(|(entry, _)| entry.verdict.state == State::Live) {
        let Some((what, cure)) = plight(patient, pid) else {
            continue;
        };
        findings.push(Finding::new(
            Severity::Problem,
            format!("the server of {} (pid {pid}) is {what}", escaped(&patient.report.path_of(entry))),
            "it lives and does not answer: clients wait for it, and it looks as if it were dead",
            cure,
        ));
    }
}

/// What keeps a process from running, and what lets it go on.
fn plight(patient: &Patient<'_>, pid: Pid) -> Option<(String, Cure)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| Some(line.strip_prefix(name)?.trim()));
    match field("State:")?.chars().next()? {
        'T' => Some(("stopped".to_owned(), Cure::command(format!("kill -CONT {pid}")))),
        't' => {
            let tracer = field("TracerPid:").unwrap_or("0");
            let what = format!("held by a debugger (pid {tracer})");
            Some((
                what,
                Cure::advice(format!("let pid {tracer} go on or end (`ps -fp {tracer}` shows what it is)")),
            ))
        }
        _ => {
            let frozen = frozen(pid)?;
            let file = frozen.join("cgroup.freeze");
            let word = shell_word(&file);
            let is_ours = rustix::fs::accessat(CWD, &file, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
            let line = if is_ours {
                format!("echo 0 >{word}")
            } else {
                format!("echo 0 | {}tee {word} >/dev/null", patient.sudo())
            };
            Some((format!("frozen with its cgroup {}", escaped(&frozen)), Cure::command(line)))
        }
    }
}

/// The cgroup that was frozen, if a process is in one: its own, or one around it.
fn frozen(pid: Pid) -> Option<PathBuf> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let own = Path::new(CGROUPS).join(own);
    let around = own.ancestors().take_while(|folder| folder.starts_with(CGROUPS));
    let is_frozen = |folder: &&Path| {
        std::fs::read_to_string(folder.join("cgroup.freeze")).is_ok_and(|text| text.trim() == "1")
    };
    around.into_iter().find(is_frozen).map(Path::to_owned)
}
