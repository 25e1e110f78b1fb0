//! The daemon's looks: the sweep's pass on a narrow target, and what was seen goes to the engine.

use super::deaths::Untied;
use super::engine::{Dir, Happening, Listens, Seen, Server};
use super::line_writer::ReaderGone;
use super::schedule::Name;
use super::teller::AsDone;
use super::watcher::Watcher;
use crate::pass::far::Apart;
use crate::view::events::{Event, What};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::time::Instant;
use tmux_sockets::judge::{Reason, State, TableSays};
use tmux_sockets::report::Outcome;
use tmux_sockets::report::Report;
use tmux_sockets::sweep::{Act, Glance, Pass, Target};
use tmux_sockets::tmux::Rule;

/// A live server whose process is not known yet.
#[derive(Debug)]
pub(super) struct Fresh {
    name: Name,
    socket: u32,
}

impl Watcher {
    /// Looks at names of one directory as the sweep does, and removes what is dead.
    pub(super) fn look(&mut self, dir: Dir, labels: &[OsString]) -> Result<(), ReaderGone> {
        self.hints();
        let started = Instant::now();
        self.engine.look_begins();
        let path = self.places.path(dir).to_owned();
        let target = Target { path, only: Some(labels.to_vec()), rule: Rule::Swept };
        let pass = Pass { policy: &self.settings, far: &Apart, user: self.user, act: self.act };
        let owner = |label: &OsStr| self.engine.owner(dir, label);
        let mut as_done = AsDone { once: &mut self.once, owner: &owner, told: HashSet::new() };
        let mut report = pass.run_before(&mut self.witness, &[target], &mut as_done);
        let told = as_done.told;
        if self.witness.blindness().is_some() {
            // A server that was just starting or ending may have made it seem so.
            self.witness.forget_surroundings();
        }
        let refused = report.directories.iter().any(|directory| directory.error.is_some());
        let absent = if refused { Seen::Undecided } else { Seen::Absent };
        let mut seen = self.seen(dir, &report);
        self.hints();
        let mut pids = HashMap::new();
        for label in labels {
            let seen = seen.remove(label.as_os_str()).unwrap_or(absent);
            for happening in self.take_in(dir, label, seen) {
                pids.extend(happening.pid().map(|pid| (label.clone(), pid)));
                self.happened(dir, label, happening)?;
            }
        }
        self.engine.look_ends();
        for entry in &mut report.entries {
            entry.server_pid = entry.server_pid.or_else(|| pids.get(&entry.label).copied());
        }
        self.news |= self.once.pass(&report, &|at| told.contains(&at));
        self.schedule.looked(started, Instant::now());
        Ok(())
    }

    /// Looks closely at names that a glance could not decide.
    pub(super) fn look_again(&mut self, names: Vec<Name>) -> Result<(), ReaderGone> {
        for (dir, mut labels) in by_dir(names) {
            let directory = self.places.open(dir);
            let engine = &self.engine;
            labels.retain(|label| {
                let is_there = directory.as_ref().is_some_and(|directory| directory.look(label).is_ok());
                is_there || engine.knows(dir, label)
            });
            drop(directory);
            if !labels.is_empty() {
                self.look(dir, &labels)?;
            }
        }
        self.announce()
    }

    /// Looks in the table for those who were just born, and connects to nobody. A server that was
    /// caught between bind and listen must not be taken for a dead one.
    pub(super) fn glance(&mut self, names: Vec<Name>) -> Result<(), ReaderGone> {
        self.hints();
        let started = Instant::now();
        self.engine.look_begins();
        self.witness.refresh();
        let mut all = Vec::with_capacity(names.len());
        for (dir, labels) in by_dir(names) {
            let directory = self.places.open(dir);
            for label in labels {
                let pass = Pass { policy: &self.settings, far: &Apart, user: self.user, act: Act::Look };
                let glance = match &directory {
                    Some(directory) => pass.glance(&mut self.witness, directory, &label),
                    None => Glance::Unclear,
                };
                let seen = match glance {
                    Glance::Live { socket } => Seen::Live { socket: Some(socket), pid: None },
                    Glance::Absent | Glance::NotASocket => Seen::Absent,
                    Glance::Unclear => {
                        self.schedule.unclear((dir, label), Instant::now());
                        continue;
                    }
                };
                all.push((dir, label, seen));
            }
        }
        self.hints();
        for (dir, label, seen) in all {
            for happening in self.take_in(dir, &label, seen) {
                self.happened(dir, &label, happening)?;
            }
        }
        self.engine.look_ends();
        self.schedule.looked(started, Instant::now());
        self.announce()
    }

    /// Ties the servers that were found to their processes, and announces them.
    pub(super) fn announce(&mut self) -> Result<(), ReaderGone> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        let fresh = std::mem::take(&mut self.fresh);
        let sockets = fresh.iter().map(|fresh| (fresh.socket, fresh.name.clone())).collect();
        let ties = self.deaths.tie(&sockets);
        self.witness.refresh();
        let listed: HashSet<u32> = self.witness.table().iter().map(|bound| bound.socket).collect();
        self.unfound.retain(|socket| listed.contains(socket));
        for Fresh { name, socket } in fresh {
            let Some(tie) = ties.get(&socket) else { continue };
            if !listed.contains(&socket) {
                // It ended while its process was looked for, or a dump has missed it.
                self.schedule.unsettled(name, Instant::now());
                continue;
            }
            let (dir, label) = name;
            let announced = self.engine.server(dir, &label, socket).and_then(|server| server.pid);
            if tie.is_new && announced.is_some() && announced != tie.pid {
                // Whoever holds the socket of a server that has ended may close it without ending.
                self.schedule.unclear((dir, label.clone()), Instant::now());
            }
            match tie.untied {
                // One that ends at once is in the table for a moment after its process has gone: nobody's fault.
                Some(Untied::NoProcess) if self.unfound.insert(socket) => {
                    self.schedule.unclear((dir, label.clone()), Instant::now());
                }
                Some(why) => self.say_untied(dir, &label, why),
                None => {}
            }
            let seen = Seen::Live { socket: Some(socket), pid: tie.pid };
            for happening in self.digest(dir, &label, seen) {
                self.happened(dir, &label, happening)?;
            }
        }
        Ok(())
    }

    /// A server that is not tied to its process yet waits for [`Self::announce`].
    fn take_in(&mut self, dir: Dir, label: &OsStr, seen: Seen) -> Vec<Happening> {
        if let Seen::Live { socket: Some(socket), .. } = seen
            && !self.engine.is_late(dir, label)
        {
            let name = (dir, label.to_owned());
            let pid = self.engine.server(dir, label, socket).and_then(|server| server.pid);
            if !pid.is_some_and(|pid| self.deaths.is_watching(pid, &name)) {
                self.fresh.push(Fresh { name, socket });
                return Vec::new();
            }
        }
        self.digest(dir, label, seen)
    }

    fn digest(&mut self, dir: Dir, label: &OsStr, seen: Seen) -> Vec<Happening> {
        let name = (dir, label.to_owned());
        let is_born = self.engine.expects(dir, label);
        let (witness, deaths, closing) = (&self.witness, &self.deaths, &self.closing);
        let closed = RefCell::new(None);
        let happenings = self.engine.digest(dir, label, seen, |server: &Server| {
            let Some(socket) = server.socket else { return Listens::No };
            if witness.table().shows_socket(socket) {
                return Listens::Yes;
            }
            let Some(pid) = server.pid else {
                // Of a table that could not be read nothing is concluded.
                return if witness.was_read() { Listens::No } else { Listens::Yes };
            };
            // A dump can miss one.
            if deaths.holds(pid, socket) {
                return Listens::Yes;
            }
            let heir = deaths.listens_anew(pid, witness.table(), &name);
            match heir {
                _ if !deaths.is_alive(pid, &name) => Listens::No,
                Some(heir) => Listens::Anew(heir),
                None if closing.contains(&socket) => Listens::No,
                None => {
                    *closed.borrow_mut() = Some(socket);
                    Listens::Maybe
                }
            }
        });
        if is_born && self.engine.is_haunted_at(dir, label) {
            // What was made here may have been its socket, and is gone again.
            self.schedule.ghost_seen(Instant::now());
        }
        for happening in &happenings {
            self.closing.retain(|socket| happening.server.and_then(|server| server.socket) != Some(*socket));
        }
        if let Some(socket) = closed.into_inner() {
            // Another look decides.
            self.closing.insert(socket);
            self.schedule.unclear(name, Instant::now());
        }
        happenings
    }

    /// Passes on what happened.
    pub(super) fn happened(
        &mut self,
        dir: Dir,
        label: &OsStr,
        happening: Happening,
    ) -> Result<(), ReaderGone> {
        self.news = true;
        if let (What::ServerGone, Some(pid)) = (happening.what, happening.pid()) {
            self.deaths.forget(pid, &(dir, label.to_owned()));
        }
        if matches!(happening.what, What::Ghost | What::Rescued) {
            self.ghost_seen();
        }
        let path = self.places.full_path(dir, label);
        if happening.what == What::SocketRemoved {
            self.once.gone(&path);
        }
        self.teller.tell(&Event { what: happening.what, path, server_pid: happening.pid() })
    }

    /// What a pass saw, by label.
    fn seen(&mut self, dir: Dir, report: &Report) -> HashMap<OsString, Seen> {
        let directory = self.places.open(dir);
        let mut all = HashMap::with_capacity(report.entries.len());
        for entry in report.entries.iter().filter(|entry| !entry.is_litter()) {
            let name = (dir, entry.label.clone());
            let seen = match (entry.verdict.state, entry.outcome) {
                (_, Outcome::Vanished) => Seen::Absent,
                (State::Live, _) => {
                    let facts = directory.as_ref().and_then(|directory| directory.look(&entry.label).ok());
                    let listed = facts.and_then(|facts| match self.witness.lists(facts.id) {
                        Some(TableSays::Listed { socket, .. }) => Some(socket),
                        _ => None,
                    });
                    let socket = entry.socket.or(listed);
                    Seen::Live { socket, pid: None }
                }
                (State::Starting, _) | (_, Outcome::Busy) => {
                    self.schedule.lock_held(name);
                    all.insert(entry.label.clone(), Seen::Undecided);
                    continue;
                }
                (State::Unknown, _) if entry.verdict.reason == Reason::BoundOnly => {
                    self.schedule.bound_only(name, Instant::now());
                    all.insert(entry.label.clone(), Seen::Undecided);
                    continue;
                }
                // Another stood there by then.
                (_, Outcome::Resurrected) => {
                    self.schedule.unsettled(name.clone(), Instant::now());
                    Seen::Undecided
                }
                (State::Dead, Outcome::Removed) => Seen::Removed,
                (State::Dead, _) if entry.is_spared() => Seen::Spared,
                (State::Dead, _) => Seen::Dead,
                (State::Unknown | State::Ghost, _) => Seen::Undecided,
                (State::Foreign | State::NotASocket, _) => Seen::Absent,
            };
            self.schedule.settled(&name);
            all.insert(entry.label.clone(), seen);
        }
        all
    }
}

fn by_dir(names: Vec<Name>) -> BTreeMap<Dir, Vec<OsString>> {
    let mut dirs: BTreeMap<Dir, Vec<OsString>> = BTreeMap::new();
    for (dir, label) in names {
        dirs.entry(dir).or_default().push(label);
    }
    dirs
}
