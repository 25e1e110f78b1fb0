//! Servers inside a service's cgroup, which end with it; servers in a login that kills its processes.

use super::systemd::Manager;
use super::{Finding, Patient};
use crate::escape::escaped;

/// A unit that a process runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Home {
    unit: String,
    manager: Manager,
}

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    for (entry, pid) in patient.servers() {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let Some(Home { unit, manager }) = home(&text) else {
            continue;
        };
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
            format!("the server of {path} (pid {pid}) runs inside {}", escaped(&unit)),
            "systemd ends it with all its sessions when that service stops, is restarted, or has done its work",
            "start it with `tmux-janitor spawn NAME`, or with `systemd-run --user --scope --collect tmux …`",
        ));
    }
}

/// The service that a process is in, from `/proc/PID/cgroup`. `None`: a login, a scope, a manager.
fn home(text: &str) -> Option<Home> {
    let path = |prefix: &str| text.lines().find_map(|line| line.split_once(prefix)).map(|(_, path)| path);
    let path = path("0::").filter(|path| *path != "/").or_else(|| path(":name=systemd:"))?;
    let parts: Vec<&str> = path.split('/').collect();
    let kind = |part: &str| part.rsplit_once('.').map_or("", |(_, kind)| kind).to_owned();
    let at = parts.iter().rposition(|part| matches!(kind(part).as_str(), "service" | "scope"))?;
    let unit = parts[at];
    let is_manager = |part: &&str| part.starts_with("user@") && part.ends_with(".service");
    if kind(unit) == "scope" || is_manager(&unit) {
        return None;
    }
    let manager = if parts[..at].iter().any(is_manager) { Manager::User } else { Manager::System };
    Some(Home { unit: unit.to_owned(), manager })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_told_from_logins_and_scopes() {
        let of = |path: &str| {
            home(&format!("1:name=systemd:/x\n0::{path}\n")).map(|home| (home.unit, home.manager))
        };
        assert_eq!(of("/system.slice/a.service"), Some(("a.service".into(), Manager::System)));
        let user = "/user.slice/user-7.slice/user@7.service";
        assert_eq!(of(&format!("{user}/app.slice/b.service/sub")), Some(("b.service".into(), Manager::User)));
        assert_eq!(of(&format!("{user}/app.slice/run-1.scope")), None);
        assert_eq!(of(&format!("{user}/init.scope")), None);
        assert_eq!(of("/user.slice/user-7.slice/session-1.scope"), None);
        assert_eq!(home("0::/\n"), None);
    }
}
