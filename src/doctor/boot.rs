//! Units that are meant to run at boot, of a user who does not linger.

use super::systemd::Manager;
use super::{Finding, Patient};
use std::path::Path;

/// What a user enables to have it at boot: our own units, and the spawner that they are ordered before.
const UNITS: [&str; 4] = [
    "tmux-janitor.timer",
    "tmux-janitor.service",
    "tmux-janitor-watch.service",
    "forge-post-boot-sessions.service",
];

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let Some(name) = nix::unistd::User::from_uid(patient.user.into()).ok().flatten().map(|user| user.name)
    else {
        return;
    };
    if lingers(&name) {
        return;
    }
    let Some(units) = patient.systemd.show(Manager::User, &UNITS, "Id,UnitFileState") else {
        return;
    };
    let enabled: Vec<&str> = units
        .iter()
        .filter(|unit| unit.get("UnitFileState") == "enabled")
        .map(|unit| unit.get("Id"))
        .collect();
    if !enabled.is_empty() {
        findings.push(Finding::new(
            format!("{} enabled for {name}, who does not linger", enabled.join(", ")),
            "the user's manager starts at the first login, not at boot, and ends with the last logout: so do these units",
            format!("loginctl enable-linger {name}"),
        ));
    }
}

/// Whether logind starts the user's manager at boot (`loginctl enable-linger`).
pub(super) fn lingers(name: &str) -> bool {
    Path::new("/var/lib/systemd/linger").join(name).exists()
}
