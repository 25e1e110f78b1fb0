//! The removal: hold open, look, lock, every witness once more, move away, look, unlink, let go.
//!
//! The only place in the program that takes a socket away. It works on batches, so that two looks at
//! the kernel's table serve several sockets; each is held open from before the first, and under its own start
//! lock from before the second until after its removal. Between taking a lock and giving it back there is no sleep, no logging
//! and nothing that can block.

use super::audience::{Audience, Next, Reaped};
use super::batch::{BATCH, most_together, processor_time};
use super::pin::Pin;
use super::shared;
use crate::kernel::Uid;

use crate::judge::ConnectSays;
use crate::judge::{Facts, Judgement, LockSays, Reason, State, Verdict, judge};
use crate::kernel::Label;
use crate::kernel::checkpoint::{Checkpoint, reach};
use crate::report::{Failure, Outcome};
use crate::tmux::SocketDir;
use crate::tmux::moves;
use crate::tmux::quarantine;
use crate::tmux::start_lock::{Guard, LockFailure, LockRack, Released, Taken};
use crate::witness::Asker;
use crate::witness::Witness;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::time::Instant;

/// Removes things from one directory. Its start locks serve all of a run.
#[derive(Debug)]
pub struct Reaper<'d> {
    dir: &'d SocketDir,
    user: Uid,
    rack: LockRack<'d>,
    asker: Asker,
    /// How many are locked together now.
    batch: usize,
}

impl<'d> Reaper<'d> {
    /// A reaper of `user`'s sockets in `dir`.
    pub fn new(dir: &'d SocketDir, user: Uid) -> Self {
        Self { dir, user, rack: LockRack::new(dir, user), asker: Asker::default(), batch: BATCH }
    }

    /// Removes the sockets of `names` that are dead under their lock. The results have the same
    /// order. A quarantine name is removed under its label's lock.
    pub fn reap(&mut self, witness: &mut Witness, names: &[Label]) -> Vec<Reaped> {
        self.reap_before(witness, names, &mut ())
    }

    /// [`Reaper::reap`], told batch by batch; fewer results where the audience has ended it.
    pub fn reap_before(
        &mut self,
        witness: &mut Witness,
        names: &[Label],
        audience: &mut dyn Audience,
    ) -> Vec<Reaped> {
        let mut results = Vec::with_capacity(names.len());
        while results.len() < names.len() {
            let begun = results.len();
            let (batch, held) = self.lock_batch(witness, &names[results.len()..]);
            if held {
                reach(Checkpoint::Locked);
                witness.refresh();
                reach(Checkpoint::TableRead);
            }
            for step in batch {
                results.push(match step {
                    ReaperStep::Ended(reaped) => reaped,
                    ReaperStep::Locked(locked) => {
                        let name = &names[results.len()];
                        let reaped = self.remove_locked(witness, name, &locked);
                        self.rack.release(locked.guard);
                        reaped
                    }
                });
            }
            match audience.hear(&results[begun..]) {
                Next::GoOn => {}
                Next::Linger => {
                    self.rack.let_go_all();
                    audience.linger();
                }
                Next::End => break,
            }
        }
        results
    }

    /// Locks up to [`BATCH`] entries; fewer when descriptors run out, or when the look at the table took long. Whether any
    /// is locked.
    ///
    /// What a table shows that was read since they are held open is not locked. The one that is read under the
    /// locks can miss a socket (a dump resumes by position), and so can this one; both miss it hardly ever.
    fn lock_batch(&mut self, witness: &mut Witness, names: &[Label]) -> (Vec<ReaperStep>, bool) {
        self.rack.trim();
        let pins = self.pin_batch(names);
        if pins.iter().any(Result::is_ok) {
            let (begun, used) = (Instant::now(), processor_time());
            reach(Checkpoint::Pinned);
            witness.refresh();
            self.batch = most_together(begun.elapsed(), processor_time().saturating_sub(used));
        }
        let mut candidates: VecDeque<Result<Pin, Reaped>> =
            pins.into_iter().map(|pin| self.is_wanted(witness, pin)).collect();
        reach(Checkpoint::Listed);
        let mut steps: Vec<ReaperStep> = Vec::with_capacity(candidates.len());
        let mut held = 0;
        let reserve = self.dir.reserve();
        while held < self.batch {
            let Some(candidate) = candidates.pop_front() else { break };
            let pin = match candidate {
                Ok(pin) => pin,
                Err(reaped) => {
                    steps.push(ReaperStep::Ended(reaped));
                    continue;
                }
            };
            let name = &names[steps.len()];
            let label = quarantine::label_of(name).unwrap_or_else(|| name.clone());
            let mut taken = self.rack.take(&label);
            if is_starved(&taken) {
                if held > 0 {
                    break;
                }
                // The others that are held open have descriptors, and the locks at rest.
                if !is_full(&taken) {
                    candidates.clear();
                }
                self.rack.rest();
                taken = self.rack.take(&label);
            }
            held += usize::from(matches!(taken, Taken::Ours(_)));
            steps.push(ReaperStep::of(taken, pin));
        }
        drop(reserve);
        (steps, held > 0)
    }

    /// Holds as many entries open as may be locked together; fewer when descriptors run out.
    fn pin_batch(&self, names: &[Label]) -> Vec<Result<Pin, Errno>> {
        let mut pins = Vec::with_capacity(self.batch.min(names.len()));
        let reserve = self.dir.reserve();
        for name in names.iter().take(self.batch) {
            match self.dir.pin(name) {
                Err(Errno::MFILE | Errno::NFILE) if !pins.is_empty() => break,
                pin => pins.push(pin.map(|(file, facts)| Pin { file, facts })),
            }
        }
        drop(reserve);
        pins
    }

    /// Whether an entry is to be locked: what it is, the table says without a doubt, or it may be dead.
    fn is_wanted(&self, witness: &mut Witness, pin: Result<Pin, Errno>) -> Result<Pin, Reaped> {
        let ended = |outcome| Err(Reaped { verdict: None, outcome });
        match pin {
            Err(Errno::NOENT) => ended(Outcome::Vanished),
            Err(errno) => ended(Outcome::Failed(Failure::Look(errno))),
            Ok(pin) => match judge(&self.facts(witness, &pin)) {
                Judgement::AskConnect => Ok(pin),
                Judgement::Settled(verdict) => Err(spared(verdict)),
            },
        }
    }

    /// What is known of an entry that is held open. If it is asked about after its lock was taken, that is ours.
    fn facts(&self, witness: &mut Witness, pin: &Pin) -> Facts {
        Facts {
            kind: pin.facts.kind,
            owner: pin.facts.uid,
            user: self.user,
            file_system: self.dir.file_system(),
            table: witness.says_in(self.dir.path(), pin.facts.id),
            answer: None,
            lock: LockSays::Ours,
        }
    }

    /// Judges once more under the lock, with a table that was read under it, and removes what is dead.
    fn remove_locked(&mut self, witness: &mut Witness, name: &Label, locked: &Locked) -> Reaped {
        let mut facts = self.facts(witness, &locked.pin);
        if judge(&facts) == Judgement::AskConnect {
            facts.answer = Some(self.asker.ask(locked.pin.file.as_fd()));
        }
        match judge(&facts) {
            Judgement::Settled(verdict @ Verdict { state: State::Dead, .. }) => {
                Reaped { verdict: Some(verdict), outcome: self.take_away(name, &locked.pin) }
            }
            Judgement::Settled(verdict) => spared(verdict),
            Judgement::AskConnect => Reaped { verdict: None, outcome: Outcome::Kept },
        }
    }

    /// Moves the pinned socket to its quarantine name, looks whether it is the one, and unlinks it; puts
    /// back what is not. What stands at a quarantine name already is not moved: nobody binds that name.
    ///
    /// The last question to connect(2) is for a server that was bound and did not listen when it was asked
    /// before, and that the tables did not show either.
    fn take_away(&mut self, name: &Label, pin: &Pin) -> Outcome {
        let dir = self.dir;
        reach(Checkpoint::JudgedDead);
        match dir.look(name) {
            Err(Errno::NOENT) => return Outcome::Vanished,
            Err(errno) => return Outcome::Failed(Failure::Look(errno)),
            Ok(now) if now.id != pin.facts.id => return Outcome::Resurrected,
            Ok(_) => {}
        }
        let is_left = quarantine::label_of(name).is_some();
        if dir.is_shared() && !is_left {
            return shared::take_away(dir, self.user, name, pin, &mut self.asker);
        }
        let quarantine = if is_left {
            name.clone()
        } else {
            reach(Checkpoint::Move);
            match move_away(dir, name) {
                Ok(quarantine) => quarantine,
                Err(outcome) => return outcome,
            }
        };
        reach(Checkpoint::Moved);
        match dir.look(&quarantine) {
            Ok(caught)
                if caught.id == pin.facts.id && self.asker.ask(pin.file.as_fd()) == ConnectSays::Refused =>
            {
                if is_left && dir.is_shared() {
                    shared::free_name(dir, self.user, name);
                }
                reach(Checkpoint::Unlink);
                match rustix::fs::unlinkat(dir, quarantine.as_os_str(), AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => Outcome::Removed,
                    Err(errno) => Outcome::Failed(Failure::Remove(errno)),
                }
            }
            Err(Errno::NOENT) => Outcome::Removed,
            _ if is_left => Outcome::Resurrected,
            _ => {
                reach(Checkpoint::PutBack);
                match moves::to_shared(dir, &quarantine, name) {
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
                let outcome = match moves::to_shared(self.dir, quarantine, label) {
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

    /// Gives `label` back what a run that was killed in a shared folder had put aside. Under its lock; if that is
    /// held, it is left for another run.
    pub fn restore(&mut self, label: &OsStr) {
        if self.dir.is_shared() && shared::is_left(self.dir, self.user, label) {
            if let Taken::Ours(guard) = self.rack.take(label) {
                shared::restore(self.dir, self.user, label);
                self.rack.release(guard);
            }
        }
    }

    /// The lock files that were left, because no lease can be had here.
    pub fn left_locks(&self) -> impl Iterator<Item = &Label> {
        self.rack.left().iter()
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

/// The same with its lock.
#[derive(Debug)]
struct Locked {
    pin: Pin,
    guard: Guard,
}

#[derive(Debug)]
enum ReaperStep {
    Ended(Reaped),
    Locked(Locked),
}

impl ReaperStep {
    fn of(taken: Taken, pin: Pin) -> Self {
        match taken {
            Taken::Ours(guard) => Self::Locked(Locked { pin, guard }),
            Taken::Busy => Self::Ended(Reaped {
                verdict: Some(Verdict::new(State::Starting, Reason::LockHeld)),
                outcome: Outcome::Busy,
            }),
            Taken::Failed(failure) => {
                Self::Ended(Reaped { verdict: None, outcome: Outcome::Failed(Failure::Lock(failure)) })
            }
        }
    }
}

/// What is kept, and why.
fn spared(verdict: Verdict) -> Reaped {
    let outcome = if verdict.state == State::Live { Outcome::Resurrected } else { Outcome::Kept };
    Reaped { verdict: Some(verdict), outcome }
}

/// Whether it failed only because no descriptor or no inode was left: later there will be one. A socket that is removed
/// leaves its inode to the next lock.
fn is_starved(taken: &Taken) -> bool {
    is_full(taken) || matches!(taken, Taken::Failed(LockFailure::Call(Errno::MFILE | Errno::NFILE)))
}

fn is_full(taken: &Taken) -> bool {
    matches!(taken, Taken::Failed(LockFailure::NoRoom { .. } | LockFailure::Call(Errno::DQUOT)))
}

/// Renames to the quarantine name, or to that of the quarantine name where an earlier run left one.
fn move_away(dir: &SocketDir, name: &OsStr) -> Result<Label, Outcome> {
    let names = std::iter::successors(quarantine::name_of(name), |before| quarantine::name_of(before));
    let mut last = Failure::NameTooLong;
    for quarantine in names.take(2) {
        match moves::to_own(dir, name, &quarantine) {
            Ok(()) => return Ok(quarantine),
            Err(Errno::EXIST) => last = Failure::QuarantineTaken,
            Err(Errno::NOENT) => return Err(Outcome::Vanished),
            Err(errno) => return Err(Outcome::Failed(Failure::Move(errno))),
        }
    }
    Err(Outcome::Failed(last))
}
