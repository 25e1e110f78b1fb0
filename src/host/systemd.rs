//! Asking systemd's tools, each with a deadline; what does not answer is not asked twice.

use super::apart;
use super::child::{self, End};
use super::program;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tmux_sockets::kernel::Uid;

/// How long a tool may take. A manager that is busy answers in a second; one that hangs never does.
const DEADLINE: Duration = Duration::from_secs(10);

/// What systemctl says, with exit code 0 and nothing on stdout, where it takes its root directory for a chroot: a container
/// that sees the host's processes, such as distrobox.
const IGNORED: &[u8] = b"Running in chroot, ignoring";

/// Whose units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instance {
    User,
    System,
}

/// The properties of one unit, as `systemctl show` prints them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit(Vec<(String, String)>);

/// The way to systemd's tools.
#[derive(Debug)]
pub(crate) struct Systemd {
    runtime_dir: Option<PathBuf>,
    silence: Cell<Option<Silence>>,
}

/// Why nothing more is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// A tool did not answer in time.
    Late,
    /// systemctl takes this for a chroot.
    Chroot,
}

impl Systemd {
    /// For the managers of the system and of `user`.
    pub(crate) fn new(user: Uid, runtime_dir: Option<PathBuf>) -> Self {
        // `su` and `sudo` leave it unset; the manager is there all the same.
        let usual = PathBuf::from(format!("/run/user/{user}"));
        let runtime_dir = runtime_dir.or_else(|| (apart::answers(&usual) && usual.is_dir()).then_some(usual));
        Self { runtime_dir, silence: Cell::new(None) }
    }

    /// What a tool prints if it succeeds.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Option<String> {
        if self.silence.get() == Some(Silence::Late) {
            return None;
        }
        let ended = child::run(&mut self.command(program, arguments), DEADLINE).ok()?;
        if ended.end == End::GivenUp {
            self.silence.set(Some(Silence::Late));
        } else if ended.err.starts_with(IGNORED) {
            self.silence.set(Some(Silence::Chroot));
            return None;
        }
        (ended.end == End::Code(0)).then(|| String::from_utf8_lossy(&ended.out).into_owned())
    }

    /// A tool that is to do something, in the environment in which it finds the managers.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = program::named(program.as_ref());
        command.args(arguments).env("LC_ALL", "C").env("SYSTEMD_PAGER", "").env("SYSTEMD_COLORS", "0");
        if let Some(dir) = &self.runtime_dir {
            command.env("XDG_RUNTIME_DIR", dir);
        }
        command
    }

    /// `systemctl` for one of the managers.
    pub(crate) fn systemctl(&self, manager: Instance, arguments: &[&str]) -> Option<String> {
        let scope = match manager {
            Instance::User => "--user",
            Instance::System => "--system",
        };
        self.run("systemctl", &[&[scope, "--no-pager"], arguments].concat())
    }

    /// Why a tool gave no answer, if one gave none.
    pub(crate) fn silence(&self) -> Option<Silence> {
        self.silence.get()
    }

    /// Properties of units; a unit that does not exist has the `LoadState` `not-found`. `None`: the
    /// manager does not answer.
    pub(crate) fn show(&self, manager: Instance, units: &[&str], properties: &str) -> Option<Vec<Unit>> {
        let property = format!("--property={properties}");
        let text = self.systemctl(manager, &[&["show", &property, "--"], units].concat())?;
        // Each unit that is asked for has its answer.
        Some(parse(&text)).filter(|told| told.len() == units.len())
    }

    /// A variable of the environment that the user manager gives its units; empty if it is not set.
    pub(crate) fn environment(&self, name: &str) -> Option<String> {
        let text = self.systemctl(Instance::User, &["show-environment"])?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=').map(unquoted));
        Some(value.unwrap_or_default())
    }

    /// Whether systemd runs this machine (what `sd_booted` looks at).
    pub(crate) fn is_here() -> bool {
        Path::new("/run/systemd/system").is_dir()
    }
}

impl Unit {
    /// A property; empty if it has none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

fn parse(text: &str) -> Vec<Unit> {
    let unit = |block: &str| {
        let pairs = block.lines().filter_map(|line| line.split_once('='));
        Unit(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    };
    text.split("\n\n").filter(|block| !block.trim().is_empty()).map(unit).collect()
}

/// show-environment writes `$'…'` around what a shell would not take as it is.
fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix("$'").and_then(|value| value.strip_suffix('\''));
    inner.map_or_else(|| value.to_owned(), |inner| inner.replace("\\'", "'").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_apart() {
        let units = parse("Id=a.timer\nLoadState=loaded\n\nLoadState=not-found\nId=b=c.timer\n");
        assert_eq!(units.len(), 2);
        assert_eq!((units[0].get("LoadState"), units[1].get("Id")), ("loaded", "b=c.timer"));
        assert_eq!(units[0].get("Result"), "");
        assert_eq!(unquoted("$'/a b\\'c'"), "/a b'c");
        assert_eq!(unquoted("/tmp"), "/tmp");
    }
}
