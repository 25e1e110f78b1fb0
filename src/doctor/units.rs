//! Nothing sweeps by itself: the timer and the watcher are not enabled, or failed lately.

use super::systemd::{Manager, Systemd};
use super::{Cure, Finding, Patient, Severity};
use crate::escape::escaped;

const NOTHING_SWEEPS: &str =
    "tmux removes no socket by itself, so the dead ones pile up until somebody calls `tmux-janitor sweep`";

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let own = ["tmux-janitor.timer", "tmux-janitor-watch.service", "tmux-janitor.service"];
    let watcher = format!("tmux-janitor-watch@{}.service", patient.name().unwrap_or_default());
    let machines = ["tmux-janitor.timer", &watcher, "tmux-janitor.service"];
    let properties = "Id,LoadState,ActiveState,UnitFileState,Result,ExecMainStatus";
    let mut sweeps = false;
    let mut seen = false;
    let mut found = String::new();
    for (manager, units, option) in
        [(Manager::User, &own[..], "--user "), (Manager::System, &machines[..], "")]
    {
        let Some(units) = patient.systemd.show(manager, units, properties) else {
            continue;
        };
        seen |= manager == Manager::User;
        for unit in units {
            let (id, active) = (unit.get("Id"), unit.get("ActiveState"));
            let goes_on = !id.ends_with("janitor.service");
            sweeps |= goes_on && active == "active";
            if goes_on && manager == Manager::User {
                let separator = if found.is_empty() { "" } else { ", " };
                let load = if unit.get("LoadState") == "loaded" {
                    unit.get("UnitFileState")
                } else {
                    unit.get("LoadState")
                };
                found = format!("{found}{separator}{id} is {active} ({load})");
            }
            if active == "failed" || !matches!(unit.get("Result"), "" | "success") {
                findings.push(Finding::new(
                    Severity::Problem,
                    format!(
                        "{}{} failed lately: {} (exit status {})",
                        if manager == Manager::User { "" } else { "the machine's " },
                        escaped(id),
                        unit.get("Result"),
                        unit.get("ExecMainStatus")
                    ),
                    "what it should have swept or watched was left as it is",
                    Cure::command(format!("journalctl {option}-x -u {id}; systemctl {option}restart {id}")),
                ));
            }
        }
    }
    if sweeps {
        return;
    }
    let finding = if seen {
        Finding::new(
            Severity::Risk,
            found,
            NOTHING_SWEEPS,
            Cure::command("systemctl --user enable --now tmux-janitor.timer tmux-janitor-watch.service"),
        )
    } else if Systemd::is_here() {
        Finding::new(
            Severity::Risk,
            "the user's service manager does not answer".to_owned(),
            NOTHING_SWEEPS,
            Cure::advice(format!(
                "systemctl status user@{}.service; log in, then: systemctl --user enable --now tmux-janitor.timer",
                patient.user
            )),
        )
    } else {
        Finding::new(
            Severity::Risk,
            "systemd does not run here, and no timer of it".to_owned(),
            NOTHING_SWEEPS,
            Cure::command("(crontab -l; echo '*/10 * * * * tmux-janitor sweep -q') | crontab -"),
        )
    };
    findings.push(finding);
}
