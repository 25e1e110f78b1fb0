//! Servers in a unit that ends as a whole when one of its processes is killed for want of memory.

use super::{Cure, Finding, Patient, Severity};
use crate::host::systemd::{Instance, Unit};
use crate::host::{cgroup, lasting};
use std::collections::HashSet;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::escape::{escaped, shell_word};

const PROPERTIES: &str = "ActiveState,OOMPolicy,Transient,MainPID,KillMode";

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let mut known = HashSet::new();
    for (entry, pid) in patient.servers() {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let Some((unit, is_users)) = cgroup::unit_of(&text).filter(|unit| known.insert(unit.clone())) else {
            continue;
        };
        let manager = if is_users { Instance::User } else { Instance::System };
        let facts = patient.systemd.show(manager, &[&unit], PROPERTIES);
        let Some(facts) = facts.and_then(|units| units.into_iter().next()) else {
            continue;
        };
        if !ends_as_a_whole(&facts, &unit, pid) {
            continue;
        }
        findings.push(Finding::new(
            Severity::Risk,
            format!(
                "the server of {} (pid {pid}) is in {}, which has OOMPolicy={}",
                escaped(&patient.report.path_of(entry)),
                escaped(&unit),
                facts.get("OOMPolicy")
            ),
            "when the kernel kills one process in a pane for want of memory, systemd ends the server with all its sessions; `tmux-janitor spawn NAME` starts one that goes on",
            go_on(patient, manager, &unit, facts.get("Transient") == "yes"),
        ));
    }
}

/// Whether one process' end for want of memory ends the server. A service that holds it beside its own work is what
/// the check "cgroup" tells of, and one with KillMode=process spares it.
fn ends_as_a_whole(facts: &Unit, unit: &str, pid: Pid) -> bool {
    // Empty: this systemd has no such policy for a scope.
    let ends = matches!(facts.get("OOMPolicy"), "stop" | "kill") && facts.get("ActiveState") == "active";
    ends && (cgroup::kind_of(unit) == "scope" || facts.get("MainPID") == pid.to_string())
}

/// Adds a drop-in: for as long as the machine runs to a unit that does not live longer.
fn go_on(patient: &Patient<'_>, manager: Instance, unit: &str, is_transient: bool) -> Cure {
    let folder = shell_word(&format!("{unit}.d"));
    let section = if cgroup::kind_of(unit) == "scope" { "Scope" } else { "Service" };
    let lines = format!("printf '[{section}]\\nOOMPolicy=continue\\n'");
    Cure::command(match manager {
        Instance::User => {
            let dir = if is_transient {
                lasting::runtime_dir(patient.user).join("systemd/user").display().to_string()
            } else {
                "~/.config/systemd/user".to_owned()
            };
            format!(
                "mkdir -p {dir}/{folder} && {lines} >{dir}/{folder}/oom.conf && systemctl --user daemon-reload"
            )
        }
        Instance::System => {
            let dir = if is_transient { "/run/systemd/system" } else { "/etc/systemd/system" };
            let sudo = patient.sudo();
            format!(
                "{sudo}mkdir -p {dir}/{folder} && {lines} | {sudo}tee {dir}/{folder}/oom.conf >/dev/null && {sudo}systemctl daemon-reload"
            )
        }
    })
}
