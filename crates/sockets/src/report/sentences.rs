//! What is said of an outcome.

use super::{Failure, Outcome};
use crate::kernel::text::{cause, errno_text, kind_name};
use crate::tmux::start_lock::LockFailure;
use std::fmt::{self, Display, Formatter};

impl Outcome {
    /// The word for it, in JSON and for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::WouldRemove => "would-remove",
            Self::Kept => "kept",
            Self::Vanished => "vanished",
            Self::Busy => "busy",
            Self::Resurrected => "resurrected",
            Self::Rescued => "rescued",
            Self::WouldRescue => "would-rescue",
            Self::SetAside => "set-aside",
            Self::WouldSetAside => "would-set-aside",
            Self::Failed(_) => "failed",
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock(LockFailure::NotAFile(kind)) => write!(
                f,
                "its start lock is {}, which cannot be locked; tmux cannot start there safely either; remove it",
                kind_name(*kind)
            ),
            Self::Lock(LockFailure::NotOurs(uid)) => write!(
                f,
                "its start lock belongs to uid {uid}; no server can be started there safely; its owner or root removes the lock when none is starting"
            ),
            Self::Lock(LockFailure::NoRoom { inodes: true }) => write!(
                f,
                "no start lock can be made: no inode is left on its file system (`df -i` shows it); remove a file there, and the next sweep removes all"
            ),
            Self::Lock(LockFailure::NoRoom { inodes: false }) => write!(
                f,
                "no start lock can be made: its file system is full (`df` shows it); remove a file there, and the next sweep removes all"
            ),
            Self::Lock(LockFailure::Call(errno)) => write!(f, "its start lock cannot be taken: {}", cause(*errno)),
            Self::Look(errno) => write!(f, "it cannot be looked at: {}", cause(*errno)),
            Self::Move(errno) => write!(f, "it cannot be moved away: {}", cause(*errno)),
            Self::Remove(errno) => {
                write!(f, "it was moved to its quarantine name and cannot be unlinked: {}", cause(*errno))
            }
            Self::QuarantineTaken => f.write_str(
                "its quarantine name is taken: by an earlier run that was killed, which the next sweep clears, or in a shared folder by somebody else",
            ),
            Self::NameTooLong => {
                f.write_str("its name is too long to be moved to a quarantine name; give it a shorter one (mv)")
            }
            Self::Rescue(failure) => failure.fmt(f),
            Self::PutBack(errno) => write!(
                f,
                "a live server's socket stands at its quarantine name and could not be put back ({}); see what stands at the path, then move it back by hand",
                errno_text(*errno)
            ),
        }
    }
}

impl Failure {
    /// Whether it is that of every socket in the directory: there is no room for a lock file.
    pub fn is_of_all(&self) -> bool {
        matches!(self, Self::Lock(LockFailure::NoRoom { .. }))
    }
}
