//! One pass: directories, entries, verdicts, outcomes.

use super::follow::{self, Follower, Noting};
use super::{Far, Policy};
use crate::judge::{Facts, Judgement, LockSays, Reason, State, TableSays, Verdict, judge};
use crate::kernel::FileFacts;
use crate::kernel::ProcLocks;
use crate::kernel::Processes;
use crate::kernel::Role;
use crate::kernel::{Mounts, Walk};
use crate::remove::{Reaped, Reaper};
use crate::report::{DirectoryReport, Entry, Report};
use crate::report::{Failure, Outcome};
use crate::tmux::paths;
use crate::tmux::quarantine;
use crate::tmux::shared;
use crate::tmux::start_lock::{is_plain_lock, is_seen_held};
use crate::tmux::{DirectoryError, Rule, SocketDir, whereabouts};
use crate::witness::Asker;
use crate::witness::Witness;

use rustix::io::Errno;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

/// How many sockets are held open at once while they are only looked at.
const LOOKED_AT_ONCE: usize = 128;

/// What a pass may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Look only, and find the servers' pids.
    Look,
    /// Look, and say what would be removed.
    DryRun,
    /// Remove what is dead.
    Remove,
}

/// Where a pass goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The directory.
    pub path: PathBuf,
    /// These names in it; `None`: all.
    pub only: Option<Vec<OsString>>,
    /// Whether the directory must pass tmux's rule and ours.
    pub rule: Rule,
}

impl Target {
    /// A whole directory.
    pub fn whole(path: PathBuf) -> Self {
        Self { path, only: None, rule: Rule::Swept }
    }
}

/// A pass to be made.
pub struct Pass<'a> {
    /// Which dead sockets stay.
    pub policy: &'a dyn Policy,
    /// What becomes of directories that may never answer.
    pub far: &'a dyn Far,
    /// Whose sockets.
    pub user: u32,
    /// What may be done.
    pub act: Act,
}

/// What a closer look uses again from entry to entry.
#[derive(Default)]
struct Aids {
    asker: Asker,
    locks: Option<ProcLocks>,
}

/// What a glance at a name shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glance {
    /// A server listens on it.
    Live {
        /// What `/proc/PID/fd` shows as `socket:[N]`.
        socket: u32,
    },
    /// Nothing of that name is there.
    Absent,
    /// It is something else than a socket.
    NotASocket,
    /// A closer look is needed.
    Unclear,
}

/// An entry that was looked at and not yet judged.
struct Found {
    name: OsString,
    facts: FileFacts,
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
        let mut opened: Vec<(SocketDir, Vec<Found>)> = Vec::new();
        let mounts = Mounts::read();
        let mut far = Vec::new();
        for target in targets {
            if let Walk::Far(path) = whereabouts(&target.path, self.user, &mounts) {
                far.push((target.clone(), path));
                continue;
            }
            match SocketDir::open(&target.path, self.user, target.rule) {
                Ok(None) => {}
                Ok(Some(dir)) if opened.iter().any(|(known, _)| known.id() == dir.id()) => {}
                Ok(Some(dir)) => match self.look_at_target(&dir, target.only.as_deref()) {
                    Ok(found) => {
                        report.directories.push(DirectoryReport { path: dir.path().to_owned(), error: None });
                        opened.push((dir, found));
                    }
                    Err(errno) => report.refused(&target.path, DirectoryError::Unreadable(errno), self.user),
                },
                Err(error) => report.refused(&target.path, error, self.user),
            }
        }
        let opened_paths: Vec<usize> = report
            .directories
            .iter()
            .enumerate()
            .filter(|(_, directory)| directory.error.is_none())
            .map(|(index, _)| index)
            .collect();
        // After the looks: what is listed now was alive then or is new, and both are kept.
        witness.refresh();
        for ((dir, found), index) in opened.iter().zip(opened_paths) {
            self.directory(witness, dir, index, found, &mut report, follower);
        }
        if self.act == Act::Look {
            find_servers(self.user, witness, &opened, &mut report);
        }
        // What is near is done with, and its locks are given back: nobody has to wait for what may not answer.
        drop(opened);
        if !far.is_empty() {
            self.far.look(self.user, witness, far, &mounts, &mut report);
        }
        report.elapsed = started.elapsed();
        report
    }

    /// Looks at a target. What a killed run has left aside in a shared folder is given back first.
    fn look_at_target(&self, dir: &SocketDir, only: Option<&[OsString]>) -> Result<Vec<Found>, Errno> {
        if self.act == Act::Remove && dir.is_shared() {
            let mut reaper = Reaper::new(dir, self.user);
            only.into_iter().flatten().for_each(|label| reaper.restore(label));
        }
        look_at_all(self.policy, dir, only)
    }

    fn directory(
        &self,
        witness: &mut Witness,
        dir: &SocketDir,
        index: usize,
        found: &[Found],
        report: &mut Report,
        follower: &mut dyn Follower,
    ) {
        let mut reaper = Reaper::new(dir, self.user);
        let mut undecided = Vec::new();
        let mut put_back = Vec::new();
        let mut locks = Vec::new();
        for Found { name, facts } in found {
            let mut entry = Entry {
                directory: index,
                elsewhere: None,
                label: name.clone(),
                uid: facts.uid,
                verdict: Verdict::new(State::Unknown, Reason::Unreadable(Errno::IO)),
                outcome: Outcome::Kept,
                server_pid: None,
                panes: Vec::new(),
                socket: None,
            };
            let at = report.entries.len();
            let known = self.facts(witness, dir, facts);
            match known.table {
                TableSays::Listed { role: Role::Listening, socket } => entry.socket = Some(socket),
                TableSays::Elsewhere { role: Role::Listening, pid } => entry.server_pid = Some(pid),
                TableSays::Listed { role: Role::Bound | Role::Datagram, .. }
                | TableSays::Elsewhere { role: Role::Bound | Role::Datagram, .. }
                | TableSays::Twin
                | TableSays::Absent
                | TableSays::Blind(_) => {}
            }
            match judge(&known) {
                Judgement::Settled(verdict) => entry.verdict = verdict,
                Judgement::AskConnect => undecided.push(at),
            }
            if entry.verdict.state == State::Live && self.is_misplaced(witness, dir, name, facts) {
                put_back.push(at);
            }
            if is_plain_lock(facts, self.user) && paths::socket_of_lock(name).is_some() {
                locks.push(at);
            }
            report.entries.push(entry);
        }
        // Two kinds: those that may go, and those that are kept however dead they are.
        let (doomed, spared): (Vec<usize>, Vec<usize>) = undecided.into_iter().partition(|at| {
            let entry = &report.entries[*at];
            self.act == Act::Remove && self.spares(dir, &entry.label).is_none()
        });
        self.look_closely(witness, dir, &spared, report);
        // A quarantine name shares its label's lock: not in one batch with the label, nor with another of it.
        // The deepest first: it stands where the next one has to go.
        let mut batches: BTreeMap<Reverse<usize>, Vec<usize>> = BTreeMap::new();
        for at in doomed {
            let depth = quarantine::depth(&report.entries[at].label);
            batches.entry(Reverse(depth)).or_default().push(at);
        }
        let mut unlocked = Vec::new();
        for doomed in batches.into_values() {
            if follower.is_over() {
                follow::leave(report, doomed.into_iter());
                continue;
            }
            let names: Vec<OsString> = doomed.iter().map(|at| report.entries[*at].label.clone()).collect();
            follower.expect(names.len());
            let mut noting = Noting { report, doomed: doomed.iter(), unlocked: &mut unlocked, follower };
            reaper.reap_before(witness, &names, &mut noting);
            let left: Vec<usize> = noting.doomed.copied().collect();
            follow::leave(report, left.into_iter());
        }
        self.blame_locks(witness, dir, &unlocked, report);
        if follower.is_over() {
            return;
        }
        for at in put_back {
            let entry = &mut report.entries[at];
            if let (Act::Remove, Some(label)) = (self.act, quarantine::label_of(&entry.label)) {
                entry.outcome = reaper.put_back(&entry.label, label);
            }
        }
        self.clear_locks(dir, &mut reaper, &locks, report);
        enter_left_locks(dir, index, &reaper, report);
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
    fn facts(&self, witness: &mut Witness, dir: &SocketDir, facts: &FileFacts) -> Facts {
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
    fn spares(&self, dir: &SocketDir, label: &OsStr) -> Option<Reason> {
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

    /// Judges entries that the table does not show, holding them open: connect(2), with a table that
    /// was read while they were held. Nothing is locked or changed.
    fn look_closely(&self, witness: &mut Witness, dir: &SocketDir, entries: &[usize], report: &mut Report) {
        let mut aids = Aids::default();
        let mut rest = entries;
        while !rest.is_empty() {
            let mut held: Vec<(usize, OwnedFd, FileFacts)> = Vec::new();
            let mut taken = 0;
            let reserve = dir.reserve();
            for at in rest.iter().take(LOOKED_AT_ONCE) {
                match dir.pin(&report.entries[*at].label) {
                    Ok((fd, facts)) => held.push((*at, fd, facts)),
                    Err(Errno::MFILE | Errno::NFILE) if !held.is_empty() => break,
                    Err(errno) => {
                        let entry = &mut report.entries[*at];
                        entry.verdict = Verdict::new(State::Unknown, Reason::Unreadable(errno));
                        if errno == Errno::NOENT {
                            entry.verdict.reason = Reason::NoSuchSocket;
                            entry.outcome = Outcome::Vanished;
                        }
                    }
                }
                taken += 1;
            }
            rest = &rest[taken..];
            drop(reserve);
            witness.refresh();
            for (at, fd, facts) in held {
                let entry = &mut report.entries[at];
                entry.verdict = self.judge_held(witness, dir, &entry.label, &fd, &facts, &mut aids);
                if entry.verdict.state == State::Dead {
                    match self.spares(dir, &entry.label) {
                        Some(why) => entry.verdict.reason = why,
                        None if self.act == Act::DryRun => entry.outcome = Outcome::WouldRemove,
                        None => {}
                    }
                    if quarantine::label_of(&entry.label).is_some() {
                        entry.verdict.reason = Reason::Quarantine;
                    }
                }
            }
        }
    }

    /// Entries whose lock cannot be taken: a failure where they are dead, no matter otherwise.
    fn blame_locks(
        &self,
        witness: &mut Witness,
        dir: &SocketDir,
        unlocked: &[(usize, Failure)],
        report: &mut Report,
    ) {
        let entries: Vec<usize> = unlocked.iter().map(|(at, _)| *at).collect();
        self.look_closely(witness, dir, &entries, report);
        for (at, failure) in unlocked {
            let entry = &mut report.entries[*at];
            if entry.verdict.state == State::Dead {
                entry.outcome = Outcome::Failed(*failure);
            }
        }
    }

    fn judge_held(
        &self,
        witness: &mut Witness,
        dir: &SocketDir,
        label: &OsStr,
        fd: &OwnedFd,
        facts: &FileFacts,
        aids: &mut Aids,
    ) -> Verdict {
        let mut all = self.facts(witness, dir, facts);
        if judge(&all) == Judgement::AskConnect {
            all.answer = Some(aids.asker.ask(fd.as_fd()));
            if is_seen_held(dir, label, &mut aids.locks) {
                all.lock = LockSays::Held;
            }
        }
        match judge(&all) {
            Judgement::Settled(verdict) => verdict,
            Judgement::AskConnect => Verdict::new(State::Unknown, Reason::ConnectSaysNothing(Errno::IO)),
        }
    }

    /// Whether a live socket stands at the quarantine name of the very label it was bound as: a run
    /// was killed between moving it and looking at it.
    fn is_misplaced(&self, witness: &Witness, dir: &SocketDir, name: &OsStr, facts: &FileFacts) -> bool {
        let Some(label) = quarantine::label_of(name) else {
            return false;
        };
        let bound_as = |bound: crate::kernel::Bound<'_>| {
            bound.dev == facts.id.kernel_dev() && bound.name.file_name() == Some(label)
        };
        facts.uid == self.user
            && dir.path().is_absolute()
            && witness.table().with_inode_of(facts.id).any(bound_as)
    }

    /// Empty start locks that nobody holds or has open, and beside which no socket stands.
    fn clear_locks(&self, dir: &SocketDir, reaper: &mut Reaper<'_>, locks: &[usize], report: &mut Report) {
        if locks.is_empty() {
            return;
        }
        let seen = ProcLocks::read();
        for at in locks {
            let entry = &mut report.entries[*at];
            let Some(label) = paths::socket_of_lock(&entry.label) else {
                continue;
            };
            let is_beside_a_socket = dir.look(label).is_ok_and(|facts| facts.is_socket());
            let is_held = dir.look(&entry.label).is_ok_and(|facts| seen.is_held(facts.id));
            if is_beside_a_socket || is_held {
                continue;
            }
            let outcome = match self.act {
                Act::Look => Outcome::Kept,
                Act::DryRun => Outcome::WouldRemove,
                Act::Remove => reaper.clear_lock(&entry.label, label),
            };
            if outcome != Outcome::Kept || self.act == Act::Look {
                entry.verdict.reason = Reason::OrphanedLock;
            }
            entry.outcome = outcome;
        }
    }
}

impl Report {
    fn refused(&mut self, path: &std::path::Path, error: DirectoryError, user: u32) {
        let error = Some(shared::refused_directory(path, error, user));
        self.directories.push(DirectoryReport { path: path.to_owned(), error });
    }
}

/// Enters the lock files that a run without leases leaves, where no socket stands beside them.
fn enter_left_locks(dir: &SocketDir, index: usize, reaper: &Reaper<'_>, report: &mut Report) {
    for lock in reaper.left_locks() {
        let label = paths::socket_of_lock(lock).unwrap_or(lock);
        let is_beside_a_socket = dir.look(label).is_ok_and(|facts| facts.is_socket());
        let Ok(facts) = dir.look(lock) else { continue };
        if is_beside_a_socket {
            continue;
        }
        let verdict = Verdict::new(State::NotASocket, Reason::OrphanedLock);
        let is_it = |entry: &&mut Entry| entry.directory == index && entry.label == lock;
        if let Some(entry) = report.entries.iter_mut().find(is_it) {
            entry.verdict = verdict;
        } else {
            report.entries.push(Entry {
                directory: index,
                elsewhere: None,
                label: lock.to_owned(),
                uid: facts.uid,
                verdict,
                outcome: Outcome::Kept,
                server_pid: None,
                panes: Vec::new(),
                socket: None,
            });
        }
    }
}

/// Everything in a directory, or the given names that are in it.
fn look_at_all(policy: &dyn Policy, dir: &SocketDir, only: Option<&[OsString]>) -> Result<Vec<Found>, Errno> {
    let mut names = only.map_or_else(|| dir.names(), |names| Ok(names.to_vec()))?;
    names.sort_unstable();
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        match dir.look(&name) {
            Ok(facts) if policy.ignores(&name, facts.kind) => {}
            Ok(facts) => found.push(Found { name, facts }),
            // Gone since.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(found)
}

/// Enters what a removal found and did.
pub(super) fn note(entry: &mut Entry, reaped: Reaped) {
    let is_quarantine = quarantine::label_of(&entry.label).is_some();
    entry.verdict = match (reaped.verdict, reaped.outcome) {
        (Some(Verdict { state: State::Dead, .. }), _) if is_quarantine => {
            Verdict::new(State::Dead, Reason::Quarantine)
        }
        (Some(verdict), _) => verdict,
        (None, Outcome::Vanished) => Verdict::new(State::Unknown, Reason::NoSuchSocket),
        (None, Outcome::Failed(Failure::Look(errno))) => {
            Verdict::new(State::Unknown, Reason::Unreadable(errno))
        }
        (None, _) => Verdict::new(State::Dead, Reason::NobodyListens),
    };
    entry.outcome = reaped.outcome;
}

/// Finds the pids of live servers by their sockets' numbers.
fn find_servers(user: u32, witness: &Witness, opened: &[(SocketDir, Vec<Found>)], report: &mut Report) {
    let found = opened.iter().flat_map(|(_, found)| found);
    let mut numbers = Vec::new();
    for (at, found) in found.enumerate() {
        if let (Some(entry), Some(TableSays::Listed { socket, .. })) =
            (report.entries.get(at), witness.lists(found.facts.id))
            && entry.verdict.state == State::Live
        {
            numbers.push((at, socket));
        }
    }
    if numbers.is_empty() {
        return;
    }
    let Ok(processes) = Processes::open() else {
        return;
    };
    let sockets = numbers.iter().map(|(_, socket)| *socket).collect();
    let holders = processes.holders(user, &sockets);
    for (at, socket) in numbers {
        report.entries[at].server_pid = holders.get(&socket).copied();
    }
}
