//! A start lock that is looked at and not touched.

use super::LockFailure;
use crate::kernel::{FileFacts, ProcLocks, Uid, leases_are_given, rights};
use crate::tmux::{SocketDir, paths};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::ffi::OsStr;

/// Why a start lock cannot be had now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InTheWay {
    /// Somebody is seen to hold it.
    Held,
    /// It cannot be taken.
    Failure(LockFailure),
}

/// What taking the start lock of `label` would end with as things stand; `None`: it would be ours.
pub fn in_the_way(
    dir: &SocketDir,
    user: Uid,
    label: &OsStr,
    locks: &mut Option<ProcLocks>,
) -> Option<InTheWay> {
    let failed = |failure| Some(InTheWay::Failure(failure));
    // In the order in which it would be noticed: a lock of our own is made first.
    if let Err(errno) = rights::may_change(dir) {
        return failed(LockFailure::Call(errno));
    }
    let lock = paths::lock_name(label);
    match dir.look(&lock) {
        Err(Errno::NOENT) if dir.has_no_inode() => failed(LockFailure::NoRoom { inodes: true }),
        Err(Errno::NOENT) => None,
        Err(errno) => failed(LockFailure::Call(errno)),
        Ok(facts) if facts.kind != FileType::RegularFile => failed(LockFailure::NotAFile(facts.kind)),
        Ok(facts) if facts.uid != user => failed(LockFailure::NotOurs(facts.uid)),
        Ok(facts) if locks.get_or_insert_with(ProcLocks::read_twice).is_held(facts.id) => {
            Some(InTheWay::Held)
        }
        Ok(_) => match rights::may_read_and_write(dir, &lock) {
            Ok(()) | Err(Errno::NOENT) => None,
            Err(errno) => failed(LockFailure::Call(errno)),
        },
    }
}

/// Whether a lock file that nobody has could be removed: opened, locked, and its name taken away, where leases are given
/// at all. A file system that gives none is not found out by looking.
pub fn may_clear(dir: &SocketDir, lock: &OsStr) -> bool {
    leases_are_given() && rights::may_change(dir).is_ok() && rights::may_read_and_write(dir, lock).is_ok()
}

/// Whether a file is a lock as tmux and we make it: regular, empty, 0600, the user's own. Anything
/// else beside a socket may be locked by us, and is never removed.
pub fn is_plain_lock(facts: &FileFacts, user: Uid) -> bool {
    facts.kind == FileType::RegularFile && facts.size == 0 && facts.mode == 0o600 && facts.uid == user
}

/// Whether the start lock of `label` is seen to be held, without touching it.
pub fn is_seen_held(dir: &SocketDir, label: &OsStr, locks: &mut Option<ProcLocks>) -> bool {
    let Ok(facts) = dir.look(&paths::lock_name(label)) else {
        return false;
    };
    locks.get_or_insert_with(ProcLocks::read_twice).is_held(facts.id)
}
