//! Every English sentence of `spawn`: what is in the way, where, and its cure.

use crate::escape::escaped;
use crate::ghost::Ghost;
use crate::socket::directory::DirectoryError;
use crate::socket::verdict::Reason;
use crate::tmux::stuck::Stuck;
use crate::words::{errno_text, io_text, kind_name};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::path::Path;

pub(super) fn too_long(dir: &Path) -> String {
    format!(
        "the path of {} is so long that no socket's name fits behind it (107 bytes in all); set TMUX_TMPDIR to a shorter one",
        escaped(dir)
    )
}

pub(super) fn in_the_way(path: &Path, reason: Reason) -> String {
    let cure = match reason {
        Reason::NotASocket(_) => "; tmux would delete it; move it away, or choose another --socket-label",
        Reason::OtherUser(_) => "; choose another --socket-label",
        _ => "; it may be alive, so nothing was started there; `tmux-janitor doctor` helps to find out",
    };
    format!("{}: {reason}{cure}", escaped(path))
}

pub(super) fn ghost(ghost: &Ghost, plight: &str) -> String {
    let who = ghost.pid.map_or_else(|| "a server".to_owned(), |pid| format!("the server with pid {pid}"));
    format!(
        "{}: {who} is alive, and its socket is gone from here; a second one would take its place, so nothing was started: {plight}",
        escaped(&ghost.path)
    )
}

pub(super) fn stopped(path: &Path, pid: i32) -> String {
    format!(
        "{}: its server (pid {pid}) is stopped and cannot be asked; nothing was changed; `kill -CONT {pid}` wakes it",
        escaped(path)
    )
}

pub(super) fn silent(path: &Path, pid: Option<i32>) -> String {
    let who = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    format!(
        "{}: its server{who} is alive and did not answer within 2 s; nothing was changed; see whether it is stopped or busy (`ps -o stat,wchan`)",
        escaped(path)
    )
}

pub(super) fn given_up(path: &Path) -> String {
    format!(
        "{}: the client did not come back within 2 s and was ended; whether the session will appear is not known; ask for it again later",
        escaped(path)
    )
}

pub(super) fn stuck(stuck: &Stuck) -> String {
    format!("{}: {stuck}; or choose another --socket-label", escaped(&stuck.path))
}

pub(super) fn not_writable(dir: &Path, errno: Errno) -> String {
    let cure = match (errno, mount_of(dir)) {
        (Errno::ROFS, Some(mount)) => {
            format!(" (the mount {} is read-only here; a unit's ReadWritePaths= opens it)", escaped(&mount))
        }
        (Errno::ROFS, None) => " (mounted read-only here; a unit's ReadWritePaths= opens it)".to_owned(),
        (Errno::PERM | Errno::ACCESS, _) => {
            " (not writable for this user, or immutable: `ls -ld`, `lsattr -d`)".to_owned()
        }
        _ => String::new(),
    };
    format!("no socket can be made in {}: {}{cure}", escaped(dir), errno_text(errno))
}

pub(super) fn refused_dir(dir: &Path, error: DirectoryError) -> String {
    format!("{}: {error}", escaped(dir))
}

pub(super) fn cannot_make(dir: &Path, errno: Errno) -> String {
    let mount = match (errno, dir.parent().and_then(mount_of)) {
        (Errno::ROFS, Some(mount)) => {
            format!(" (the mount {} is read-only here; a unit's ReadWritePaths= opens it)", escaped(&mount))
        }
        _ => String::new(),
    };
    format!("the directory {} cannot be made: {}{mount}", escaped(dir), errno_text(errno))
}

pub(super) fn lock_unopenable(lock: &Path, errno: Errno) -> String {
    format!(
        "the start lock {} cannot be opened: {}; tmux would start without it, beside any other start; remove it when none is under way",
        escaped(lock),
        errno_text(errno)
    )
}

pub(super) fn lock_no_file(lock: &Path, kind: FileType) -> String {
    format!(
        "the start lock {} is {}; tmux would start without a lock, beside any other start; remove it",
        escaped(lock),
        kind_name(kind)
    )
}

pub(super) fn no_server(path: &Path) -> String {
    format!(
        "{}: new-session said nothing and no server is there; it may have ended at once, with COMMAND",
        escaped(path)
    )
}

pub(super) fn no_session(path: &Path, name: &OsStr, said: &str) -> String {
    let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
    format!(
        "{}: new-session said nothing, but the server has no session \"{}\"{said}; COMMAND may have ended already",
        escaped(path),
        escaped(name)
    )
}

pub(super) fn not_living(path: &Path) -> String {
    format!("{}: no server lives there, and --join-only starts none", escaped(path))
}

pub(super) fn cannot_run(program: &Path, error: &std::io::Error) -> String {
    format!(
        "{} cannot be run: {}; `[spawn] tmux` in the configuration names the program",
        escaped(program),
        io_text(error)
    )
}

pub(super) fn no_directory(cwd: &Path, error: &std::io::Error) -> String {
    format!("--cwd {}: {}", escaped(cwd), io_text(error))
}

pub(super) fn nowhere(reasons: &[String]) -> String {
    format!("no socket directory can be used: {}", reasons.join("; "))
}

pub(super) fn hidden(dir: &Path, why: &str) -> String {
    format!(
        "{} is not the one that others see ({why}): a server there could be reached from nowhere else",
        escaped(dir)
    )
}

pub(super) fn mortal(why: &str) -> String {
    format!("a server here would end with the unit, whatever scope it is in ({why})")
}

pub(super) fn unseen(dir: &Path, unit: &str) -> String {
    format!(
        "whether {} is the one that others see cannot be told: the service manager is hidden from {unit} and does not answer",
        escaped(dir)
    )
}

/// The mount point that a path lies on, as `/proc/self/mountinfo` has it.
fn mount_of(path: &Path) -> Option<std::path::PathBuf> {
    crate::mounts::Mounts::read().covering(path).map(|mount| mount.point.clone())
}
