//! Live servers that can only be reached from within another mount namespace.

use super::{Cure, Finding, Patient, Severity};
use tmux_sockets::kernel::escape::escaped;

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    for entry in &patient.report.entries {
        let path = patient.report.path_of(entry);
        let (Some(false), Some(pid)) = (entry.is_reachable(), entry.server_pid) else {
            continue;
        };
        let cure = match entry.way_in(&path, patient.user) {
            Some(line) => Cure::advice(format!("to attach to it: {line}")),
            None => Cure::advice(format!(
                "whether its path leads to it there is not proven; run what needs it where it was started, or see there: {}nsenter -t {pid} -m",
                patient.sudo()
            )),
        };
        findings.push(Finding::new(
            Severity::Note,
            format!(
                "{} (pid {pid}): a live server in another mount namespace or root directory than this process",
                escaped(&path)
            ),
            "at that path `tmux attach` finds no server here, or another one; PrivateTmp= in a unit, a container, and a login with a /tmp of its own each have their own",
            cure,
        ));
    }
}
