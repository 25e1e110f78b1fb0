//! Ghosts, and two live servers on one path.

use super::{Cure, Finding, Patient, Severity};
use crate::view::advice::Advised;
use tmux_sockets::judge::Reason;
use tmux_sockets::judge::{Bar, Standing, Way};
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::report::Why;

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let doubtful = patient.report.unseen.iter().filter(|place| place.why == Why::Doubtful);
    findings.extend(doubtful.map(|place| {
        Finding::new(
            Severity::Risk,
            format!("{}: {}", escaped(&place.path), place.why),
            "if its socket was deleted, its sessions run on and nobody can attach to them",
            Cure::advice("run `tmux-janitor doctor` in a shell, outside of this unit or container"),
        )
    }));
    for entry in &patient.report.entries {
        let Reason::Ghost(plight) = entry.verdict.reason else {
            continue;
        };
        let pid = entry.server_pid.map_or_else(|| "unknown pid".to_owned(), |pid| format!("pid {pid}"));
        let mut what =
            format!("{} ({pid}): {}", escaped(&patient.report.path_of(entry)), plight.with_advice());
        if !entry.panes.is_empty() {
            what.push_str("; in its panes: ");
            what.push_str(&entry.panes.join(", "));
        }
        let why = if matches!(plight.standing, Standing::Live(_)) {
            "two live servers on one path: whoever attaches meets the other one, and these sessions seem lost"
        } else {
            "its sessions run on and nobody can attach to them; people kill them in the end"
        };
        let cure = match (plight.bar, entry.server_pid) {
            (None, _) => Cure::command(format!("{} rescue", patient.janitor())),
            (Some(Bar::Stopped), Some(pid)) => {
                Cure::command(format!("kill -CONT {pid} && {} rescue", patient.janitor()))
            }
            (Some(Bar::Rivals(_)), Some(pid)) if plight.standing != Standing::NoDirectory => Cure::advice(
                format!("to keep this one: kill -USR1 {pid} (`tmux-janitor list` shows what runs in each)"),
            ),
            (Some(Bar::Elsewhere(Way::Signal | Way::SignalOrInside)), Some(pid))
                if plight.standing == Standing::Nothing =>
            {
                Cure::command(format!("kill -USR1 {pid}"))
            }
            (Some(Bar::Held { yields: true, .. }), _) => Cure::command(format!(
                // Both servers are kept: the newer one gets another name.
                "tmux-janitor rescue --aside {}",
                tmux_sockets::kernel::escape::shell_word(&patient.report.path_of(entry))
            )),
            (Some(Bar::Held { yields: false, .. }), _) => {
                Cure::advice("end or move the server that has the path now, then: tmux-janitor rescue")
            }
            _ => Cure::advice("see the reason above"),
        };
        findings.push(Finding::new(Severity::Problem, what, why, cure));
    }
}
