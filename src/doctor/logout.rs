//! Servers that end with the user's last logout, or with the login that started them.

use super::{Cure, Finding, Patient, Severity};
use crate::host::lasting::{self, Home};
use tmux_sockets::kernel::escape::{escaped, shell_word};

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let Some(name) = patient.name() else {
        return;
    };
    let mut kills = None;
    let (mut managers, mut logins) = (Vec::new(), Vec::new());
    for (entry, pid) in patient.servers() {
        let who = || format!("{} (pid {pid})", escaped(&patient.report.path_of(entry)));
        match lasting::home(pid) {
            Home::Manager => managers.push(who()),
            Home::Login => logins.push(who()),
            Home::Elsewhere => {}
        }
    }
    if !managers.is_empty() && !lasting::lingers(&name) {
        findings.push(Finding::new(
            Severity::Risk,
            format!("{name} does not linger, and the user's service manager holds {}", counted(&managers)),
            "the manager ends with the last logout, and each server in it with all its sessions",
            Cure::command(format!("{}loginctl enable-linger {}", patient.sudo(), shell_word(&name))),
        ));
    }
    if !logins.is_empty() && *kills.get_or_insert_with(|| lasting::kills_processes(&name)) {
        findings.push(Finding::new(
            Severity::Risk,
            format!("logind has KillUserProcesses=yes, and a login of its own holds {}", counted(&logins)),
            "it ends everything that a login has started when that login ends, lingering or not",
            Cure::advice(format!(
                "start the next one outside of the login: `tmux-janitor spawn NAME --scope always`, with `{}loginctl enable-linger {}`",
                patient.sudo(),
                shell_word(&name)
            )),
        ));
    }
}

/// The first few, and how many more.
fn counted(servers: &[String]) -> String {
    const MOST: usize = 3;
    let shown = servers[..servers.len().min(MOST)].join(", ");
    let kind = if servers.len() == 1 { "the server of" } else { "the servers of" };
    match servers.len().saturating_sub(MOST) {
        0 => format!("{kind} {shown}"),
        more => format!("{kind} {shown} and {more} more"),
    }
}
