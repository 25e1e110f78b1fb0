//! The service manager: whether it is there, what it lets units have, and having it start and stop ours.

use super::TIMER;
use crate::host::child::{self, End};
use crate::host::systemd::{Instance, Systemd, Unit};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tmux_sockets::kernel::escape::escaped_bytes;
use tmux_sockets::kernel::text::io_text;
use tmux_sockets::kernel::{Pid, Processes, Uid};

/// The oldest systemd that the units are promised for: README.md.
const OLDEST_SYSTEMD: u32 = 252;

/// How long starting or stopping may take: a sweep that is under way is waited for, a minute at most.
const DEADLINE: Duration = Duration::from_secs(90);

/// Where units for all users are (systemd.unit(5), user unit search path).
const OF_ALL_USERS: [&str; 6] = [
    "/etc/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/local/share/systemd/user",
    "/usr/share/systemd/user",
    "/usr/lib/systemd/user",
    "/lib/systemd/user",
];

/// The daemon's unit.
pub(super) const WATCHER: &str = "tmux-janitor-watch.service";

/// All that can be enabled.
const UNITS: [&str; 3] = [TIMER, "tmux-janitor.service", WATCHER];

/// Who would start the units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The user's manager answers.
    Runs,
    /// systemd runs this machine, and no manager of this user answers.
    Silent,
    /// It is installed and does not run.
    Asleep,
    /// There is none.
    Missing,
}

/// The user's service manager.
#[derive(Debug)]
pub(super) struct UserManager {
    systemd: Systemd,
    user: Uid,
    pub state: State,
    version: Option<u32>,
    /// Where it looks for units, with blanks between.
    pub unit_path: Option<String>,
}

/// Why the sweep's sandbox cannot be had whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// This version of systemd is too old.
    OldSystemd(u32),
    /// Users may not make user namespaces.
    Refused,
}

impl Needs {
    pub(super) fn sentence(self) -> String {
        match self {
            // Seen with 247 of Debian 11: a user manager cannot mount /proc for the unit, "Operation not permitted".
            Self::OldSystemd(version) => format!(
                "systemd here is {version}, and the units are made for {OLDEST_SYSTEMD} or newer: in its sandbox tmux-janitor.service would end with 226/NAMESPACE, so a drop-in takes that part out of it. tmux-janitor-watch.service works as it is."
            ),
            Self::Refused => "This system refuses user namespaces to users: a drop-in takes that part of the sandbox out of tmux-janitor.service.".to_owned(),
        }
    }
}

/// Where the units for all users are, if they are there: of a package, or put there by root.
pub(super) fn packaged() -> Option<PathBuf> {
    let has = |folder: &&Path| UNITS.iter().take(2).all(|unit| folder.join(unit).is_file());
    OF_ALL_USERS.iter().map(Path::new).find(has).map(Path::to_owned)
}

impl UserManager {
    pub(super) fn look(user: Uid) -> Self {
        let runtime_dir =
            std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let systemd = Systemd::new(user, runtime_dir);
        let version = systemd.run("systemctl", &["--version"]).and_then(|text| version(&text));
        let unit_path =
            version.and_then(|_| systemd.systemctl(Instance::User, &["show", "--property=UnitPath"]));
        let state = match version {
            None => State::Missing,
            Some(_) if unit_path.is_some() => State::Runs,
            Some(_) if Systemd::is_here() => State::Silent,
            Some(_) => State::Asleep,
        };
        let unit_path = unit_path.and_then(|text| Some(text.trim().strip_prefix("UnitPath=")?.to_owned()));
        Self { systemd, user, state, version, unit_path }
    }

    /// Whether the sweep needs the drop-in, and why. A manager that runs is asked itself.
    pub(super) fn needs_less_of_a_sandbox(&self) -> Option<Needs> {
        let version = self.version?;
        if version < OLDEST_SYSTEMD {
            return Some(Needs::OldSystemd(version));
        }
        let unshare = ["unshare", "--map-root-user", "--mount", "true"];
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        let words = match self.state {
            State::Runs => [
                "systemd-run",
                "--user",
                "--quiet",
                "--collect",
                "--wait",
                "--property=PrivateUsers=yes",
                "--property=ProtectSystem=strict",
                "true",
            ]
            .to_vec(),
            _ if self.user == Uid::ROOT => [&nobody[..], &unshare].concat(),
            _ => unshare.to_vec(),
        };
        let mut ask = self.systemd.command(words[0], &words[1..]);
        match child::run(&mut ask, DEADLINE) {
            Ok(ended) if ended.end == End::Code(0) => None,
            Ok(_) | Err(_) => Some(Needs::Refused),
        }
    }

    /// Has the files read anew.
    ///
    /// # Errors
    /// One sentence.
    pub(super) fn reload(&self) -> Result<(), String> {
        self.order(&["daemon-reload"])
    }

    /// Enables the timer, and starts it where the manager runs. Whether anything was changed.
    ///
    /// # Errors
    /// One sentence.
    pub(super) fn enable(&self) -> Result<bool, String> {
        match self.state {
            State::Runs => {
                let is_on = self.timer_is_on();
                if !is_on {
                    self.order(&["enable", "--now", TIMER])?;
                }
                Ok(!is_on)
            }
            State::Silent | State::Asleep => self.order(&["enable", TIMER]).map(|()| true),
            State::Missing => Ok(false),
        }
    }

    /// Whether the timer is enabled, and runs.
    pub(super) fn timer_is_on(&self) -> bool {
        let told = self.systemd.show(Instance::User, &[TIMER], "UnitFileState,ActiveState");
        let is_on =
            |unit: &Unit| unit.get("UnitFileState") == "enabled" && unit.get("ActiveState") == "active";
        self.state == State::Runs && told.iter().flatten().any(is_on)
    }

    /// Has the watcher start anew, if it runs and its unit `has_changed` or it runs another program than this. Whether it
    /// was so. The oneshot sweep takes the new program by itself.
    ///
    /// # Errors
    /// One sentence.
    pub(super) fn renew_watcher(&self, has_changed: bool) -> Result<bool, String> {
        let told = self.systemd.show(Instance::User, &[WATCHER], "ActiveState,MainPID");
        let Some(unit) = told.and_then(|units| units.into_iter().next()) else { return Ok(false) };
        if unit.get("ActiveState") != "active" {
            return Ok(false);
        }
        let processes = Processes::open().ok();
        let own = processes.as_ref().and_then(|all| all.own()?.program_id());
        let its = unit.get("MainPID").parse().ok();
        let its = its.and_then(|pid: Pid| processes.as_ref()?.by_pid(pid)?.program_id());
        if !has_changed && own == its {
            return Ok(false);
        }
        self.order(&["try-restart", WATCHER]).map(|()| true)
    }

    /// Stops and disables all that are ours.
    ///
    /// # Errors
    /// One sentence.
    pub(super) fn disable(&self) -> Result<(), String> {
        match self.state {
            State::Runs => self.order(&[&["disable", "--now"][..], &UNITS].concat()),
            State::Silent | State::Asleep => self.order(&[&["disable"][..], &UNITS].concat()),
            State::Missing => Ok(()),
        }
    }

    fn order(&self, words: &[&str]) -> Result<(), String> {
        let mut command = self.systemd.command("systemctl", &[&["--user", "--quiet"], words].concat());
        if self.state != State::Runs {
            // It makes the links by itself then, and beside the units.
            command.env("SYSTEMD_OFFLINE", "1").env_remove("XDG_CONFIG_HOME");
        }
        done(&mut command).map_err(|why| format!("systemctl --user {}: {why}", words.join(" ")))
    }
}

fn done(command: &mut Command) -> Result<(), String> {
    let ended = child::run(command, DEADLINE).map_err(|error| io_text(&error))?;
    let said = escaped_bytes(ended.err.trim_ascii()).to_string();
    match ended.end {
        End::Code(0) => Ok(()),
        End::GivenUp => Err(format!("it did not end within {} seconds", DEADLINE.as_secs())),
        End::Code(_) | End::Signal(_) if !said.is_empty() => Err(said),
        End::Code(code) => Err(format!("exit code {code}")),
        End::Signal(signal) => Err(format!("killed by signal {signal}")),
    }
}

/// `systemd 252 (252.38-1~deb12u1)`.
fn version(text: &str) -> Option<u32> {
    let rest = text.strip_prefix("systemd ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read() {
        assert_eq!(version("systemd 252 (252.38-1~deb12u1)\n+PAM"), Some(252));
        assert_eq!(version("systemd 258~rc1 (x)"), Some(258));
        assert_eq!(version("elogind 252"), None);
    }
}
