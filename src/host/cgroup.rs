//! Which unit we run in, as `/proc/self/cgroup` (cgroups(7)) tells it. Pure but for what reads it.

use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Processes;

/// A systemd service that a process runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// Its name.
    pub(crate) unit: String,
    /// Whether it belongs to a user's manager.
    pub(crate) is_users: bool,
}

/// The service that we run in. `None`: a login, a scope, a machine without systemd.
pub(crate) fn own() -> Option<Service> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    service_of(&text).or_else(|| is_top(&text).then(nameless).flatten())
}

/// Whether process 1, as far as it can be seen, is one of the service that we run in: `PrivatePIDs=`.
pub(crate) fn has_own_processes() -> bool {
    let [own, first] = ["self", "1"].map(|pid| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok());
    let (Some(own), Some(first)) = (own, first) else { return false };
    service_of(&own).map_or_else(
        || is_top(&own) && first == own && nameless().is_some(),
        |service| service_of(&first) == Some(service),
    )
}

/// Whether the cgroup is called `/`: a namespace hides what it is called outside.
fn is_top(text: &str) -> bool {
    !text.is_empty() && text.lines().all(|line| line.ends_with(":/"))
}

/// The service that we run in where its cgroup has no name (`ProtectControlGroups=strict`): we descend from the process
/// that systemd says it has started (systemd.exec(5), `$SYSTEMD_EXEC_PID`). The variable alone proves nothing: whatever
/// a unit starts hands it on.
fn nameless() -> Option<Service> {
    let started: Pid = std::env::var("SYSTEMD_EXEC_PID").ok()?.parse().ok()?;
    let processes = Processes::open().ok()?;
    let mut pid = Pid::new(rustix::process::getpid().as_raw_nonzero().get());
    while pid != started {
        pid = processes.by_pid(pid)?.stat()?.parent;
    }
    // Only a user's manager names itself.
    Some(Service { unit: "this unit".to_owned(), is_users: std::env::var_os("MANAGERPID").is_some() })
}

/// Whether a process is in a unit.
pub(crate) fn is_in(pid: Pid, unit: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup"))
        .is_ok_and(|text| text.lines().any(|line| line.split('/').any(|part| part == unit)))
}

/// The service that a process with this `/proc/PID/cgroup` runs in.
pub(crate) fn service_of(text: &str) -> Option<Service> {
    let path = |prefix: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(prefix));
        lines.find_map(|(_, path)| path.starts_with('/').then_some(path))
    };
    // cgroup v2, or systemd's own hierarchy beside v1; where both are there, one of them is "/".
    let paths = [path("0::"), path(":name=systemd:")];
    paths.into_iter().flatten().find_map(service_of_path)
}

/// The innermost unit that a process runs in, service or scope. `None`: it is in none, or that cannot be read from here.
pub(crate) fn unit_of_process(pid: Pid) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    unit_of(&text).map(|(unit, _)| unit)
}

/// The kind of a unit: what follows the last point of its name.
pub(crate) fn kind_of(unit: &str) -> &str {
    unit.rsplit_once('.').map_or("", |(_, kind)| kind)
}

/// The unit that a process with this `/proc/PID/cgroup` runs in, service or scope, and whether it is a user's.
pub(crate) fn unit_of(text: &str) -> Option<(String, bool)> {
    let unit = |line: &str| {
        let parts: Vec<&str> = line.split('/').collect();
        let is_unit = |part: &&&str| matches!(kind_of(part), "service" | "scope");
        let (unit, above) = (parts.iter().rev().find(is_unit)?, &parts[..parts.len() - 1]);
        let is_users = above.iter().any(|part| part.starts_with("user@") && part != unit);
        Some(((*unit).to_owned(), is_users))
    };
    text.lines().find_map(unit)
}

fn service_of_path(path: &str) -> Option<Service> {
    let parts: Vec<&str> = path.split('/').collect();
    let kind = |part: &str| part.rsplit_once('.').map(|(_, kind)| kind.to_owned());
    let is_unit = |part: &&&str| matches!(kind(part).as_deref(), Some("service" | "scope"));
    let unit = parts.iter().rev().find(is_unit)?;
    let is_manager = |part: &str| part.starts_with("user@") && part.ends_with(".service");
    if kind(unit).as_deref() == Some("scope") || is_manager(unit) {
        return None;
    }
    Some(Service { unit: (*unit).to_owned(), is_users: parts.iter().any(|part| is_manager(part)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_known_by_its_manager() {
        let unit = |text: &str, name: &str, users| assert_eq!(unit_of(text), Some((name.to_owned(), users)));
        unit("0::/user.slice/user-7.slice/user@7.service/app.slice/x.scope\n", "x.scope", true);
        unit("0::/user.slice/user-7.slice/user@7.service/app.slice/a.service/sub\n", "a.service", true);
        unit("0::/user.slice/user-7.slice/session-1.scope\n", "session-1.scope", false);
        unit("0::/user.slice/user-7.slice/user@7.service\n", "user@7.service", false);
        assert_eq!(unit_of("0::/\n"), None);
    }

    #[test]
    fn services_are_told_from_logins_and_scopes() {
        let unit = |text: &str| service_of(text).map(|service| (service.unit, service.is_users));
        assert_eq!(unit("0::/system.slice/a.service\n"), Some(("a.service".into(), false)));
        assert_eq!(unit("0::/system.slice/a.service/child\n"), Some(("a.service".into(), false)));
        let users = "0::/user.slice/user-7.slice/user@7.service/app.slice/b.service\n";
        assert_eq!(unit(users), Some(("b.service".into(), true)));
        assert_eq!(unit("9:name=systemd:/system.slice/c.service\n0::/\n"), Some(("c.service".into(), false)));
        for text in [
            "0::/user.slice/user-7.slice/session-1.scope\n",
            "0::/user.slice/user-7.slice/user@7.service/init.scope\n",
            "0::/user.slice/user-7.slice/user@7.service/app.slice/x.scope\n",
            "0::/\n",
            "",
        ] {
            assert_eq!(unit(text), None, "{text}");
        }
    }
}
