//! tmux's own rules for socket directories and labels (tmux.c: `make_label`).

use crate::kernel::Uid;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The longest path a socket can be bound to: `sun_path` of unix(7) is 108 bytes with its NUL.
pub const MAX_SOCKET_PATH: usize = 107;

/// Where tmux looks when `TMUX_TMPDIR` is unset or cannot be used (`_PATH_TMP`).
pub const DEFAULT_PARENT: &str = "/tmp";

/// Where systemd-logind makes each user's `$XDG_RUNTIME_DIR`.
pub const RUNTIME_DIRS: &str = "/run/user";

/// The label of `tmux` without `-L` and `-S`.
pub const DEFAULT_LABEL: &str = "default";

/// The name of a user's socket directory: `tmux-UID`.
pub fn directory_name(uid: Uid) -> String {
    format!("tmux-{uid}")
}

/// What logind makes a user's `$XDG_RUNTIME_DIR`, as `pam_systemd(8)` tells.
pub fn runtime_dir(uid: Uid) -> PathBuf {
    Path::new(RUNTIME_DIRS).join(uid.to_string())
}

/// The user whom a folder called `tmux-N` is for.
///
/// Only the decimal form that tmux itself writes is taken: no sign, no leading zero.
pub fn uid_of_directory_name(name: &OsStr) -> Option<Uid> {
    let digits = name.to_str()?.strip_prefix("tmux-")?;
    let uid: Uid = digits.parse().ok()?;
    (uid.to_string() == digits).then_some(uid)
}

/// The name of the start lock of a socket: its name with `.lock` behind it (client.c:
/// `client_connect`).
pub fn lock_name(socket: &OsStr) -> OsString {
    let mut name = socket.as_bytes().to_vec();
    name.extend_from_slice(b".lock");
    OsString::from_vec(name)
}

/// The socket that a lock called `lock` belongs to; `None` if it is no lock's name.
pub fn socket_of_lock(lock: &OsStr) -> Option<&OsStr> {
    let stem = lock.as_bytes().strip_suffix(b".lock")?;
    (!stem.is_empty()).then(|| OsStr::from_bytes(stem))
}

/// The socket that `tmux -L label` uses, given the parent it settled on.
pub fn socket_path(parent: &Path, uid: Uid, label: &OsStr) -> PathBuf {
    let mut path = parent.join(directory_name(uid)).into_os_string();
    path.push("/");
    path.push(label);
    PathBuf::from(path)
}

/// Why tmux would not use a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// It is a symbolic link or no directory at all.
    NotADirectory,
    /// It belongs to somebody else: the owner's uid.
    Owner(Uid),
    /// Others may enter or write it: its permission bits.
    OpenToOthers(u32),
    /// For a folder that tmux has no rule for: others than its owner can write it.
    WritableByOthers(u32),
}

/// tmux's judgement of a `tmux-UID` directory that was looked at with lstat(2): it must be a real
/// directory, belong to the user and give others nothing (`TMUX_SOCK_PERM`, 07).
pub fn refuses(is_directory: bool, owner: Uid, mode: u32, uid: Uid) -> Option<Refusal> {
    if !is_directory {
        Some(Refusal::NotADirectory)
    } else if owner != uid {
        Some(Refusal::Owner(owner))
    } else if mode & 0o007 != 0 {
        Some(Refusal::OpenToOthers(mode & 0o7777))
    } else {
        None
    }
}

/// Our own rule for any other folder: owned by the user or root, writable by nobody else. Whoever
/// can write the folder can swap what stands in it while we look.
pub fn refuses_plain(is_directory: bool, owner: Uid, mode: u32, uid: Uid) -> Option<Refusal> {
    if !is_directory {
        Some(Refusal::NotADirectory)
    } else if owner != uid && owner != Uid::ROOT {
        Some(Refusal::Owner(owner))
    } else if mode & 0o022 != 0 {
        Some(Refusal::WritableByOthers(mode & 0o7777))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_decimal_form_is_a_users_directory() {
        assert_eq!(uid_of_directory_name(OsStr::new("tmux-1000")), Some(Uid::new(1000)));
        for name in ["tmux-", "tmux-01", "tmux-+1", "tmux--1", "tmux-1000x", "tmux-4294967296", "x"] {
            assert_eq!(uid_of_directory_name(OsStr::new(name)), None, "{name}");
        }
    }

    #[test]
    fn a_lock_belongs_to_the_name_before_its_ending() {
        assert_eq!(lock_name(OsStr::new("x.lock")), "x.lock.lock");
        assert_eq!(socket_of_lock(OsStr::new("x.lock")), Some(OsStr::new("x")));
        assert_eq!(socket_of_lock(OsStr::new(".lock")), None);
        assert_eq!(socket_of_lock(OsStr::new("lock")), None);
    }

    #[test]
    fn directories_are_judged_as_tmux_judges_them() {
        assert_eq!(refuses(true, Uid::new(5), 0o700, Uid::new(5)), None);
        assert_eq!(refuses(true, Uid::new(5), 0o770, Uid::new(5)), None, "tmux looks at others only");
        assert_eq!(refuses(false, Uid::new(5), 0o700, Uid::new(5)), Some(Refusal::NotADirectory));
        assert_eq!(refuses(true, Uid::ROOT, 0o700, Uid::new(5)), Some(Refusal::Owner(Uid::ROOT)));
        assert_eq!(refuses(true, Uid::new(5), 0o701, Uid::new(5)), Some(Refusal::OpenToOthers(0o701)));
        assert_eq!(refuses_plain(true, Uid::ROOT, 0o755, Uid::new(5)), None);
        assert_eq!(refuses_plain(true, Uid::new(6), 0o700, Uid::new(5)), Some(Refusal::Owner(Uid::new(6))));
        assert_eq!(
            refuses_plain(true, Uid::new(5), 0o1777, Uid::new(5)),
            Some(Refusal::WritableByOthers(0o1777))
        );
    }
}
