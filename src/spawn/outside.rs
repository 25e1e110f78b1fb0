//! Whether a socket directory is the one that the user sees outside of the unit we run in, and going
//! there where it is not.
//!
//! With `PrivateTmp=` and the like a server would start, answer, and be a ghost for everybody else. Then
//! the whole spawn runs once more in a transient service of the manager, where the user is.

use super::handover::{self, HandoverOrder};
use super::manager::{self, Kind, Manager};
use crate::host::apart::guard;
use crate::host::cgroup::{self, Service};
use crate::host::child::{End, Ended};
use crate::host::client::OUTSIDE;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::Mounts;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::{Processes, UserManager};

/// How a server here looks from outside of the unit that we run in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    /// Others see the directory.
    Shared,
    /// They see another one, because of this.
    Hidden(String),
    /// They see it, but nothing outlives the unit, whatever cgroup it is in: because of this.
    Mortal(String),
    /// There is somebody outside, and what they see cannot be told.
    Unknown,
}

/// What is outside of our unit.
#[derive(Debug)]
enum OutsideUnit {
    Seen(Mounts),
    /// A manager that `/proc` does not show here.
    Hidden,
    /// No manager, and process 1 is not seen, either.
    Nothing,
}

/// How a server in `dir` looks from outside.
///
/// The user manager of systemd 257 has a capability that its user has not: the links `ns/mnt` and `root` of its
/// process are closed. Its list of mounts is open to everybody who sees the process (`proc_pid_mountinfo(5)`), and
/// where two processes see the same place of the same file system at a path, they see the same directory. Where
/// not even that can be seen (`ProtectProc=`, `PrivatePIDs=`) the manager is asked to look.
pub(super) fn view(dir: &Path, service: &Service, user: Uid, manager: Option<Manager>) -> View {
    let unit = &service.unit;
    let ours = Mounts::read();
    let is_private = ours.covering(dir).is_some_and(|mount| {
        mount.root.iter().any(|part| part.as_encoded_bytes().starts_with(b"systemd-private-"))
    });
    if is_private {
        return View::Hidden(format!("PrivateTmp= of {unit}"));
    }
    let is_mortal = cgroup::has_own_processes();
    let mortal = || View::Mortal(format!("PrivatePIDs= of {unit}"));
    let is_shared = match outside(service, user, manager, is_mortal) {
        OutsideUnit::Nothing => Some(true),
        OutsideUnit::Seen(theirs) => Some(ours.place(dir) == theirs.place(dir)),
        // It will be started by the manager anyway: no need to know what the manager sees.
        OutsideUnit::Hidden if is_mortal && manager.is_some() => return mortal(),
        OutsideUnit::Hidden => manager.and_then(|manager| is_seen_by(manager, dir)),
    };
    match is_shared {
        None => View::Unknown,
        Some(true) if is_mortal => mortal(),
        Some(true) => View::Shared,
        Some(false) => View::Hidden(format!(
            "the mount namespace of {unit}: PrivateTmp=, TemporaryFileSystem=, BindPaths=, RootDirectory= or the like"
        )),
    }
}

/// What is outside: the manager that is responsible for us, or where the user has none, process 1. Which is one of
/// our own unit where `is_mortal`.
fn outside(service: &Service, user: Uid, manager: Option<Manager>, is_mortal: bool) -> OutsideUnit {
    let Ok(processes) = Processes::open() else {
        return if manager.is_some() { OutsideUnit::Hidden } else { OutsideUnit::Nothing };
    };
    let first = || processes.by_pid(Pid::new(1)).filter(|_| !is_mortal).and_then(|process| process.mounts());
    if user == Uid::ROOT && !service.is_users {
        return first().map_or(OutsideUnit::Hidden, OutsideUnit::Seen);
    }
    match processes.find_user_manager(user) {
        UserManager::Seen(process) => process.mounts().map_or(OutsideUnit::Hidden, OutsideUnit::Seen),
        UserManager::Hidden => OutsideUnit::Hidden,
        // We can reach the manager, so it exists, even if no process of it is seen.
        UserManager::Absent if manager.is_some() => OutsideUnit::Hidden,
        UserManager::Absent => first().map_or(OutsideUnit::Nothing, OutsideUnit::Seen),
    }
}

/// Whether a manager sees the same directory at a path. `None`: it does not say.
fn is_seen_by(manager: Manager, dir: &Path) -> Option<bool> {
    let arguments = ["/proc/self/exe".into(), handover::COMMAND.into(), "--tell".into(), dir.into()].to_vec();
    let order = HandoverOrder { stay: true, cwd: "/".into(), arguments, environment: manager::environment() };
    let unit = Kind::Service.unit(OsStr::new("look"), serial());
    let ended = manager.run(&unit, &order).ok()?;
    let theirs = String::from_utf8(ended.out).ok().filter(|_| ended.end == End::Code(0))?;
    Some(theirs == tell(dir))
}

/// Tells a unit from others of its name: with `PrivatePIDs=` every process that asks for one has the same number.
fn serial() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    if cgroup::has_own_processes() {
        since.subsec_micros() + 1_000_000 * (since.as_secs() % 4000) as u32
    } else {
        1
    }
}

/// Which directory is at a path, in a line.
pub(crate) fn tell(dir: &Path) -> String {
    match std::fs::metadata(dir) {
        Ok(facts) => format!("{} {}\n", facts.dev(), facts.ino()),
        Err(error) => format!("{error}\n"),
    }
}

/// Runs this very command line once more in a service of the manager.
pub(super) fn run_there(manager: Manager, label: &OsStr) -> Result<Ended, String> {
    let unit = Kind::Service.unit(label, serial());
    let mut environment = manager::environment();
    environment.push(format!("{OUTSIDE}={unit}").into());
    // In the child of whoever carries the order out /proc/self/exe is that program.
    let mut arguments = vec!["/proc/self/exe".into()];
    arguments.extend(guard::meant(std::env::args_os().collect()).into_iter().skip(1));
    let cwd = std::env::current_dir().map_or_else(|_| "/".into(), PathBuf::into_os_string);
    let order = HandoverOrder { stay: true, cwd, arguments, environment };
    manager.run(&unit, &order)
}
