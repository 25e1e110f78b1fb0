//! Sessions on the shared default socket beside isolated servers.

use super::{Cure, Finding, Patient, Severity};
use tmux_sockets::judge::State;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::tmux::paths::DEFAULT_LABEL;

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let live = || patient.report.entries.iter().filter(|entry| entry.verdict.state == State::Live);
    let Some(default) = live().find(|entry| entry.label == DEFAULT_LABEL) else {
        return;
    };
    let isolated = live().filter(|entry| entry.label != DEFAULT_LABEL).count();
    if isolated > 0 {
        let pid = default.server_pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
        findings.push(Finding::new(
            Severity::Note,
            format!(
                "a server lives on the shared default socket {}{pid}, and {isolated} beside it on sockets of their own",
                escaped(&patient.report.path_of(default))
            ),
            "a script that forgets -L meets the default server: its kill-server ends everybody's sessions there",
            Cure::advice("`tmux-janitor audit FILE...` finds such scripts; `tmux -L default list-sessions` shows who is there, `tmux-janitor spawn NAME` gives each a socket"),
        ));
    }
}
