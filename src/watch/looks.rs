//! The daemon's looks: the sweep's pass on a narrow target, and what was seen goes to the engine.

mod as_done;
mod listens;
mod seen;
mod told;

use super::deaths::{Death, Served, Untied};
use super::directories::DirectoryChanges;
use super::duties::Duties;
use super::engine::{Dir, Engine, Listens, Name, Seen, Server};
use super::hints;
use super::outsiders;
use super::schedule::Schedule;
use super::tools::Tools;
use super::warnings::Warning;
use crate::pass::far::Apart;
use as_done::AsDone;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Instant;
use tmux_sockets::ghost::{Ghost, Reached};
use tmux_sockets::kernel::Label;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::SocketNumber;
use tmux_sockets::sweep::{Act, Glance, Pass, Target};
use tmux_sockets::witness::Witness;

/// What was seen, what it means, and when to look again.
#[derive(Debug)]
pub(super) struct Looks {
    witness: Witness,
    engine: Engine,
    schedule: Schedule,
    /// Live servers that are not announced yet: their processes are looked for together.
    fresh: Vec<Fresh>,
    /// Sockets that their living servers have closed: seen so once.
    closing: HashSet<SocketNumber>,
    /// Sockets whose processes were not found, seen so once.
    unfound: HashSet<SocketNumber>,
    /// What leads to sockets, as it was read in this look.
    reached: RefCell<Option<Reached>>,
}

/// A live server whose process is not known yet.
#[derive(Debug)]
struct Fresh {
    name: Name,
    socket: SocketNumber,
}

impl Looks {
    /// Nothing was seen yet; everything is to be looked at.
    pub(super) fn new(duties: &Duties) -> Self {
        Self {
            witness: Witness::new(duties.user),
            engine: Engine::default(),
            schedule: Schedule::new(duties.settings.watch.rescan, Instant::now()),
            fresh: Vec::new(),
            closing: HashSet::new(),
            unfound: HashSet::new(),
            reached: RefCell::new(None),
        }
    }

    /// What is known.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// When to look at what.
    pub(super) fn schedule(&mut self) -> &mut Schedule {
        &mut self.schedule
    }

    /// The witness, its table as it was read last.
    pub(super) fn witness(&self) -> &Witness {
        &self.witness
    }

    /// The witness, its table just read.
    pub(super) fn fresh_witness(&mut self) -> &mut Witness {
        self.witness.refresh();
        &mut self.witness
    }

    /// inotify has told something.
    pub(super) fn hints(&mut self, tools: &mut Tools<'_>) {
        let protect = tools.duties.settings.watch.protect;
        if hints::take_in(tools.directories, &mut self.engine, &mut self.schedule, protect) {
            tools.announcer.warn(&Warning::EventsLost);
        }
    }

    /// Processes have ended: what they served is looked at at once.
    pub(super) fn deaths(&mut self, tools: &mut Tools<'_>, deaths: Vec<Death>) {
        let mut dirs: BTreeMap<Dir, (BTreeSet<Label>, HashSet<Pid>)> = BTreeMap::new();
        for Death { served, pid } in deaths {
            match served {
                Served::Name(name) if tools.directories.wanted().contains(&name.dir) => {
                    let (labels, pids) = dirs.entry(name.dir).or_default();
                    labels.insert(name.label);
                    pids.insert(pid);
                }
                Served::Name(_) => {}
                Served::Elsewhere => {
                    if let Some((gone, ended)) = tools.outsiders.ended(tools.deaths, pid) {
                        tools.enter(gone, ended);
                        self.schedule.look_for_ghosts(Instant::now() + outsiders::AGAIN);
                    }
                }
            }
        }
        if dirs.is_empty() {
            return;
        }
        for (dir, (labels, ended)) in dirs {
            self.look_knowing(tools, dir, &Vec::from_iter(labels), &ended);
        }
        self.announce(tools);
    }

    /// Looks at everything: which directories there are, and what is in them, part by part.
    pub(super) fn rescan(&mut self, tools: &mut Tools<'_>) {
        tools.deaths.forget_ended();
        self.witness.forget_surroundings();
        self.witness.refresh();
        tools.tell_of_blindness(&mut self.witness);
        let targets = tools.targets(self.witness.table());
        for dir in tools.directories.set(targets) {
            self.engine.forget(dir).into_iter().for_each(|(name, server)| tools.turn_out(name, &server));
        }
        self.settle(tools);
        tools.tell_of_blind_folders(&mut self.witness);
        for dir in tools.directories.wanted().to_vec() {
            self.look_at_all(tools, dir);
        }
    }

    /// A directory may have come, gone, or been replaced. Whether one was.
    pub(super) fn directories_changed(&mut self, tools: &mut Tools<'_>) -> bool {
        let changed = self.settle(tools);
        for dir in &changed {
            self.look_at_all(tools, *dir);
        }
        !changed.is_empty()
    }

    fn settle(&mut self, tools: &mut Tools<'_>) -> Vec<Dir> {
        let DirectoryChanges { changed, unwatched, has_parent_back, far } =
            tools.directories.settle(|dir| self.engine.is_haunted(dir));
        if has_parent_back {
            self.schedule.ghost_seen(Instant::now());
        }
        for warning in unwatched.map(Warning::Unwatched).into_iter().chain(far.map(Warning::Far)) {
            tools.announcer.warn(&warning);
        }
        changed
    }

    fn look_at_all(&mut self, tools: &mut Tools<'_>, dir: Dir) {
        tools.directories.shield(dir, tools.duties.settings.watch.protect);
        let mut labels = match tools.directories.open(dir).map(|directory| directory.names()) {
            Some(Ok(names)) if tools.directories.is_present(dir) => names,
            _ => Vec::new(),
        };
        labels.extend(self.engine.labels(dir).cloned());
        labels.sort_unstable();
        labels.dedup();
        self.schedule.look_at_all(dir, labels);
    }

    /// Looks at names of one directory as the sweep does, and removes what is dead.
    pub(super) fn look(&mut self, tools: &mut Tools<'_>, dir: Dir, labels: &[Label]) {
        self.look_knowing(tools, dir, labels, &HashSet::new());
    }

    /// The same; these processes have `ended`.
    fn look_knowing(&mut self, tools: &mut Tools<'_>, dir: Dir, labels: &[Label], ended: &HashSet<Pid>) {
        self.hints(tools);
        let started = Instant::now();
        self.engine.look_begins();
        self.reached.take();
        let path = tools.directories.path(dir).to_owned();
        let rule = tools.directories.rule(dir);
        let target = Target { path, only: Some(labels.to_vec()), rule };
        let Duties { settings, user, act, .. } = tools.duties;
        let pass = Pass { policy: settings, far: &Apart, user: *user, act: *act };
        let engine = &self.engine;
        let owner = |label: &Label| engine.owner(&Name { dir, label: label.clone() });
        let mut as_done = AsDone::new(tools.announcer, tools.books, &owner);
        let mut report = pass.run_before(&mut self.witness, &[target], &mut as_done);
        let told = as_done.told();
        for entry in &mut report.entries {
            entry.server_pid = entry.server_pid.or_else(|| owner(&entry.label));
        }
        if self.witness.blindness().is_some() {
            // Blindness may be an error: a server that was just starting or ending looks like it.
            self.witness.forget_surroundings();
        }
        let refused = report.directories.iter().any(|directory| directory.error.is_some());
        let absent = if refused { Seen::Undecided } else { Seen::Absent };
        let mut seen: HashMap<Label, Seen> = HashMap::with_capacity(report.entries.len());
        let directory = tools.directories.open(dir);
        for entry in report.entries.iter().filter(|entry| !entry.is_litter()) {
            let listed = || {
                let facts = directory.as_ref().and_then(|directory| directory.look(&entry.label).ok())?;
                self.witness.lists(facts.id)
            };
            let name = Name { dir, label: entry.label.clone() };
            let of_entry = seen::of(entry, name, &mut self.schedule, listed);
            seen.insert(entry.label.clone(), of_entry);
        }
        drop(directory);
        self.hints(tools);
        for label in labels {
            let seen = seen.remove(label.as_os_str()).unwrap_or(absent);
            self.take_in(tools, Name { dir, label: label.clone() }, seen, ended);
        }
        self.engine.look_ends();
        for (number, entry) in report.numbered() {
            if !told.contains(&number) {
                tools.books.enter(entry);
            }
        }
        tools.announcer.looked(&report, &told);
        self.schedule.looked(started, Instant::now());
    }

    /// Looks closely at names that a glance could not decide.
    pub(super) fn look_again(&mut self, tools: &mut Tools<'_>, names: Vec<Name>) {
        for (dir, mut labels) in Name::by_dir(names) {
            let directory = tools.directories.open(dir);
            labels.retain(|label| {
                let is_there = directory.as_ref().is_some_and(|directory| directory.look(label).is_ok());
                is_there || self.engine.knows(&Name { dir, label: label.clone() })
            });
            drop(directory);
            if !labels.is_empty() {
                self.look(tools, dir, &labels);
            }
        }
        self.announce(tools);
    }

    /// Looks in the table for those who were just born, and connects to nobody. A server that was
    /// caught between bind and listen must not be taken for a dead one.
    pub(super) fn glance(&mut self, tools: &mut Tools<'_>, names: Vec<Name>) {
        self.hints(tools);
        let started = Instant::now();
        self.engine.look_begins();
        self.reached.take();
        self.witness.refresh();
        let Duties { settings, user, .. } = tools.duties;
        let pass = Pass { policy: settings, far: &Apart, user: *user, act: Act::Look };
        let mut all = Vec::with_capacity(names.len());
        for (dir, labels) in Name::by_dir(names) {
            let directory = tools.directories.open(dir);
            for label in labels {
                let glance = match &directory {
                    Some(directory) => pass.glance(&mut self.witness, directory, &label),
                    None => Glance::Unclear,
                };
                let name = Name { dir, label };
                match glance {
                    Glance::Live { socket } => {
                        all.push((name, Seen::Live { socket: Some(socket), pid: None }));
                    }
                    Glance::Absent | Glance::NotASocket => all.push((name, Seen::Absent)),
                    Glance::Unclear => self.schedule.unclear(name, Instant::now()),
                }
            }
        }
        self.hints(tools);
        for (name, seen) in all {
            self.take_in(tools, name, seen, &HashSet::new());
        }
        self.engine.look_ends();
        self.schedule.looked(started, Instant::now());
        self.announce(tools);
    }

    /// A ghost was found, which may have been one before we came.
    pub(super) fn haunt(&mut self, tools: &mut Tools<'_>, name: &Name, ghost: &Ghost) {
        let happenings = self.engine.haunt(name, ghost.socket, ghost.pid);
        if !happenings.is_empty() {
            tools.deaths.tie(&HashMap::from([(ghost.socket, name.clone())]));
        }
        self.pass_on(tools, name, happenings);
    }

    /// Ties the servers that were found to their processes, and announces them.
    pub(super) fn announce(&mut self, tools: &mut Tools<'_>) {
        if self.fresh.is_empty() {
            return;
        }
        self.reached.take();
        let fresh = std::mem::take(&mut self.fresh);
        let sockets = fresh.iter().map(|fresh| (fresh.socket, fresh.name.clone())).collect();
        let ties = tools.deaths.tie(&sockets);
        self.witness.refresh();
        let listed: HashSet<SocketNumber> = self.witness.table().iter().map(|bound| bound.socket).collect();
        self.unfound.retain(|socket| listed.contains(socket));
        for Fresh { name, socket } in fresh {
            let Some(tie) = ties.get(&socket) else { continue };
            if !listed.contains(&socket) {
                // It ended while its process was looked for, or a dump has missed it.
                self.schedule.unsettled(name.clone(), Instant::now());
            }
            let announced = self.engine.server(&name, socket).and_then(|server| server.pid);
            if tie.is_new && announced.is_some() && announced != tie.pid {
                // Whoever holds the socket of a server that has ended may close it without ending.
                self.schedule.unclear(name.clone(), Instant::now());
            }
            match tie.untied {
                Some(_) if !listed.contains(&socket) => continue,
                // It is in the table for a moment longer than its process: no reason for a warning.
                Some(Untied::Unseen) if self.unfound.insert(socket) => {
                    self.schedule.unclear(name.clone(), Instant::now());
                }
                Some(why) => {
                    let path = tools.directories.full_path(&name);
                    tools.announcer.warn(&Warning::Untied { path, why });
                }
                None => {}
            }
            let seen = Seen::Live { socket: Some(socket), pid: tie.pid };
            self.digest(tools, &name, seen, &HashSet::new());
        }
    }

    /// A server that is not tied to its process yet waits for [`Self::announce`].
    fn take_in(&mut self, tools: &mut Tools<'_>, name: Name, seen: Seen, ended: &HashSet<Pid>) {
        let is_unlisted = matches!(seen, Seen::Live { socket: None, .. });
        let is_undecided =
            is_unlisted && !self.engine.has_server(&name) && self.schedule.unlisted(&name, Instant::now());
        let seen = if is_undecided { Seen::Undecided } else { seen };
        if let Seen::Live { socket: Some(socket), .. } = seen {
            if !self.engine.is_late(&name) {
                let pid = self.engine.server(&name, socket).and_then(|server| server.pid);
                match pid.filter(|pid| tools.deaths.is_watching(*pid, &name)) {
                    Some(pid) => tools.deaths.count_kills(pid),
                    None => return self.fresh.push(Fresh { name, socket }),
                }
            }
        }
        self.digest(tools, &name, seen, ended);
    }

    fn digest(&mut self, tools: &mut Tools<'_>, name: &Name, seen: Seen, ended: &HashSet<Pid>) {
        let is_born = self.engine.expects(name);
        let closed = Cell::new(None);
        let happenings = self.engine.digest(name, seen, |server: &Server| {
            let is_reached = |socket| {
                let new = || Reached::new(tools.directories.paths());
                self.reached.borrow_mut().get_or_insert_with(new).is(self.witness.table(), socket)
            };
            let listens = listens::listens(&self.witness, tools.deaths, server, name, ended, is_reached);
            match (listens, server.socket) {
                (Listens::Maybe, Some(socket)) if self.closing.contains(&socket) => Listens::No,
                (Listens::Maybe, socket) => {
                    closed.set(socket);
                    Listens::Maybe
                }
                (told, _) => told,
            }
        });
        if is_born && self.engine.is_haunted_at(name) {
            // The ghost may have made its socket, and somebody deleted it again.
            self.schedule.ghost_seen(Instant::now());
        }
        for happening in &happenings {
            self.closing.retain(|socket| happening.server.and_then(|server| server.socket) != Some(*socket));
        }
        if let Some(socket) = closed.get() {
            // Another look decides whether it has ended.
            self.closing.insert(socket);
            self.schedule.unclear(name.clone(), Instant::now());
        }
        self.pass_on(tools, name, happenings);
    }
}
