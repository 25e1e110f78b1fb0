//! Servers inside a service's cgroup, which end with it.

use super::systemd::Manager;
use super::{Cure, Finding, Patient, Severity};
use crate::escape::escaped;
use crate::spawn::cgroup::{self, Service};

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    for (entry, pid) in patient.servers() {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let Some(Service { unit, is_users }) = cgroup::service_of(&text) else {
            continue;
        };
        let manager = if is_users { Manager::User } else { Manager::System };
        let path = patient.report.path_of(entry);
        let path = escaped(&path);
        let Some(facts) = patient
            .systemd
            .show(manager, &[&unit], "MainPID,KillMode")
            .and_then(|units| units.into_iter().next())
        else {
            continue;
        };
        // A server that is itself what the service is for ends when it is stopped, as it should.
        if matches!(facts.get("KillMode"), "process" | "none") || facts.get("MainPID") == pid.to_string() {
            continue;
        }
        findings.push(Finding::new(
            Severity::Risk,
            format!("the server of {path} (pid {pid}) runs inside {}", escaped(&unit)),
            "systemd ends it with all its sessions when that service stops, is restarted, or has done its work",
            Cure::advice("start it with `tmux-janitor spawn NAME`, or with `systemd-run --user --scope --collect tmux …`"),
        ));
    }
}
