//! Keeps systemd-tmpfiles' ageing away from live sockets.
//!
//! It goes past every directory that somebody holds a `flock(LOCK_SH)` on (tmpfiles.d(5)), in
//! whatever network namespace it runs, where it would take every socket for dead. That works for
//! rules on a parent such as `/tmp`; a rule on the socket directory itself asks for no lock.
//!
//! An empty directory needs no shield, and must not have one: while it is held open, the kernel does
//! not tell that it was removed (`IN_DELETE_SELF` comes with the last reference).

use rustix::fs::FlockOperation;
use tmux_sockets::tmux::SocketDir;

/// The shield of one directory.
#[derive(Debug, Default)]
pub(super) enum Shield {
    /// Not needed.
    #[default]
    Down,
    /// Somebody holds the directory's lock exclusively: at the next rescan again.
    Refused,
    /// Held for as long as this directory is open.
    Up(SocketDir),
}

impl Shield {
    /// Raises or lowers it, as the directory is full or empty. Never waits.
    pub(super) fn update(&mut self, directory: impl FnOnce() -> Option<SocketDir>) {
        match self {
            Self::Refused => {}
            Self::Up(held) => {
                if held.is_empty() {
                    *self = Self::Down;
                }
            }
            Self::Down => {
                if let Some(directory) = directory().filter(|directory| !directory.is_empty()) {
                    let lock = rustix::fs::flock(&directory, FlockOperation::NonBlockingLockShared);
                    *self = if lock.is_ok() { Self::Up(directory) } else { Self::Refused };
                }
            }
        }
    }

    /// Lets it be tried again where it was refused.
    pub(super) fn forgive(&mut self) {
        if matches!(self, Self::Refused) {
            *self = Self::Down;
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::fs::File;
    use std::path::Path;
    use tmux_sockets::kernel::Uid;
    use tmux_sockets::tmux::Strictness;

    fn open(path: &Path) -> Option<SocketDir> {
        SocketDir::open(path, Uid::ours(), Strictness::LookedAt).unwrap()
    }

    fn is_shielded(path: &Path) -> bool {
        let other = File::open(path).unwrap();
        rustix::fs::flock(&other, FlockOperation::NonBlockingLockExclusive).is_err()
    }

    #[test]
    fn it_is_up_while_something_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut shield = Shield::default();
        shield.update(|| open(dir.path()));
        assert!(!is_shielded(dir.path()), "nothing is there");
        File::create(dir.path().join("x")).unwrap();
        shield.update(|| open(dir.path()));
        assert!(is_shielded(dir.path()));
        std::fs::remove_file(dir.path().join("x")).unwrap();
        shield.update(|| open(dir.path()));
        assert!(!is_shielded(dir.path()), "nothing is there any more");
    }

    #[test]
    fn somebody_elses_lock_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("x")).unwrap();
        let other = File::open(dir.path()).unwrap();
        rustix::fs::flock(&other, FlockOperation::LockExclusive).unwrap();
        let mut shield = Shield::default();
        shield.update(|| open(dir.path()));
        drop(other);
        shield.update(|| open(dir.path()));
        assert!(!is_shielded(dir.path()), "not before the next rescan");
        shield.forgive();
        shield.update(|| open(dir.path()));
        assert!(is_shielded(dir.path()));
    }
}
