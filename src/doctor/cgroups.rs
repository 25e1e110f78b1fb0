//! Servers inside a service's cgroup, which end with it.

use super::{Cure, Finding, Patient, Severity};
use crate::host::cgroup::{self, Service};
use crate::host::systemd::Instance;
use tmux_sockets::kernel::escape::{escaped, shell_word};

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    for (entry, pid) in patient.servers() {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let Some(Service { unit, is_users }) = cgroup::service_of(&text) else {
            continue;
        };
        let manager = if is_users { Instance::User } else { Instance::System };
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
            "systemd ends it with all its sessions when that service stops, is restarted, or has done its work; KillMode=process spares what the service leaves behind, and the next server is better started with `tmux-janitor spawn NAME`",
            spare(patient, manager, &unit),
        ));
    }
}

/// Lets the service end without what it started.
fn spare(patient: &Patient<'_>, manager: Instance, unit: &str) -> Cure {
    let folder = shell_word(&format!("{unit}.d"));
    let lines = "printf '[Service]\\nKillMode=process\\n'";
    Cure::command(match manager {
        Instance::User => {
            let dir = format!("~/.config/systemd/user/{folder}");
            format!("mkdir -p {dir} && {lines} >{dir}/tmux.conf && systemctl --user daemon-reload")
        }
        Instance::System => {
            let (dir, sudo) = (format!("/etc/systemd/system/{folder}"), patient.sudo());
            format!(
                "{sudo}mkdir -p {dir} && {lines} | {sudo}tee {dir}/tmux.conf >/dev/null && {sudo}systemctl daemon-reload"
            )
        }
    })
}
