//! What a rescue would do as things stand, found by looking alone.

use super::folder::trouble;
use super::rescue::{Rescue, barred, clear, declined};
use super::{Anew, Ghost};
use crate::judge::{Bar, Standing};
use crate::kernel::ProcLocks;
use crate::kernel::Uid;
use crate::report::{Failure, Outcome};
use crate::sweep::Act;
use crate::tmux::paths;
use crate::tmux::start_lock::LockFailure;
use crate::tmux::{SocketDir, Strictness};
use crate::witness::Witness;
use rustix::fs::FileType;
use std::ffi::OsStr;

/// What [`super::rescue()`] would do to a ghost: every step of it that can be looked at without taking it.
pub fn would_rescue(user: Uid, witness: &mut Witness, ghost: &Ghost, anew: Anew) -> Rescue {
    let mut rescue = Rescue { outcome: Outcome::WouldRescue, ..Rescue::kept(ghost) };
    if let Some(outcome) = barred(ghost.plight) {
        rescue.outcome = outcome;
        return rescue;
    }
    if ghost.plight.standing == Standing::Socket {
        rescue.cleared = clear(user, witness, ghost, Act::DryRun);
        let mut entries = rescue.cleared.iter().flat_map(|cleared| &cleared.entries);
        if !entries.any(|entry| matches!(entry.outcome, Outcome::WouldRemove | Outcome::Vanished)) {
            rescue.plight.bar = Some(Bar::Unproven);
            rescue.outcome = Outcome::Kept;
            return rescue;
        }
    }
    let in_the_way = || {
        let dir = SocketDir::open(ghost.path.parent()?, user, Strictness::LookedAt).ok()??;
        lock_is_in_the_way(user, &dir, ghost.path.file_name()?)
    };
    if let Some(trouble) = trouble(ghost, user, anew) {
        rescue.outcome = declined(&mut rescue.plight, trouble);
    } else if let Some(outcome) = in_the_way() {
        if outcome == Outcome::Busy {
            rescue.plight.bar = Some(Bar::Starting);
        }
        rescue.outcome = outcome;
    }
    rescue
}

/// What taking a label's start lock would end with, if it could not be had.
pub(super) fn lock_is_in_the_way(user: Uid, dir: &SocketDir, label: &OsStr) -> Option<Outcome> {
    let facts = dir.look(&paths::lock_name(label)).ok()?;
    let failed = |failure| Some(Outcome::Failed(Failure::Lock(failure)));
    match facts.kind {
        FileType::RegularFile if facts.uid != user => failed(LockFailure::NotOurs(facts.uid)),
        FileType::RegularFile => ProcLocks::read_twice().is_held(facts.id).then_some(Outcome::Busy),
        kind => failed(LockFailure::NotAFile(kind)),
    }
}
