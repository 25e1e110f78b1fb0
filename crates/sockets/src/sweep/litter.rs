//! What runs that were killed have left: a live socket at its quarantine name, start locks beside which nothing stands.

use super::sheet::{Line, Sheet};
use super::{Act, Pass};
use crate::judge::{Reason, State, Verdict};
use crate::kernel::{Bound, FileFacts, ProcLocks};
use crate::remove::Reaper;
use crate::report::{Failure, Outcome};
use crate::tmux::start_lock::{InTheWay, in_the_way, may_clear};
use crate::tmux::{SocketDir, paths, quarantine};
use crate::witness::Witness;
use rustix::io::Errno;
use std::ffi::OsStr;

impl Pass<'_> {
    /// Whether a live socket stands at the quarantine name of the very label it was bound as: a run
    /// was killed between moving it and looking at it.
    pub(super) fn is_misplaced(
        &self,
        witness: &Witness,
        dir: &SocketDir,
        name: &OsStr,
        facts: &FileFacts,
    ) -> bool {
        let Some(label) = quarantine::label_of(name) else {
            return false;
        };
        let bound_as =
            |bound: Bound<'_>| bound.dev == facts.id.kernel_dev() && bound.name.file_name() == Some(&*label);
        facts.uid == self.user
            && dir.path().is_absolute()
            && witness.table().with_inode_of(facts.id).any(bound_as)
    }

    /// Gives misplaced sockets the name back that they were bound as.
    pub(super) fn put_back(
        &self,
        dir: &SocketDir,
        reaper: &mut Reaper<'_>,
        misplaced: &[Line],
        sheet: &mut Sheet,
    ) {
        for place in misplaced {
            let Some((name, label)) = sheet
                .entry(*place)
                .and_then(|entry| Some((entry.label.clone(), quarantine::label_of(&entry.label)?)))
            else {
                continue;
            };
            let outcome = match self.act {
                Act::Remove => reaper.put_back(&name, &label),
                Act::DryRun => self.would_put_back(dir, &label, sheet),
                Act::Look | Act::Leave => continue,
            };
            if let Some(entry) = sheet.entry(*place) {
                entry.outcome = outcome;
            }
        }
    }

    /// What giving `label` back would fail at; there is no word for what would be done.
    fn would_put_back(&self, dir: &SocketDir, label: &OsStr, sheet: &mut Sheet) -> Outcome {
        let there = sheet.find(label).and_then(|place| sheet.entry(place)).map(|entry| entry.outcome);
        match in_the_way(dir, self.user, label, &mut None) {
            Some(InTheWay::Held) => Outcome::Busy,
            Some(InTheWay::Failure(failure)) => Outcome::Failed(Failure::Lock(failure)),
            None if there == Some(Outcome::WouldRemove) || dir.look(label).is_err() => Outcome::Kept,
            None => Outcome::Failed(Failure::PutBack(Errno::EXIST)),
        }
    }

    /// Empty start locks that nobody holds or has open, and beside which no socket stands.
    pub(super) fn clear_locks(
        &self,
        dir: &SocketDir,
        reaper: &mut Reaper<'_>,
        locks: &[Line],
        sheet: &mut Sheet,
    ) {
        if locks.is_empty() {
            return;
        }
        let seen = ProcLocks::read();
        for place in locks {
            let Some(entry) = sheet.entry(*place) else { continue };
            let Some(label) = paths::socket_of_lock(&entry.label) else {
                continue;
            };
            let is_beside_a_socket = dir.look(&label).is_ok_and(|facts| facts.is_socket());
            // One that has gone went with its socket.
            let is_free = dir.look(&entry.label).is_ok_and(|facts| !seen.is_held(facts.id));
            if is_beside_a_socket || !is_free {
                continue;
            }
            // Litter harms nobody: where it cannot be removed it is kept, and counted.
            let stays = matches!(self.act, Act::Look | Act::Leave) || !may_clear(dir, &entry.label);
            let outcome = match self.act {
                _ if stays => Outcome::Kept,
                Act::Look | Act::Leave | Act::DryRun => Outcome::WouldRemove,
                Act::Remove => reaper.clear_lock(&entry.label, &label),
            };
            if outcome != Outcome::Kept || stays {
                entry.verdict.reason = Reason::OrphanedLock;
            }
            entry.outcome = outcome;
        }
    }
}

/// Enters the lock files that a run without leases leaves, where no socket stands beside them.
pub(super) fn enter_left_locks(dir: &SocketDir, reaper: &Reaper<'_>, sheet: &mut Sheet) {
    for lock in reaper.left_locks() {
        let label = paths::socket_of_lock(lock);
        let is_beside_a_socket =
            label.is_some_and(|label| dir.look(&label).is_ok_and(|facts| facts.is_socket()));
        let Ok(facts) = dir.look(lock) else { continue };
        if is_beside_a_socket {
            continue;
        }
        let verdict = Verdict::new(State::NotASocket, Reason::OrphanedLock);
        match sheet.find(lock) {
            Some(place) => {
                if let Some(entry) = sheet.entry(place) {
                    entry.verdict = verdict;
                }
            }
            None => {
                sheet.enter(lock.clone(), facts.uid, verdict);
            }
        }
    }
}
