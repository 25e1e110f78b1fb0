//! The service manager: whose it is, and starting a command under it, away from the unit that we run in.

use super::cgroup::Service;
use super::handover::{Handover, Order, Progress};
use crate::child::{self, End, Ended};
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// How long a manager and the client that it starts may take.
const SCOPE_DEADLINE: Duration = Duration::from_secs(6);

/// How long a whole spawn may take outside.
const SERVICE_DEADLINE: Duration = Duration::from_secs(60);

/// A manager that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    /// The user's: their uid.
    User(u32),
    /// The machine's, which only root may ask.
    System,
}

/// How a unit is to run the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// In our surroundings (environment, mounts), in a cgroup of its own.
    Scope,
    /// In the manager's surroundings.
    Service,
}

impl Manager {
    /// The manager that is responsible for `user` here.
    ///
    /// # Errors
    /// One sentence: there is none.
    pub(super) fn of(user: u32, service: Option<&Service>) -> Result<Self, String> {
        let is_users = user != 0 || service.is_some_and(|service| service.is_users);
        if !is_users {
            let is_booted = std::path::Path::new("/run/systemd/system").is_dir();
            return if is_booted {
                Ok(Self::System)
            } else {
                Err("systemd does not run this machine".into())
            };
        }
        let bus = runtime_dir(user).join("bus");
        if bus.exists() {
            Ok(Self::User(user))
        } else {
            Err(format!(
                "no service manager of the user can be asked: there is no {} (`loginctl enable-linger` starts one at boot)",
                bus.display()
            ))
        }
    }

    fn systemd_run(self, kind: Kind, unit: &str) -> Command {
        let mut command = Command::new("systemd-run");
        if let Self::User(user) = self {
            let dir = runtime_dir(user);
            command.arg("--user").env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}/bus", dir.display()));
            command.env("XDG_RUNTIME_DIR", dir);
        }
        command.args(["--quiet", "--collect", "--no-ask-password"]).arg(format!("--unit={unit}"));
        command.arg("--description=tmux server, started by tmux-janitor spawn");
        match kind {
            Kind::Scope => command.arg("--scope"),
            // The command ends when the server runs; what is left then is the service.
            Kind::Service => command.args(["--service-type=forking", "--property=TimeoutStartSec=55"]),
        };
        command
    }

    /// Runs an order in a unit. `Err`: the manager did not start it; one sentence.
    pub(super) fn run(
        self,
        kind: Kind,
        unit: &str,
        order: &Order,
        patient: &mut dyn FnMut() -> bool,
    ) -> Result<Ended, String> {
        let no_memory = |error: io::Error| format!("no order can be handed over: {error}");
        let handover = Handover::new(order).map_err(no_memory)?;
        let mut command = self.systemd_run(kind, unit);
        command.arg("--").args(handover.command()).env_remove("NOTIFY_SOCKET");
        let deadline = if kind == Kind::Scope { SCOPE_DEADLINE } else { SERVICE_DEADLINE };
        let ended = child::run_patiently(&mut command, deadline, patient)
            .map_err(|error| format!("systemd-run cannot be run: {error}"))?;
        let end = match (handover.progress(), ended.end) {
            (Progress::Ended(code), _) => End::Code(code),
            (_, End::GivenUp) => End::GivenUp,
            (Progress::Began, end) => end,
            (Progress::None, _) => {
                let said = String::from_utf8_lossy(&ended.err);
                return Err(format!("systemd-run could not start it: {}", said.trim()));
            }
        };
        let read = |file| child::contents(file).map_err(no_memory);
        Ok(Ended { end, out: read(&handover.out)?, err: read(&handover.err)? })
    }
}

impl Kind {
    /// A telling name for a unit: whose server it holds and who started it.
    pub(super) fn unit(self, label: &OsStr, serial: u32) -> String {
        let mut name = String::from("tmux-");
        for byte in label.as_bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => name.push(char::from(*byte)),
                // As systemd-escape(1) writes it.
                byte => {
                    // Writing to a String cannot fail.
                    let _ = write!(name, "\\x{byte:02x}");
                }
            }
        }
        let ending = if self == Self::Scope { "scope" } else { "service" };
        // 255 bytes in all (systemd.unit(5)).
        name.truncate(200);
        let pid = std::process::id();
        if serial > 1 { format!("{name}-{pid}-{serial}.{ending}") } else { format!("{name}-{pid}.{ending}") }
    }
}

/// Where a user's bus is, whatever the environment says.
pub(super) fn runtime_dir(user: u32) -> PathBuf {
    PathBuf::from(format!("/run/user/{user}"))
}

/// Our whole environment without what a tmux server must not inherit.
pub(super) fn environment() -> Vec<OsString> {
    let kept = |name: &OsStr| !crate::tmux::client::NOT_INHERITED.iter().any(|gone| name == *gone);
    std::env::vars_os()
        .filter(|(name, _)| kept(name))
        .map(|(mut variable, value)| {
            variable.push("=");
            variable.push(value);
            variable
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_have_telling_names() {
        let pid = std::process::id();
        assert_eq!(Kind::Scope.unit(OsStr::new("spawn-build"), 1), format!("tmux-spawn-build-{pid}.scope"));
        assert_eq!(Kind::Service.unit(OsStr::new("a b@"), 2), format!("tmux-a\\x20b\\x40-{pid}-2.service"));
        assert!(Kind::Scope.unit(OsStr::new(&"x ".repeat(150)), 2).len() <= 255);
    }
}
