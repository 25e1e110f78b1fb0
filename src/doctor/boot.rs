//! Units that are meant to run at boot, of a user who does not linger.

use super::{Cure, Finding, Patient, Severity};
use crate::host::lasting::lingers;
use crate::host::systemd::Instance;
use tmux_sockets::kernel::escape::shell_word;

/// What a user enables to have it at boot: our own units, and the spawner that they are ordered before.
const UNITS: [&str; 4] =
    ["tmux-janitor.timer", "tmux-janitor.service", "tmux-janitor-watch.service", SPAWNER];

/// Who brings sessions back after a boot.
const SPAWNER: &str = "forge-post-boot-sessions.service";

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let Some(name) = patient.name() else {
        return;
    };
    if lingers(&name) {
        return;
    }
    let Some(units) = patient.systemd.show(Instance::User, &UNITS, "Id,UnitFileState") else {
        return;
    };
    let enabled: Vec<&str> = units
        .iter()
        .filter(|unit| unit.get("UnitFileState") == "enabled")
        .map(|unit| unit.get("Id"))
        .collect();
    if !enabled.is_empty() {
        // Whoever brings sessions back at boot wants more than a sweep that waits for the login.
        let severity = if enabled.contains(&SPAWNER) { Severity::Risk } else { Severity::Note };
        findings.push(Finding::new(
            severity,
            format!("{} enabled for {name}, who does not linger", enabled.join(", ")),
            "the user's manager starts at the first login, not at boot, and ends with the last logout: so do these units",
            Cure::command(format!("{}loginctl enable-linger {}", patient.sudo(), shell_word(&name))),
        ));
    }
}
