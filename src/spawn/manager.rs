//! The service manager: whose it is, and starting a command under it, away from the unit that we run in.

use super::handover::{self, HAND_OVER, HandoverOrder, Reply};
use super::program;
use crate::host::apart;
use crate::host::cgroup::{self, Service};
use crate::host::child::{self, End, Ended};
use crate::host::descriptors;
use crate::host::held::HeldClient;
use crate::host::lasting::{full, runtime_dir};
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::text::io_text;
use tmux_sockets::kernel::{Mounts, Processes};

/// How long a manager and the client that it starts may take.
const SCOPE_DEADLINE: Duration = Duration::from_secs(6);

/// How long a manager may take to begin with a service, and how long a whole spawn may take there.
const SERVICE_DEADLINES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));

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

/// What one process of a unit that is killed for want of memory means for the others (systemd.service(5), `OOMPolicy=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Oom {
    /// They go on.
    Continue,
    /// Whatever the manager does by itself: it ends them all.
    AsItIs,
}

impl Manager {
    /// The manager that is responsible for `user` here.
    ///
    /// # Errors
    /// One sentence: there is none.
    pub(super) fn of(user: Uid, service: Option<&Service>) -> Result<Self, String> {
        let is_users = user != Uid::ROOT || service.is_some_and(|service| service.is_users);
        if !is_users {
            let is_booted = Path::new("/run/systemd/system").is_dir();
            return if is_booted {
                Ok(Self::System)
            } else {
                Err("systemd does not run this machine".into())
            };
        }
        let bus = runtime_dir(user).join("bus");
        if apart::answers(&bus) && bus.exists() {
            Ok(Self::User(user.raw()))
        } else {
            Err(format!(
                "no service manager of the user can be asked: there is no {} (`loginctl enable-linger` starts one at boot)",
                bus.display()
            ))
        }
    }

    fn environment(self) -> Option<(&'static str, PathBuf)> {
        match self {
            Self::User(user) => Some(("--user", runtime_dir(Uid::new(user)))),
            Self::System => None,
        }
    }

    /// `systemd-run`, started so that it dies with us.
    fn systemd_run(self, kind: Kind, unit: &str, oom: Oom) -> Result<Command, String> {
        // In our child /proc/self/exe is our own program, even if another file is at its path by now.
        let mut command = Command::new("/proc/self/exe");
        command.args([HAND_OVER, "--parent", &std::process::id().to_string()]);
        if kind == Kind::Scope {
            command.arg("--own");
        }
        command.arg("--");
        if let Some((option, dir)) = self.environment() {
            command.arg(option);
            command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}/bus", dir.display()));
            command.env("XDG_RUNTIME_DIR", dir);
        }
        command.args(["--quiet", "--collect", "--no-ask-password"]).arg(format!("--unit={unit}"));
        command.arg("--description=tmux server, started by tmux-janitor spawn");
        if oom == Oom::Continue {
            // One child that is killed for memory must not end the server and all its sessions.
            command.arg("--property=OOMPolicy=continue");
        }
        match kind {
            Kind::Scope => {
                command.arg("--scope");
            }
            // Type=forking: the command ends when the server runs, and the server is the service.
            Kind::Service => {
                let program = program::own(self.is_roots(), |path| self.finds_same(path))?;
                command.args(["--service-type=forking", "--property=TimeoutStartSec=55", "--pipe"]);
                // A scope's processes have them from us.
                command.args(descriptors::found().map(|limits| format!("--property=LimitNOFILE={limits}")));
                command.arg("--");
                command.arg(program).arg(handover::COMMAND);
            }
        }
        command.env_remove("NOTIFY_SOCKET");
        Ok(command)
    }

    fn is_roots(self) -> bool {
        match self {
            Self::User(user) => user == 0,
            Self::System => true,
        }
    }

    /// Whether it finds what we see at a path; `None`: that cannot be told.
    fn finds_same(self, path: &Path) -> Option<bool> {
        let processes = Processes::open().ok()?;
        let theirs = match self {
            Self::User(user) => processes.user_manager(Uid::new(user))?,
            Self::System => processes.by_pid(Pid::new(1)).filter(|_| !cgroup::has_own_processes())?,
        };
        let theirs = theirs.mounts()?;
        Some(theirs.place(path) == Mounts::read().place(path))
    }

    /// Starts a client in a scope that says a line and waits; it has said it, or has ended, or hangs. Before what it
    /// says on stderr stands what systemd-run said ([`handover::part`]). `Err`: the manager did not start it; one
    /// sentence.
    pub(super) fn hold(
        self,
        unit: &str,
        order: &HandoverOrder,
        patient: &mut dyn FnMut() -> bool,
    ) -> Result<HeldClient, String> {
        self.with_oom_policy(|oom| {
            let not_run = |error: io::Error| format!("systemd-run cannot be run: {}", io_text(&error));
            let mut command = self.systemd_run(Kind::Scope, unit, oom)?;
            let order = order.write().map_err(no_memory)?;
            let mut held = HeldClient::start_by(&mut command, order).map_err(not_run)?;
            held.await_line(SCOPE_DEADLINE, patient).map_err(not_run)?;
            match handover::part(&held.complaints()) {
                (_, Some(_)) => Ok(held),
                (said, None) => {
                    held.kill();
                    Err(not_started(said))
                }
            }
        })
    }

    /// Runs an order in a service. `Err`: the manager did not start it; one sentence.
    pub(super) fn run(self, unit: &str, order: &HandoverOrder) -> Result<Ended, String> {
        self.with_oom_policy(|oom| self.run_once(unit, order, oom))
    }

    fn with_oom_policy<T>(self, mut start: impl FnMut(Oom) -> Result<T, String>) -> Result<T, String> {
        let started = match start(Oom::Continue) {
            // A scope has OOMPolicy= since systemd 253.
            Err(error) if error.contains("OOMPolicy") => start(Oom::AsItIs),
            started => started,
        };
        started.map_err(|error| match self.environment().and_then(|(_, dir)| full(&dir)) {
            // For a full runtime directory the manager says "No such file or directory".
            Some(full) => format!("{error}; {full}, and without one the service manager starts nothing"),
            None => error,
        })
    }

    fn run_once(self, unit: &str, order: &HandoverOrder, oom: Oom) -> Result<Ended, String> {
        let not_run = |error: io::Error| format!("systemd-run cannot be run: {}", io_text(&error));
        let mut command = self.systemd_run(Kind::Service, unit, oom)?;
        let order = order.write().map_err(no_memory)?;
        let file = child::memory_file().map_err(no_memory)?;
        let streams = (order, file.try_clone().map_err(no_memory)?);
        let said =
            child::run_until(&mut command, streams, handover::TOLD, SERVICE_DEADLINES).map_err(not_run)?;
        match Reply::read(&file).map_err(no_memory)? {
            Reply::None => Err(not_started(&said)),
            Reply::Began => Ok(Ended { end: End::GivenUp, out: Vec::new(), err: Vec::new() }),
            Reply::Ended(ended) => Ok(ended),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn no_memory(error: io::Error) -> String {
    format!("no order can be handed over: {}", io_text(&error))
}

fn not_started(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let said = said.trim();
    let said = if said.is_empty() { "the service manager did not answer in time" } else { said };
    format!("systemd-run could not start it: {said}")
}

impl Kind {
    /// A telling name for a unit: whose server it holds and who started it. tmux calls those of its own panes
    /// `tmux-spawn-UUID.scope`, and people end what is called so.
    pub(super) fn unit(self, label: &OsStr, serial: u32) -> String {
        let mut name = String::from("tmux-janitor-");
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

/// Our whole environment without what a tmux server must not inherit.
pub(super) fn environment() -> Vec<OsString> {
    let kept = |name: &OsStr| !crate::host::client::NOT_INHERITED.iter().any(|gone| name == *gone);
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
        assert_eq!(
            Kind::Scope.unit(OsStr::new("spawn-build"), 1),
            format!("tmux-janitor-spawn-build-{pid}.scope")
        );
        assert_eq!(
            Kind::Service.unit(OsStr::new("a b@"), 2),
            format!("tmux-janitor-a\\x20b\\x40-{pid}-2.service")
        );
        assert!(Kind::Scope.unit(OsStr::new(&"x ".repeat(150)), 2).len() <= 255);
    }
}
