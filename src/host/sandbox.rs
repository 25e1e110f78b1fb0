//! What a unit's sandbox hides from us, as the list of our own mounts tells it.
//!
//! In a private `/tmp` no socket is found and every server looks like a ghost; with a hidden home the
//! list of what to keep goes unread. Neither may pass for "nothing to do" or for "no configuration".

use super::cgroup;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::Mounts;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::{Processes, UserManager};
use tmux_sockets::tmux::paths::DEFAULT_PARENT;

/// How systemd calls the private `/tmp` of units (systemd.exec(5), `PrivateTmp=`).
const PRIVATE: &[u8] = b"systemd-private-";

/// What systemd mounts over what a unit may not see (systemd.exec(5), `InaccessiblePaths=`).
const INACCESSIBLE: &str = "systemd/inaccessible/dir";

/// The folders that `ProtectHome=` covers (systemd.exec(5)).
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// Set by a service manager for what it starts (systemd.exec(5)).
pub(crate) const UNIT: &str = "INVOCATION_ID";

/// Whose `/tmp` it is that we see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tmp {
    /// The machine's, or the one that everybody here has.
    Machines,
    /// The unit's own, that we run in: it has `PrivateTmp=` or the like.
    Units,
    /// Who could tell is not seen here.
    Unknown,
}

/// Whose `/tmp` it is that we see.
pub(crate) fn tmp(user: Uid) -> Tmp {
    let ours = Mounts::read();
    if is_of_systemd(&ours) {
        return Tmp::Units;
    }
    // Elsewhere people have a /tmp of their own for good reasons, and it is theirs.
    if std::env::var_os(UNIT).is_none() {
        return Tmp::Machines;
    }
    let Ok(processes) = Processes::open() else { return Tmp::Machines };
    let (outside, is_hidden) = match processes.find_user_manager(user) {
        UserManager::Seen(manager) => (Some(manager), false),
        UserManager::Hidden => (None, true),
        UserManager::Absent if cgroup::has_own_processes() => (None, true),
        UserManager::Absent => (processes.by_pid(Pid::new(1)), false),
    };
    match outside.and_then(|process| process.mounts()) {
        Some(theirs) if is_another(&ours, &theirs) => Tmp::Units,
        None if is_hidden && is_mounted(&ours) => Tmp::Unknown,
        Some(_) | None => Tmp::Machines,
    }
}

/// Whether `/tmp` is a mount of its own.
fn is_mounted(mounts: &Mounts) -> bool {
    let tmp = Path::new(DEFAULT_PARENT);
    mounts.covering(tmp).is_some_and(|mount| mount.point == tmp)
}

/// Whether `/tmp` is what systemd makes for a unit, in the machine's own `/tmp`.
fn is_of_systemd(mounts: &Mounts) -> bool {
    let tmp = mounts.covering(Path::new(DEFAULT_PARENT));
    tmp.is_some_and(|tmp| tmp.root.iter().any(|part| part.as_bytes().starts_with(PRIVATE)))
}

/// Whether two processes see different files behind `/tmp`: a tmpfs (`PrivateTmp=disconnected`,
/// `TemporaryFileSystem=`), a folder (`BindPaths=`).
fn is_another(ours: &Mounts, theirs: &Mounts) -> bool {
    let tmp = Path::new(DEFAULT_PARENT);
    match (ours.place(tmp), theirs.place(tmp)) {
        (Some(ours), Some(theirs)) => ours != theirs,
        _ => false,
    }
}

/// Whether a file in a home is hidden with that home: the unit has `ProtectHome=yes` or `tmpfs`.
pub(crate) fn hides_home(mounts: &Mounts, home: &Path) -> bool {
    let Some(top) = HOMES.into_iter().find(|top| home.starts_with(top)) else {
        return false;
    };
    let at = |point: &str| mounts.covering(Path::new(point)).filter(|mount| mount.point == Path::new(point));
    let Some(mount) = at(top) else {
        return false;
    };
    // Nothing else mounts a tmpfs on all of them.
    let is_covered = |point| at(point).is_some_and(|mount| mount.kind == "tmpfs");
    mount.root.ends_with(INACCESSIBLE) || (HOMES.into_iter().all(is_covered) && !is_there(mounts, home))
}

/// Whether anything of the path below its first two names is there: `/home/ann` of a file in it. What may not
/// answer is something.
fn is_there(mounts: &Mounts, path: &Path) -> bool {
    let home: PathBuf = path.components().take(3).collect();
    !mounts.lets_look_at(&home) || home.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mounts of these lines, on a root directory.
    fn mounts(lines: &[&str]) -> Mounts {
        let text = ["29 1 8:1 / / rw - ext4 /dev/x rw"].iter().chain(lines).copied().collect::<Vec<_>>();
        Mounts::of(text.join("\n").as_bytes())
    }

    #[test]
    fn a_private_tmp_is_seen_by_its_root() {
        let plain = "36 29 0:32 / /tmp rw,nosuid shared:9 - tmpfs tmpfs rw";
        let private = "77 36 0:32 /systemd-private-1f-x.service-a/tmp /tmp rw - tmpfs tmpfs rw";
        let elsewhere = "77 29 0:32 /systemd-private-1f-x.service-a/tmp /var/tmp rw - tmpfs tmpfs rw";
        assert!(!is_of_systemd(&mounts(&[plain, elsewhere])));
        assert!(is_of_systemd(&mounts(&[plain, private])));
        assert!(!is_of_systemd(&mounts(&["garbage", ""])));
    }

    #[test]
    fn another_tmp_than_the_managers_is_seen() {
        let machines = mounts(&[]);
        // ReadWritePaths=/tmp shows the same once more.
        assert!(!is_another(&mounts(&["77 29 8:1 /tmp /tmp rw - ext4 /dev/x rw"]), &machines));
        // PrivateTmp=disconnected, TemporaryFileSystem=/tmp, BindPaths=/x:/tmp.
        for other in ["77 29 0:50 /tmp /tmp rw - tmpfs x rw", "77 29 0:50 / /tmp rw - tmpfs x rw"] {
            assert!(is_another(&mounts(&[other]), &machines), "{other}");
        }
        assert!(is_another(&mounts(&["77 29 8:1 /x /tmp rw - ext4 /dev/x rw"]), &machines));
        assert!(!is_another(&machines, &Mounts::of(b"")), "who says nothing says nothing");
    }

    #[test]
    fn a_covered_home_is_seen() {
        let inaccessible = "78 29 0:26 /systemd/inaccessible/dir /home ro - tmpfs tmpfs rw";
        let [home, root, run] =
            ["/home", "/root", "/run/user"].map(|at| format!("79 29 0:50 / {at} rw - tmpfs tmpfs rw"));
        let (ann, srv) = (Path::new("/home/nobody-has-this-one"), Path::new("/srv/ann"));
        assert!(hides_home(&mounts(&[inaccessible]), ann));
        assert!(hides_home(&mounts(&[&home, &root, &run]), ann));
        assert!(!hides_home(&mounts(&[inaccessible]), srv));
        for real in [&["79 29 0:50 / /home ro - ext4 /dev/x rw"][..], &[&home, &root]] {
            assert!(!hides_home(&mounts(real), ann), "{real:?}");
        }
    }
}
