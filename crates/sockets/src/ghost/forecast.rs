//! What a rescue would do as things stand, found by looking alone.

use super::folder::trouble;
use super::rescue::{Rescue, barred, clear, declined};
use super::{Anew, Ghost};
use crate::judge::{Bar, Standing};
use crate::kernel::Uid;
use crate::report::{Failure, Outcome};
use crate::sweep::Act;
use crate::tmux::start_lock::{InTheWay, in_the_way};
use crate::tmux::{SocketDir, Strictness};
use crate::witness::Witness;
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
        // Where the lock cannot be had, that is told below.
        let is_cleared = |outcome| {
            matches!(
                outcome,
                Outcome::WouldRemove | Outcome::Vanished | Outcome::Busy | Outcome::Failed(Failure::Lock(_))
            )
        };
        if !entries.any(|entry| is_cleared(entry.outcome)) {
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
    Some(match in_the_way(dir, user, label, &mut None)? {
        InTheWay::Held => Outcome::Busy,
        InTheWay::Failure(failure) => Outcome::Failed(Failure::Lock(failure)),
    })
}
