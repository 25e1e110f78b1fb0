//! tmux's own rules for socket directories and labels (tmux.c: `make_label`).

use crate::kernel::Label;
use crate::kernel::Uid;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The longest path a socket can be bound to: `sun_path` of unix(7) is 108 bytes with its NUL.
pub const MAX_SOCKET_PATH: usize = 107;

/// Where tmux looks when `TMUX_TMPDIR` is unset or cannot be used (`_PATH_TMP`).
pub const DEFAULT_PARENT: &str = "/tmp";

/// Where openSUSE's tmux has each user's folder, by its number alone (tmux issue 1092). No tmux tells where it looks without
/// making that folder and trying to connect.
pub const COMPILED_IN: &str = "/run/tmux";

/// tmux, and what was made from it and kept its folders: `PROGRAM-UID`.
const PROGRAMS: [&str; 3] = ["tmux", "tmate", "ztmux"];

/// Where systemd-logind makes each user's `$XDG_RUNTIME_DIR`.
pub const RUNTIME_DIRS: &str = "/run/user";

/// The label of `tmux` without `-L` and `-S`.
pub const DEFAULT_LABEL: &str = "default";

/// The name of the socket directory in which `tmux -L` looks: `tmux-UID`.
pub fn directory_name(uid: Uid) -> String {
    format!("tmux-{uid}")
}

/// What logind makes a user's `$XDG_RUNTIME_DIR`, as `pam_systemd(8)` tells.
pub fn runtime_dir(uid: Uid) -> PathBuf {
    Path::new(RUNTIME_DIRS).join(uid.to_string())
}

/// The names of a user's folders of tmux and of what was made from it, tmux's first. They go by the same rule and start
/// their servers under the same lock: docs/protocol.md says what was seen of tmate.
pub fn directory_names(uid: Uid) -> [String; PROGRAMS.len()] {
    PROGRAMS.map(|program| format!("{program}-{uid}"))
}

/// Whether a folder is called as one of [`directory_names`].
pub fn is_directory_name(name: &OsStr, uid: Uid) -> bool {
    uid_of_directory_name(name) == Some(uid)
}

/// Whether a folder is called as one that something else than tmux would use for the user.
pub fn is_kin(path: &Path, uid: Uid) -> bool {
    let is_tmuxs = |name: &OsStr| name == OsStr::new(&directory_name(uid));
    path.file_name().is_some_and(|name| is_directory_name(name, uid) && !is_tmuxs(name))
}

/// The user whom a folder called `tmux-N`, or as one of the others, is for.
///
/// Only the decimal form that tmux itself writes is taken: no sign, no leading zero.
pub fn uid_of_directory_name(name: &OsStr) -> Option<Uid> {
    let (program, number) = name.to_str()?.rsplit_once('-')?;
    PROGRAMS.contains(&program).then_some(number).and_then(|number| uid_of_number(OsStr::new(number)))
}

/// The user whom a folder called `N` is for, as in [`RUNTIME_DIRS`] and [`COMPILED_IN`]; the decimal form alone.
pub fn uid_of_number(name: &OsStr) -> Option<Uid> {
    let digits = name.to_str()?;
    let uid: Uid = digits.parse().ok()?;
    (uid.to_string() == digits).then_some(uid)
}

/// A user's folder in [`COMPILED_IN`].
pub fn compiled_in(uid: Uid) -> PathBuf {
    Path::new(COMPILED_IN).join(uid.to_string())
}

/// The name of the start lock of a socket: its name with `.lock` behind it (client.c:
/// `client_connect`).
pub fn lock_name(socket: &OsStr) -> OsString {
    let mut name = socket.as_bytes().to_vec();
    name.extend_from_slice(b".lock");
    OsString::from_vec(name)
}

/// The socket that a lock called `lock` belongs to; `None` if it is no lock's name.
pub fn socket_of_lock(lock: &OsStr) -> Option<Label> {
    let stem = lock.as_bytes().strip_suffix(b".lock")?;
    Label::new(OsStr::from_bytes(stem))
}

/// The socket that `tmux -L label` uses, given the parent it settled on.
pub fn socket_path(parent: &Path, uid: Uid, label: &OsStr) -> PathBuf {
    let mut path = parent.join(directory_name(uid)).into_os_string();
    path.push("/");
    path.push(label);
    PathBuf::from(path)
}

/// Why tmux would not use a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// Which rule a folder has to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// tmux's own, for `tmux-UID` and its kin.
    Tmux,
    /// tmux's and ours, for the folder in [`COMPILED_IN`], whose name alone says little of who made it.
    Both,
    /// Ours, for any other.
    Plain,
}

impl Rule {
    /// That of a folder, by its path.
    pub fn of(path: &Path, uid: Uid) -> Self {
        if path.file_name().is_some_and(|name| is_directory_name(name, uid)) {
            Self::Tmux
        } else if path == compiled_in(uid) {
            Self::Both
        } else {
            Self::Plain
        }
    }

    /// Whether the last component must be no link: tmux looks at it with lstat(2).
    pub fn forbids_link(self) -> bool {
        match self {
            Self::Tmux | Self::Both => true,
            Self::Plain => false,
        }
    }

    /// Why it refuses a folder.
    pub fn refuses(self, is_directory: bool, owner: Uid, mode: u32, uid: Uid) -> Option<Refusal> {
        let tmuxs = || refuses(is_directory, owner, mode, uid);
        let ours = || refuses_plain(is_directory, owner, mode, uid);
        match self {
            Self::Tmux => tmuxs(),
            Self::Both => tmuxs().or_else(ours),
            Self::Plain => ours(),
        }
    }
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
        for name in directory_names(Uid::new(7)) {
            assert_eq!(uid_of_directory_name(OsStr::new(&name)), Some(Uid::new(7)), "{name}");
        }
        for name in
            ["tmux-", "tmux-01", "tmux-+1", "tmux--1", "tmux-1000x", "tmux-4294967296", "x", "xtmux-1", "-1"]
        {
            assert_eq!(uid_of_directory_name(OsStr::new(name)), None, "{name}");
        }
    }

    #[test]
    fn a_lock_belongs_to_the_name_before_its_ending() {
        assert_eq!(lock_name(OsStr::new("x.lock")), "x.lock.lock");
        assert_eq!(socket_of_lock(OsStr::new("x.lock")), Label::new("x"));
        assert_eq!(socket_of_lock(OsStr::new(".lock")), None);
        assert_eq!(socket_of_lock(OsStr::new("lock")), None);
        assert_eq!(socket_of_lock(OsStr::new("..lock")), None, "no socket is called \".\"");
    }

    #[test]
    fn directories_are_judged_as_tmux_judges_them() {
        assert_eq!(refuses(true, Uid::new(5), 0o700, Uid::new(5)), None);
        assert_eq!(refuses(true, Uid::new(5), 0o770, Uid::new(5)), None, "tmux looks at others only");
        assert_eq!(refuses(false, Uid::new(5), 0o700, Uid::new(5)), Some(Refusal::NotADirectory));
        assert_eq!(refuses(true, Uid::ROOT, 0o700, Uid::new(5)), Some(Refusal::Owner(Uid::ROOT)));
        assert_eq!(refuses(true, Uid::new(5), 0o701, Uid::new(5)), Some(Refusal::OpenToOthers(0o701)));
        let both = |owner, mode| {
            Rule::of(Path::new("/run/tmux/5"), Uid::new(5)).refuses(true, owner, mode, Uid::new(5))
        };
        assert_eq!(both(Uid::new(5), 0o700), None);
        assert_eq!(both(Uid::new(5), 0o770), Some(Refusal::WritableByOthers(0o770)));
        assert_eq!(both(Uid::new(5), 0o701), Some(Refusal::OpenToOthers(0o701)));
        assert_eq!(both(Uid::ROOT, 0o700), Some(Refusal::Owner(Uid::ROOT)));
        assert_eq!(Rule::of(Path::new("/run/tmux/6"), Uid::new(5)), Rule::Plain);
        assert_eq!(refuses_plain(true, Uid::ROOT, 0o755, Uid::new(5)), None);
        assert_eq!(refuses_plain(true, Uid::new(6), 0o700, Uid::new(5)), Some(Refusal::Owner(Uid::new(6))));
        assert_eq!(
            refuses_plain(true, Uid::new(5), 0o1777, Uid::new(5)),
            Some(Refusal::WritableByOthers(0o1777))
        );
    }
}
