//! What became of an entry.

use crate::judge::RescueFailure;
use crate::tmux::start_lock::LockFailure;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// What a run did with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Taken away.
    Removed,
    /// Would be, were this not a dry run.
    WouldRemove,
    /// Left where it is.
    Kept,
    /// Gone before we acted.
    Vanished,
    /// Its lock was held: a start is under way.
    Busy,
    /// Another socket stood there by then; put back.
    Resurrected,
    /// A ghost has its socket again.
    Rescued,
    /// It would have, were this not a dry run.
    WouldRescue,
    /// A newer server's socket has a second name, and the ghost whose path it had taken has that again.
    SetAside,
    /// It would have.
    WouldSetAside,
    /// It could not be done.
    Failed(Failure),
}

/// Which step could not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// Taking the start lock.
    Lock(LockFailure),
    /// Looking at the entry.
    Look(#[serde(with = "crate::kernel::as_data::errno")] Errno),
    /// Moving it to its quarantine name.
    Move(#[serde(with = "crate::kernel::as_data::errno")] Errno),
    /// Removing it from there.
    Remove(#[serde(with = "crate::kernel::as_data::errno")] Errno),
    /// A quarantine name of an earlier run is in the way.
    QuarantineTaken,
    /// Its name is too long to get a quarantine name.
    NameTooLong,
    /// Another socket was caught and could not be put back: it stands at its quarantine name.
    PutBack(#[serde(with = "crate::kernel::as_data::errno")] Errno),
    /// Giving a ghost its socket back.
    Rescue(RescueFailure),
}
