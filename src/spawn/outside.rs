//! Whether a socket directory is the one that the user sees outside of the unit we run in, and going
//! there where it is not.
//!
//! With `PrivateTmp=` and the like a server would start, answer, and be a ghost for everybody else. Then
//! the whole spawn runs once more in a transient service of the manager, where the user is.

use super::cgroup::Service;
use super::handover::Order;
use super::manager::{self, Kind, Manager};
use super::mounts;
use crate::child::Ended;
use crate::process::Processes;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Set for the run outside: the unit that it runs in.
pub(crate) const UNIT: &str = "TMUX_JANITOR_OUTSIDE";

/// Why a directory is hidden from everybody outside of our unit; `None`: it is not.
pub(super) fn hidden(dir: &Path, service: &Service, user: u32) -> Option<String> {
    let unit = &service.unit;
    let is_private = mounts::covering(dir).is_some_and(|mount| {
        mount.root.iter().any(|part| part.as_encoded_bytes().starts_with(b"systemd-private-"))
    });
    if is_private {
        return Some(format!("PrivateTmp= of {unit}"));
    }
    let processes = Processes::open().ok()?;
    let manager =
        if user == 0 && !service.is_users { processes.by_pid(1)? } else { processes.user_manager(user)? };
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    if namespace(&manager.pid.to_string())? == namespace("self")? {
        return None;
    }
    let outside = PathBuf::from(format!("/proc/{}/root{}", manager.pid, dir.display()));
    let id = |path: &Path| std::fs::metadata(path).map(|facts| (facts.dev(), facts.ino()));
    match (id(dir), id(&outside)) {
        (Ok(inside), Ok(outside)) if inside == outside => None,
        (_, Err(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
        _ => Some(format!(
            "the mount namespace of {unit}: PrivateTmp=, TemporaryFileSystem=, BindPaths=, RootDirectory= or the like"
        )),
    }
}

/// Runs this very command line once more in a service of the manager.
pub(super) fn run_there(manager: Manager, label: &OsStr) -> Result<Ended, String> {
    let unit = Kind::Service.unit(label, 1);
    let mut environment = manager::environment();
    environment.push(format!("{UNIT}={unit}").into());
    // In a child of what carries the order out this is that very program.
    let mut arguments = vec!["/proc/self/exe".into()];
    arguments.extend(std::env::args_os().skip(1));
    let cwd = std::env::current_dir().map_or_else(|_| "/".into(), PathBuf::into_os_string);
    let order = Order { stay: true, cwd, arguments, environment };
    manager.run(Kind::Service, &unit, &order, &mut || false)
}
