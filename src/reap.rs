//! The removal: lock, every witness once more, move away, look, unlink, let go.
//!
//! The only place in the program that takes a socket away. It works on batches, so that one look at
//! the kernel's table serves several sockets; each is under its own start lock from before that look
//! until after its removal. Between taking a lock and giving it back there is no sleep, no logging
//! and nothing that can block.

use crate::checkpoint::{Checkpoint, reach};
use crate::outcome::{Failure, Outcome};
use crate::quarantine;
use crate::socket::connect::{Answer, Asker};
use crate::socket::directory::SocketDir;
use crate::socket::file_id::FileFacts;
use crate::socket::sight::Witness;
use crate::socket::verdict::{Facts, Judgement, LockSays, Reason, State, Verdict, judge};
use crate::tmux::start_lock::{Guard, LockFailure, LockRack, Released, Taken};
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};

/// How many sockets are locked and looked at together. More saves little, and each is a start that
/// has to wait.
const BATCH: usize = 32;

/// What a removal found, and what it did.
#[derive(Debug, Clone, Copy)]
pub struct Reaped {
    /// What the socket was under its lock; `None`: it was never looked at under it.
    pub verdict: Option<Verdict>,
    /// What became of it.
    pub outcome: Outcome,
}

/// Removes things from one directory. Its start locks serve all of a run.
#[derive(Debug)]
pub struct Reaper<'d> {
    dir: &'d SocketDir,
    user: u32,
    rack: LockRack<'d>,
    asker: Asker,
}

impl<'d> Reaper<'d> {
    /// A reaper of `user`'s sockets in `dir`.
    pub fn new(dir: &'d SocketDir, user: u32) -> Self {
        Self { dir, user, rack: LockRack::new(dir, user), asker: Asker::default() }
    }

    /// Removes the sockets of `names` that are dead under their lock. The results have the same
    /// order. A quarantine name is removed under its label's lock.
    pub fn reap(&mut self, witness: &mut Witness, names: &[OsString]) -> Vec<Reaped> {
        let mut results = Vec::with_capacity(names.len());
        while results.len() < names.len() {
            let (batch, held) = self.lock_batch(&names[results.len()..]);
            if held {
                reach(Checkpoint::Locked);
                witness.refresh();
                reach(Checkpoint::TableRead);
            }
            for step in batch {
                results.push(match step {
                    Step::Ended(reaped) => reaped,
                    Step::Locked(locked) => {
                        let name = &names[results.len()];
                        let reaped = self.remove_locked(witness, name, &locked);
                        self.rack.release(locked.guard);
                        reaped
                    }
                });
            }
        }
        results
    }

    /// Pins and locks up to [`BATCH`] entries; fewer when descriptors run out. Whether any is locked.
    fn lock_batch(&mut self, names: &[OsString]) -> (Vec<Step>, bool) {
        let mut steps: Vec<Step> = Vec::with_capacity(BATCH.min(names.len()));
        let mut held = false;
        self.rack.trim();
        let reserve = self.dir.reserve();
        for name in names.iter().take(BATCH) {
            let mut step = self.lock_one(name);
            if step.is_starved() {
                if held {
                    break;
                }
                // The locks at rest have descriptors too: use one of them.
                self.rack.rest();
                step = self.lock_one(name);
            }
            held |= matches!(step, Step::Locked(_));
            steps.push(step);
        }
        drop(reserve);
        (steps, held)
    }

    fn lock_one(&mut self, name: &OsStr) -> Step {
        let ended = |outcome| Step::Ended(Reaped { verdict: None, outcome });
        let (pinned, facts) = match self.dir.pin(name) {
            Ok(pinned) => pinned,
            Err(Errno::NOENT) => return ended(Outcome::Vanished),
            Err(errno) => return ended(Outcome::Failed(Failure::Look(errno))),
        };
        reach(Checkpoint::Pinned);
        match self.rack.take(quarantine::label_of(name).unwrap_or(name)) {
            Taken::Ours(guard) => Step::Locked(Locked { pinned, facts, guard }),
            Taken::Busy => Step::Ended(Reaped {
                verdict: Some(Verdict::new(State::Starting, Reason::LockHeld)),
                outcome: Outcome::Busy,
            }),
            Taken::Failed(failure) => ended(Outcome::Failed(Failure::Lock(failure))),
        }
    }

    /// Judges once more under the lock, with a table that was read under it, and removes what is dead.
    fn remove_locked(&mut self, witness: &mut Witness, name: &OsStr, locked: &Locked) -> Reaped {
        let mut facts = Facts {
            kind: locked.facts.kind,
            owner: locked.facts.uid,
            user: self.user,
            file_system: self.dir.file_system(),
            table: witness.says(locked.facts.id),
            answer: None,
            lock: LockSays::Ours,
        };
        let mut judgement = judge(&facts);
        if judgement == Judgement::AskConnect {
            facts.answer = Some(self.asker.ask(locked.pinned.as_fd()));
            judgement = judge(&facts);
        }
        let outcome = match judgement {
            Judgement::Settled(Verdict { state: State::Dead, .. }) => self.take_away(name, locked),
            Judgement::Settled(Verdict { state: State::Live, .. }) => Outcome::Resurrected,
            _ => Outcome::Kept,
        };
        let verdict = match judgement {
            Judgement::Settled(verdict) => Some(verdict),
            Judgement::AskConnect => None,
        };
        Reaped { verdict, outcome }
    }

    /// Moves the pinned socket to its quarantine name, looks whether it is the one, and unlinks it; puts
    /// back what is not.
    ///
    /// The last question to connect(2) is for a server that was bound and did not listen when it was asked
    /// before, and that the table did not show either.
    fn take_away(&mut self, name: &OsStr, locked: &Locked) -> Outcome {
        let dir = self.dir;
        let pinned = &locked.facts;
        reach(Checkpoint::JudgedDead);
        match dir.look(name) {
            Err(Errno::NOENT) => return Outcome::Vanished,
            Err(errno) => return Outcome::Failed(Failure::Look(errno)),
            Ok(now) if now.id != pinned.id => return Outcome::Resurrected,
            Ok(_) => {}
        }
        reach(Checkpoint::Move);
        let quarantine = match move_away(dir, name) {
            Ok(quarantine) => quarantine,
            Err(outcome) => return outcome,
        };
        reach(Checkpoint::Moved);
        match dir.look(&quarantine) {
            Ok(caught)
                if caught.id == pinned.id && self.asker.ask(locked.pinned.as_fd()) == Answer::Refused =>
            {
                reach(Checkpoint::Unlink);
                match rustix::fs::unlinkat(dir, &quarantine, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => Outcome::Removed,
                    Err(errno) => Outcome::Failed(Failure::Remove(errno)),
                }
            }
            Err(Errno::NOENT) => Outcome::Removed,
            _ => {
                reach(Checkpoint::PutBack);
                match rename(dir, &quarantine, name) {
                    Ok(()) => Outcome::Resurrected,
                    Err(errno) => Outcome::Failed(Failure::PutBack(errno)),
                }
            }
        }
    }

    /// Gives a live server's socket back the name it had when a run was killed between moving it
    /// away and looking at it. Under its label's lock; never over anything that stands there.
    pub fn put_back(&mut self, quarantine: &OsStr, label: &OsStr) -> Outcome {
        match self.rack.take(label) {
            Taken::Ours(guard) => {
                let outcome = match rename(self.dir, quarantine, label) {
                    Ok(()) => Outcome::Resurrected,
                    Err(Errno::NOENT) => Outcome::Vanished,
                    Err(errno) => Outcome::Failed(Failure::PutBack(errno)),
                };
                self.rack.release(guard);
                outcome
            }
            Taken::Busy => Outcome::Busy,
            Taken::Failed(failure) => Outcome::Failed(Failure::Lock(failure)),
        }
    }

    /// Removes an empty start lock that nobody holds or has open, under that very lock.
    pub fn clear_lock(&mut self, lock: &OsStr, label: &OsStr) -> Outcome {
        self.rack.trim();
        let Some(guard) = self.rack.adopt(lock) else {
            return Outcome::Kept;
        };
        if self.dir.look(label).is_ok_and(|facts| facts.is_socket()) {
            // A server came meanwhile. The file stays; the next start of the label takes it along.
            return Outcome::Kept;
        }
        match self.rack.release(guard) {
            Released::Gone => Outcome::Removed,
            Released::Left => Outcome::Busy,
        }
    }
}

/// An entry that we hold on to and whose lock we have.
#[derive(Debug)]
struct Locked {
    pinned: OwnedFd,
    facts: FileFacts,
    guard: Guard,
}

#[derive(Debug)]
enum Step {
    Ended(Reaped),
    Locked(Locked),
}

impl Step {
    /// Whether it failed only because no descriptor was left: later there will be one.
    fn is_starved(&self) -> bool {
        let Self::Ended(Reaped { outcome: Outcome::Failed(failure), .. }) = self else {
            return false;
        };
        matches!(
            failure,
            Failure::Look(Errno::MFILE | Errno::NFILE)
                | Failure::Lock(LockFailure::Call(Errno::MFILE | Errno::NFILE))
        )
    }
}

/// Renames to the quarantine name, or to that of the quarantine name where an earlier run left one.
fn move_away(dir: &SocketDir, name: &OsStr) -> Result<OsString, Outcome> {
    let mut quarantine = name.to_owned();
    for _ in 0..2 {
        quarantine = quarantine::name_of(&quarantine).ok_or(Outcome::Failed(Failure::NameTooLong))?;
        match rename(dir, name, &quarantine) {
            Ok(()) => return Ok(quarantine),
            Err(Errno::EXIST) => {}
            Err(Errno::NOENT) => return Err(Outcome::Vanished),
            Err(errno) => return Err(Outcome::Failed(Failure::Move(errno))),
        }
    }
    Err(Outcome::Failed(Failure::QuarantineTaken))
}

fn rename(dir: &SocketDir, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
    rustix::fs::renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE)
}
