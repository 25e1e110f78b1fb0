//! What a server's life depends on besides itself: the user's service manager, a login, the room that a manager needs.

use super::apart;
use super::cgroup;
use super::child::{self, End};
use super::program;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Uid;
use tmux_sockets::tmux::paths;

/// How long logind may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);

/// Where logind's settings may be (logind.conf(5)).
const SETTINGS: [&str; 4] = ["/etc", "/run", "/usr/local/lib", "/usr/lib"];

/// Which part of a user's slice a process is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// The user's service manager and what it started.
    Manager,
    Login,
    /// No part of it.
    Elsewhere,
}

/// Where a process is.
pub(crate) fn home(pid: Pid) -> Home {
    home_of(&std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default())
}

fn home_of(text: &str) -> Home {
    let is = |start: &str, end: &str| {
        text.lines()
            .flat_map(|line| line.split('/'))
            .any(|part| part.starts_with(start) && part.ends_with(end))
    };
    if is("user@", ".service") {
        Home::Manager
    } else if is("session-", ".scope") {
        Home::Login
    } else {
        Home::Elsewhere
    }
}

/// Why a server ends when its user logs out, in a sentence; `None`: it does not.
pub(crate) fn ends_with(pid: Pid, user: Uid) -> Option<String> {
    let home = home(pid);
    if home == Home::Elsewhere {
        return None;
    }
    let name = crate::host::user_database::user(user).ok().flatten()?.name;
    match home {
        Home::Manager if !lingers(&name) => Some(format!(
            "the session ends with the last logout of {name}, who does not linger: `loginctl enable-linger` keeps the service manager that holds it"
        )),
        Home::Login if kills_processes(&name) => Some(
            "the session ends with this login, since logind has KillUserProcesses=yes: `--scope always` starts it outside of the login".to_owned(),
        ),
        Home::Manager | Home::Login | Home::Elsewhere => None,
    }
}

/// Whether logind starts the user's manager at boot and keeps it (`loginctl enable-linger`).
pub(crate) fn lingers(name: &str) -> bool {
    Path::new("/var/lib/systemd/linger").join(name).exists()
}

/// Whether logind ends what a login of that user has started when the login ends (`KillUserProcesses=`). It is asked
/// only where its settings say so: they are quick to read, and what it has read of them it alone knows.
pub(crate) fn kills_processes(name: &str) -> bool {
    if !is_set() {
        return false;
    }
    let properties = ["KillUserProcesses", "KillOnlyUsers", "KillExcludeUsers"];
    let mut command = program::named("loginctl".as_ref());
    command.args(properties.map(|property| format!("--property={property}"))).arg("show-session");
    let Ok(ended) = child::run(command.env("LC_ALL", "C"), DEADLINE) else {
        return true;
    };
    let text = String::from_utf8_lossy(&ended.out);
    ended.end != End::Code(0) || kills(&text, name)
}

/// What `loginctl show-session` says, without a session.
fn kills(text: &str, name: &str) -> bool {
    let value =
        |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or("");
    let names = |key| value(key).split(' ').filter(|name| !name.is_empty()).collect::<Vec<_>>();
    let (only, never) = (names("KillOnlyUsers"), names("KillExcludeUsers"));
    value("KillUserProcesses") == "yes" && !never.contains(&name) && (only.is_empty() || only.contains(&name))
}

/// Whether any of logind's settings says so.
fn is_set() -> bool {
    SETTINGS.iter().map(|root| Path::new(root).join("systemd")).any(|root| {
        let drop_ins = std::fs::read_dir(root.join("logind.conf.d")).into_iter().flatten();
        let drop_ins = drop_ins.filter_map(|entry| Some(entry.ok()?.path()));
        drop_ins
            .chain([root.join("logind.conf")])
            .any(|file| std::fs::read_to_string(file).is_ok_and(|text| text.lines().any(says_kill)))
    })
}

fn says_kill(line: &str) -> bool {
    let value = line.trim().strip_prefix("KillUserProcesses").map(str::trim_start);
    let value = value.and_then(|rest| rest.strip_prefix('=')).map(|value| value.trim().to_ascii_lowercase());
    value.is_some_and(|value| matches!(value.as_str(), "yes" | "y" | "true" | "t" | "on" | "1"))
}

/// Where a user's manager has its sockets and the units that are made at run time, whatever the environment says.
pub(crate) fn runtime_dir(user: Uid) -> PathBuf {
    paths::runtime_dir(user)
}

/// What a file system lacks, if it is full.
pub(crate) fn full(dir: &Path) -> Option<String> {
    let facts = apart::answers(dir).then(|| rustix::fs::statvfs(dir).ok()).flatten()?;
    let lacks = if facts.f_files > 0 && facts.f_favail == 0 {
        "inode"
    } else if facts.f_blocks > 0 && facts.f_bavail == 0 {
        "block"
    } else {
        return None;
    };
    Some(format!("{} is full: no {lacks} is free there", dir.display()))
}

/// Why a session has no unit of its own, and what that means. `unit`: the service that we run in.
pub(crate) fn without_a_scope(why: &str) -> String {
    match cgroup::own() {
        Some(service) => format!("{why}; the session will end with {}", service.unit),
        None => why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_told_from_a_login() {
        assert_eq!(home_of("0::/user.slice/user-7.slice/user@7.service/app.slice/x.scope\n"), Home::Manager);
        assert_eq!(home_of("0::/user.slice/user-7.slice/session-c1.scope\n"), Home::Login);
        assert_eq!(home_of("0::/system.slice/x.scope\n"), Home::Elsewhere);
        assert_eq!(home_of(""), Home::Elsewhere);
    }

    #[test]
    fn logind_may_spare_some() {
        let says = |only: &str, never: &str| {
            kills(&format!("KillOnlyUsers={only}\nKillExcludeUsers={never}\nKillUserProcesses=yes\n"), "ann")
        };
        assert!(says("", "") && says("bob ann", "root"));
        assert!(!says("bob", "") && !says("", "root ann") && !kills("KillUserProcesses=no\n", "ann"));
    }

    #[test]
    fn settings_are_read_as_systemd_reads_them() {
        for line in ["KillUserProcesses=yes", " KillUserProcesses = True ", "KillUserProcesses=1"] {
            assert!(says_kill(line), "{line}");
        }
        for line in
            ["#KillUserProcesses=yes", "KillUserProcesses=no", "KillUserProcesses", "KillUserProcessesX=yes"]
        {
            assert!(!says_kill(line), "{line}");
        }
    }

    #[test]
    fn a_file_system_that_has_room_is_not_full() {
        assert_eq!(full(Path::new("/proc/self")), None);
        assert_eq!(full(Path::new("/nothing here")), None);
    }
}
