//! A closer look at what the table does not show: held open, with a table that was read while it is. Nothing is locked or
//! changed.

use super::sheet::{Candidate, Sheet};
use super::{Act, Pass};
use crate::judge::{Judgement, LockSays, Reason, State, Verdict, judge};
use crate::kernel::{FileFacts, Label, ProcLocks};
use crate::remove::Forecast;
use crate::report::{Failure, Outcome};
use crate::tmux::start_lock::is_seen_held;
use crate::tmux::{SocketDir, quarantine};
use crate::witness::{Asker, Witness};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// How many sockets are held open at once.
const AT_ONCE: usize = 128;

/// An entry that is held open, or why not.
type Held = Result<(OwnedFd, FileFacts), Errno>;

/// What is used again from entry to entry.
struct Aids<'d> {
    asker: Asker,
    locks: Option<ProcLocks>,
    /// What a removal would come to, where that is to be said.
    forecast: Option<Forecast<'d>>,
}

impl Pass<'_> {
    /// Settles candidates that are not to be removed now.
    pub(super) fn settle_spared(
        &self,
        witness: &mut Witness,
        dir: &SocketDir,
        spared: Vec<Candidate>,
        sheet: &mut Sheet,
    ) {
        self.look_closely(witness, dir, spared, &mut |candidate, verdict, outcome| {
            sheet.settle(candidate, verdict, outcome);
        });
    }

    /// Settles candidates whose lock cannot be taken: a failure where they are dead, no matter otherwise.
    pub(super) fn settle_unlocked(
        &self,
        witness: &mut Witness,
        dir: &SocketDir,
        unlocked: Vec<(Candidate, Failure)>,
        sheet: &mut Sheet,
    ) {
        let (candidates, failures): (Vec<Candidate>, Vec<Failure>) = unlocked.into_iter().unzip();
        let mut failures = failures.into_iter();
        self.look_closely(witness, dir, candidates, &mut |candidate, verdict, outcome| {
            // One answer for each socket, in the same order.
            let outcome = match failures.next() {
                Some(failure) if verdict.state == State::Dead => Outcome::Failed(failure),
                Some(_) | None => outcome,
            };
            sheet.settle(candidate, verdict, outcome);
        });
    }

    /// Tells of each candidate, in their order, what it is and what becomes of it.
    fn look_closely(
        &self,
        witness: &mut Witness,
        dir: &SocketDir,
        candidates: Vec<Candidate>,
        tell: &mut dyn FnMut(Candidate, Verdict, Outcome),
    ) {
        let forecast = (self.act == Act::DryRun)
            .then(|| Forecast::new(dir, self.user, candidates.iter().map(|candidate| &candidate.label)));
        let mut aids = Aids { asker: Asker::default(), locks: None, forecast };
        let mut rest = candidates.into_iter().peekable();
        while rest.peek().is_some() {
            let mut pinned: Vec<(Candidate, Held)> = Vec::new();
            let reserve = dir.reserve();
            while pinned.len() < AT_ONCE {
                let Some(candidate) = rest.peek() else { break };
                let pin = dir.pin(&candidate.label);
                let is_any_held = pinned.iter().any(|(_, pin)| pin.is_ok());
                if matches!(pin, Err(Errno::MFILE | Errno::NFILE)) && is_any_held {
                    break;
                }
                pinned.extend(rest.next().map(|candidate| (candidate, pin)));
            }
            drop(reserve);
            witness.refresh();
            for (candidate, pin) in pinned {
                let (verdict, outcome) = match pin {
                    Ok((fd, facts)) => {
                        self.judge_held(witness, dir, &candidate.label, &fd, &facts, &mut aids)
                    }
                    Err(Errno::NOENT) => {
                        (Verdict::new(State::Unknown, Reason::NoSuchSocket), Outcome::Vanished)
                    }
                    Err(errno) => {
                        let outcome = match self.act {
                            Act::DryRun => Outcome::Failed(Failure::Look(errno)),
                            Act::Look | Act::Leave | Act::Remove => Outcome::Kept,
                        };
                        (Verdict::new(State::Unknown, Reason::Unreadable(errno)), outcome)
                    }
                };
                tell(candidate, verdict, outcome);
            }
        }
    }

    /// What an entry that is held open is, and what becomes of it where nothing is removed.
    fn judge_held(
        &self,
        witness: &mut Witness,
        dir: &SocketDir,
        label: &Label,
        fd: &OwnedFd,
        facts: &FileFacts,
        aids: &mut Aids<'_>,
    ) -> (Verdict, Outcome) {
        let mut all = self.facts(witness, dir, facts);
        if judge(&all) == Judgement::AskConnect {
            all.answer = Some(aids.asker.ask(fd.as_fd()));
            if is_seen_held(dir, label, &mut aids.locks) {
                all.lock = LockSays::Held;
            }
        }
        let mut verdict = match judge(&all) {
            Judgement::Settled(verdict) => verdict,
            Judgement::AskConnect => Verdict::new(State::Unknown, Reason::ConnectSaysNothing(Errno::IO)),
        };
        let mut outcome = Outcome::Kept;
        if let (State::Starting, Some(forecast)) = (verdict.state, &mut aids.forecast) {
            if self.spares(dir, label).is_none() {
                outcome = forecast.of_starting(label);
            }
        }
        if verdict.state == State::Dead {
            match (self.spares(dir, label), &mut aids.forecast) {
                (Some(why), _) => verdict.reason = why,
                (None, Some(forecast)) => outcome = forecast.of_dead(label),
                (None, None) => {}
            }
            if quarantine::label_of(label).is_some() {
                verdict.reason = Reason::Quarantine;
            }
        }
        (verdict, outcome)
    }
}
