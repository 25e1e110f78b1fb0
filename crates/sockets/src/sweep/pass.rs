//! One pass: what is in the directories is looked at, judged by the table, and then what may be dead is looked at closely or
//! removed. A name goes one way: looked at, then settled or a candidate, then doomed or spared, then settled with an outcome.

use super::follow::{Follower, Noting};
use super::litter::enter_left_locks;
use super::sheet::{Candidate, Sheet};
use super::{Act, Far, Policy, Target, servers};
use crate::judge::{Facts, Judgement, LockSays, Reason, State, TableSays, Verdict, judge};
use crate::kernel::{FileFacts, Mounts, Role, Walk};
use crate::kernel::{Label, SocketNumber, Uid};
use crate::remove::Reaper;
use crate::report::{DirectoryNumber, DirectoryReport, Failure, LeftAlone, Report};
use crate::tmux::paths::{self, Refusal};
use crate::tmux::shared::Shared;
use crate::tmux::start_lock::is_plain_lock;
use crate::tmux::{DirectoryError, SocketDir, quarantine, whereabouts};
use crate::witness::Witness;
use rustix::io::Errno;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::time::{Instant, SystemTime};

/// A pass to be made.
pub struct Pass<'a> {
    /// Which dead sockets stay.
    pub policy: &'a dyn Policy,
    /// What becomes of directories that may never answer.
    pub far: &'a dyn Far,
    /// Whose sockets.
    pub user: Uid,
    /// What may be done.
    pub act: Act,
}

/// What a glance at a name shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glance {
    /// A server listens on it.
    Live {
        /// What `/proc/PID/fd` shows as `socket:[N]`.
        socket: SocketNumber,
    },
    /// Nothing of that name is there.
    Absent,
    /// It is something else than a socket.
    NotASocket,
    /// A closer look is needed.
    Unclear,
}

/// A name that was looked at and not yet judged.
struct Looked {
    label: Label,
    facts: FileFacts,
}

/// A directory that is open, and what is in it.
struct Opened {
    dir: SocketDir,
    number: DirectoryNumber,
    looked: Vec<Looked>,
}

impl Pass<'_> {
    /// Makes the pass. The table is read anew, after every name was looked at.
    pub fn run(&self, witness: &mut Witness, targets: &[Target]) -> Report {
        self.run_before(witness, targets, &mut ())
    }

    /// [`Pass::run`] with somebody who follows it, and may end it.
    pub fn run_before(
        &self,
        witness: &mut Witness,
        targets: &[Target],
        follower: &mut dyn Follower,
    ) -> Report {
        let started = Instant::now();
        let mut report = Report::default();
        let mut all: Vec<Opened> = Vec::new();
        let mounts = Mounts::read();
        let mut far = Vec::new();
        for target in targets {
            if let Walk::Far(path) = whereabouts(&target.path, self.user, &mounts) {
                far.push((target.clone(), path));
                continue;
            }
            match SocketDir::open(&target.path, self.user, target.rule) {
                Ok(None) => {}
                Ok(Some(dir)) if all.iter().any(|known| known.dir.id() == dir.id()) => {}
                Ok(Some(dir)) => match self.look_at_target(&dir, target.only.as_deref()) {
                    Ok(looked) => {
                        let path = dir.path().to_owned();
                        let number = report.add_directory(DirectoryReport { path, error: None });
                        all.push(Opened { dir, number, looked });
                    }
                    Err(errno) => self.refuse(&mut report, &target.path, DirectoryError::Unreadable(errno)),
                },
                Err(error) => self.refuse(&mut report, &target.path, error),
            }
        }
        // After the looks: what is listed now was alive then or is new, and both are kept.
        witness.refresh();
        for opened in &mut all {
            self.directory(witness, opened, &mut report, follower);
        }
        if self.act == Act::Look {
            servers::find(self.user, &mut report);
        }
        // What is near is done with, and its locks are given back: nobody has to wait for what may not answer.
        drop(all);
        if !far.is_empty() {
            self.far.look(self.user, witness, far, &mounts, &mut report);
        }
        report.elapsed = started.elapsed();
        report
    }

    fn refuse(&self, report: &mut Report, path: &Path, error: DirectoryError) {
        let error = Some(left_alone(path, error, self.user));
        report.add_directory(DirectoryReport { path: path.to_owned(), error });
    }

    /// Looks at a target. What a killed run has left aside in a shared folder is given back first.
    fn look_at_target(&self, dir: &SocketDir, only: Option<&[Label]>) -> Result<Vec<Looked>, Errno> {
        if self.act == Act::Remove && dir.is_shared() {
            let mut reaper = Reaper::new(dir, self.user);
            only.into_iter().flatten().for_each(|label| reaper.restore(label));
        }
        look_at_all(self.policy, dir, only)
    }

    fn directory(
        &self,
        witness: &mut Witness,
        opened: &mut Opened,
        report: &mut Report,
        follower: &mut dyn Follower,
    ) {
        let dir = &opened.dir;
        let mut reaper = Reaper::new(dir, self.user);
        let mut sheet = Sheet::new(opened.number, report);
        let (mut candidates, mut misplaced, mut locks) = (Vec::new(), Vec::new(), Vec::new());
        for Looked { label, facts } in std::mem::take(&mut opened.looked) {
            let known = self.facts(witness, dir, &facts);
            let verdict = match judge(&known) {
                Judgement::AskConnect => {
                    candidates.push(sheet.open(label, facts.uid));
                    continue;
                }
                Judgement::Settled(verdict) => verdict,
            };
            let is_misplaced =
                verdict.state == State::Live && self.is_misplaced(witness, dir, &label, &facts);
            let is_lock = is_plain_lock(&facts, self.user) && paths::socket_of_lock(&label).is_some();
            let place = sheet.enter(label, facts.uid, verdict);
            if let Some(entry) = sheet.entry(place) {
                entry.socket = known.table.listening_socket();
                entry.server_pid = known.table.listener_elsewhere();
                entry.is_executable = Some(facts.mode & 0o111 != 0);
            }
            if is_misplaced {
                misplaced.push(place);
            }
            if is_lock {
                locks.push(place);
            }
        }
        // Those that may be removed, and those that are kept: by the configuration, or as this run only looks.
        let (doomed, spared): (Vec<Candidate>, Vec<Candidate>) = candidates
            .into_iter()
            .partition(|candidate| self.act == Act::Remove && self.spares(dir, &candidate.label).is_none());
        self.settle_spared(witness, dir, spared, &mut sheet);
        let unlocked = remove(witness, &mut reaper, doomed, (report, &mut sheet), follower);
        self.settle_unlocked(witness, dir, unlocked, &mut sheet);
        if !follower.is_over() {
            self.put_back(dir, &mut reaper, &misplaced, &mut sheet);
            self.clear_locks(dir, &mut reaper, &locks, &mut sheet);
            enter_left_locks(dir, &reaper, &mut sheet);
        }
        report.entries.extend(sheet.close());
    }

    /// What the table alone, as last read, says of a name. Nobody is connected to or locked.
    pub fn glance(&self, witness: &mut Witness, dir: &SocketDir, name: &OsStr) -> Glance {
        let facts = match dir.look(name) {
            Err(Errno::NOENT) => return Glance::Absent,
            Err(_) => return Glance::Unclear,
            Ok(facts) if !facts.is_socket() => return Glance::NotASocket,
            Ok(facts) => facts,
        };
        let known = self.facts(witness, dir, &facts);
        match (judge(&known), known.table) {
            (
                Judgement::Settled(Verdict { state: State::Live, .. }),
                TableSays::Listed { socket, role: Role::Listening },
            ) => Glance::Live { socket },
            _ => Glance::Unclear,
        }
    }

    /// What is known of an entry without holding it open and without touching it.
    pub(super) fn facts(&self, witness: &mut Witness, dir: &SocketDir, facts: &FileFacts) -> Facts {
        let table = if facts.is_socket() && facts.uid == self.user {
            witness.says_in(dir.path(), facts.id)
        } else {
            TableSays::Absent
        };
        Facts {
            kind: facts.kind,
            owner: facts.uid,
            user: self.user,
            file_system: dir.file_system(),
            table,
            answer: None,
            lock: LockSays::Free,
        }
    }

    /// Why the settings keep a dead socket of that name; `None`: they do not.
    pub(super) fn spares(&self, dir: &SocketDir, label: &OsStr) -> Option<Reason> {
        if quarantine::label_of(label).is_some() {
            return None;
        }
        if self.policy.keeps(label) {
            return Some(Reason::KeptLabel);
        }
        let is_young = !self.policy.min_age().is_zero()
            && !dir.look(label).is_ok_and(|facts| self.is_old_enough(&facts));
        is_young.then_some(Reason::TooYoung)
    }

    /// A time in the future is young: clocks step.
    fn is_old_enough(&self, facts: &FileFacts) -> bool {
        SystemTime::now().duration_since(facts.changed).is_ok_and(|age| age >= self.policy.min_age())
    }
}

/// What is to be told of a directory that is left alone. Where others can write it, it was named in place of something
/// that is in it.
pub fn left_alone(path: &Path, error: DirectoryError, user: Uid) -> LeftAlone {
    match error {
        DirectoryError::Refused(Refusal::WritableByOthers(mode)) => {
            LeftAlone::Shared(Box::new(Shared::look(path, mode, user)))
        }
        error => LeftAlone::Refused(error),
    }
}

/// Removes what is dead of the doomed. Those whose lock cannot be taken.
fn remove(
    witness: &mut Witness,
    reaper: &mut Reaper<'_>,
    doomed: Vec<Candidate>,
    (report, sheet): (&Report, &mut Sheet),
    follower: &mut dyn Follower,
) -> Vec<(Candidate, Failure)> {
    // A quarantine name shares its label's lock: not in one batch with the label, nor with another of it.
    // The deepest first: it stands where the next one has to go.
    let mut batches: BTreeMap<Reverse<usize>, Vec<Candidate>> = BTreeMap::new();
    for candidate in doomed {
        let depth = quarantine::depth(&candidate.label);
        batches.entry(Reverse(depth)).or_default().push(candidate);
    }
    let mut unlocked = Vec::new();
    for doomed in batches.into_values() {
        if follower.is_over() {
            break;
        }
        let names: Vec<Label> = doomed.iter().map(|candidate| candidate.label.clone()).collect();
        follower.expect(names.len());
        let doomed = doomed.into_iter();
        let mut noting = Noting { report, sheet, doomed, unlocked: &mut unlocked, follower };
        reaper.reap_before(witness, &names, &mut noting);
    }
    unlocked
}

/// Everything in a directory, or the given names that are in it.
fn look_at_all(policy: &dyn Policy, dir: &SocketDir, only: Option<&[Label]>) -> Result<Vec<Looked>, Errno> {
    let mut names = only.map_or_else(|| dir.names(), |names| Ok(names.to_vec()))?;
    names.sort_unstable();
    let mut looked = Vec::with_capacity(names.len());
    for label in names {
        match dir.look(&label) {
            Ok(facts) if policy.ignores(&label, facts.kind) => {}
            Ok(facts) => looked.push(Looked { label, facts }),
            // Gone since.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(looked)
}
