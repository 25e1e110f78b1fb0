//! Live servers whose paths lead to them only in another mount namespace, or behind another root directory.

use super::{Cure, Finding, Patient, Severity};
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::report::Outside;

/// How many are told of.
const TOLD: usize = 16;

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let told = patient.servers().filter_map(|(entry, pid)| {
        let path = patient.report.path_of(entry);
        let outside = entry.outside?;
        let cure = match (outside, entry.way_in(&path, patient.user)) {
            (Outside::Reached | Outside::Renamed | Outside::Untold, _) => return None,
            (Outside::Behind(_) | Outside::Unproven, Some(line)) => {
                format!("`{line}` attaches to it; a janitor that runs there sweeps there")
            }
            (Outside::Behind(_), None) => {
                "others decide there what `tmux` is, so no command of root's is named; its own user is told the way in"
                    .to_owned()
            }
            (Outside::Unproven, None) => format!(
                "that its path leads to it there is not proven; `ls -l /proc/{pid}/root/ /proc/{pid}/ns/mnt` shows what it sees"
            ),
        };
        Some(Finding::new(
            Severity::Note,
            format!(
                "{} (pid {pid}): a live server in another mount namespace or root directory than this process",
                escaped(&path)
            ),
            "at that path tmux finds no server here, or another one, and nobody sweeps there; a container, PrivateTmp= in a unit and a login with a /tmp of its own each see their own files",
            Cure::advice(cure),
        ))
    });
    findings.extend(told.take(TOLD));
}
