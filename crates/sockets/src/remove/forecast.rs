//! What a removal would fail at as things stand, found by looking alone.

use super::shared;
use crate::kernel::{Label, ProcLocks, Uid};
use crate::report::{Failure, Outcome};
use crate::tmux::SocketDir;
use crate::tmux::quarantine;
use crate::tmux::start_lock::{InTheWay, LockFailure, in_the_way};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;

/// Foresees what [`super::Reaper`] would do in one directory. It is asked in the order in which that would go.
#[derive(Debug)]
pub struct Forecast<'d> {
    dir: &'d SocketDir,
    user: Uid,
    /// Quarantine names that the same run would clear first.
    cleared: BTreeSet<Label>,
    locks: Option<ProcLocks>,
    /// Something would have been removed by now: its inode serves the next lock.
    has_inode: bool,
}

impl<'d> Forecast<'d> {
    /// Of a run that is to remove those of these `names` that are dead.
    pub fn new<'n>(dir: &'d SocketDir, user: Uid, names: impl Iterator<Item = &'n Label>) -> Self {
        let cleared = names.filter(|name| quarantine::label_of(name).is_some()).cloned().collect();
        Self { dir, user, cleared, locks: None, has_inode: false }
    }

    /// What becomes of a socket whose start lock is held: a removal that gets as far finds it so.
    pub fn of_starting(&mut self, label: &OsStr) -> Outcome {
        match self.lock(label) {
            Some(InTheWay::Held) => Outcome::Busy,
            Some(InTheWay::Failure(_)) | None => Outcome::Kept,
        }
    }

    /// What becomes of a dead socket.
    pub fn of_dead(&mut self, name: &Label) -> Outcome {
        let left = quarantine::label_of(name);
        match self.lock(left.as_ref().unwrap_or(name)) {
            Some(InTheWay::Held) => return Outcome::Busy,
            Some(InTheWay::Failure(failure)) => return Outcome::Failed(Failure::Lock(failure)),
            None => {}
        }
        if let Some(failure) = self.quarantine(name).filter(|_| left.is_none()) {
            return Outcome::Failed(failure);
        }
        self.has_inode = true;
        Outcome::WouldRemove
    }

    /// Why the start lock of `label` cannot be had.
    pub fn lock(&mut self, label: &OsStr) -> Option<InTheWay> {
        match in_the_way(self.dir, self.user, label, &mut self.locks) {
            Some(InTheWay::Failure(LockFailure::NoRoom { .. })) if self.has_inode => None,
            other => other,
        }
    }

    /// Why a socket could not be given a quarantine name: the first two of them are tried, in a shared folder one.
    fn quarantine(&self, name: &OsStr) -> Option<Failure> {
        let is_shared = self.dir.is_shared();
        let names = std::iter::successors(quarantine::name_of(name), |before| quarantine::name_of(before));
        let mut failure = Failure::NameTooLong;
        for aside in names.take(if is_shared { 1 } else { 2 }) {
            let is_free = self.dir.look(&aside).is_err_and(|errno| errno == Errno::NOENT)
                || self.cleared.contains(&aside)
                || is_shared && shared::is_placeholder(self.dir, self.user, &aside);
            if is_free {
                return None;
            }
            failure = Failure::QuarantineTaken;
        }
        Some(failure)
    }
}
