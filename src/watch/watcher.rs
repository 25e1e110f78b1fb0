//! The daemon's state, and what each kind of event does to it.

use super::deaths::Deaths;
use super::engine::{Dir, Engine};
use super::event_loop::{EventLoop, Sources, Wake};
use super::ledger::Ledger;
use super::line_writer::ReaderGone;
use super::places::Places;
use super::schedule::{Due, Schedule};
use super::teller::{Once, Teller};
use crate::config::Settings;
use crate::view::people::plural;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;
use tmux_sockets::sweep::Act;
use tmux_sockets::sweep::discover::{self, Surroundings};
use tmux_sockets::witness::Witness;

/// Whether everything has been looked at with the configuration in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Beginning,
    Complete,
}

/// Everything that the daemon is.
pub(super) struct Watcher {
    pub(super) settings: Settings,
    /// `--dir`: these and no others.
    given: Vec<PathBuf>,
    pub(super) user: u32,
    pub(super) act: Act,
    pub(super) event_loop: EventLoop,
    pub(super) witness: Witness,
    pub(super) places: Places,
    pub(super) deaths: Deaths,
    pub(super) engine: Engine,
    pub(super) schedule: Schedule,
    pub(super) teller: Teller,
    pub(super) once: Once,
    /// Sockets that their living servers have closed: seen so once.
    pub(super) closing: HashSet<u32>,
    /// Sockets whose processes were not found, seen so once.
    pub(super) unfound: HashSet<u32>,
    /// Live servers that are not announced yet: their processes are looked for together.
    pub(super) fresh: Vec<super::hands::Fresh>,
    /// Since when everything is being looked at.
    rescanning: Option<Instant>,
    progress: Progress,
    pub(super) ghosts: super::ghosts::Ghosts,
    ledger: Ledger,
    /// Something was told since the status was made.
    pub(super) news: bool,
    rejected: bool,
}

impl Watcher {
    pub(super) fn new(
        settings: Settings,
        given: &[PathBuf],
        act: Act,
        teller: Teller,
        event_loop: EventLoop,
    ) -> Self {
        let user = rustix::process::getuid().as_raw();
        Self {
            schedule: Schedule::new(settings.watch.rescan, Instant::now()),
            settings,
            given: given.to_vec(),
            user,
            act,
            event_loop,
            witness: Witness::new(user),
            places: Places::new(user),
            deaths: Deaths::new(user),
            engine: Engine::default(),
            teller,
            once: Once::default(),
            closing: HashSet::new(),
            unfound: HashSet::new(),
            fresh: Vec::new(),
            rescanning: None,
            progress: Progress::Beginning,
            ghosts: super::ghosts::Ghosts::default(),
            ledger: Ledger::new(user, given.is_empty()),
            news: false,
            rejected: false,
        }
    }

    /// Processes have ended: what they served is looked at at once.
    pub(super) fn ended(&mut self) -> Result<(), ReaderGone> {
        let mut names: BTreeMap<Dir, Vec<OsString>> = BTreeMap::new();
        for (dir, label) in self.deaths.take().into_iter().map(|death| death.name) {
            if self.places.wanted().contains(&dir) {
                names.entry(dir).or_default().push(label);
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        for (dir, labels) in names {
            self.look(dir, &labels)?;
        }
        self.announce()
    }

    /// A directory may have come, gone, or been replaced. Whether one was.
    pub(super) fn places_changed(&mut self) -> bool {
        let engine = &self.engine;
        let settled = self.places.settle(|dir| engine.is_haunted(dir));
        self.say_unwatched(settled.unwatched);
        self.say_far(settled.far);
        for dir in &settled.changed {
            self.look_at_all(*dir);
        }
        !settled.changed.is_empty()
    }

    /// Does what is due.
    pub(super) fn work(&mut self, now: Instant) -> Result<(), ReaderGone> {
        match self.schedule.due(now) {
            Some(Due::Ghosts) => self.look_for_ghosts()?,
            Some(Due::Rescan) => self.rescan(),
            Some(Due::Chunk(dir, labels)) => self.look(dir, &labels)?,
            Some(Due::Glance(names)) => self.glance(names)?,
            Some(Due::Look(names)) => self.look_again(names)?,
            // Where one directory went, those above it may follow without a word.
            Some(Due::Places) if self.places_changed() => self.schedule.emptied(now),
            Some(Due::Places) | None => {}
        }
        if !self.schedule.is_rescanning() {
            self.announce()?;
            if let Some(began) = self.rescanning.take() {
                self.progress = Progress::Complete;
                self.schedule.ghost_seen(now);
                if self.act == Act::Remove {
                    self.once.deeds.swept(now.duration_since(began));
                    self.news = true;
                }
            }
        }
        Ok(())
    }

    /// Looks at everything: which directories there are, and what is in them, part by part.
    fn rescan(&mut self) {
        self.rescanning = Some(Instant::now());
        self.witness.forget_surroundings();
        self.witness.refresh();
        self.say_blindness();
        let dirs = if self.given.is_empty() {
            let around = Surroundings::of_this_process();
            discover::socket_dirs(&self.settings.extra_socket_dirs, &around, self.witness.table(), self.user)
        } else {
            self.given.clone()
        };
        for dir in self.places.set(dirs) {
            self.engine.forget(dir);
        }
        let engine = &self.engine;
        let settled = self.places.settle(|dir| engine.is_haunted(dir));
        self.say_unwatched(settled.unwatched);
        self.say_far(settled.far);
        for dir in self.places.wanted().to_vec() {
            self.look_at_all(dir);
        }
    }

    fn look_at_all(&mut self, dir: Dir) {
        self.places.shield(dir, self.settings.watch.protect);
        let mut labels = match self.places.open(dir).map(|directory| directory.names()) {
            Some(Ok(names)) if self.places.is_present(dir) => names,
            _ => Vec::new(),
        };
        labels.extend(self.engine.labels(dir).cloned());
        labels.sort_unstable();
        labels.dedup();
        self.schedule.look_at_all(dir, labels);
    }

    /// Writes what the reader has room for.
    pub(super) fn flush(&mut self) -> Result<(), ReaderGone> {
        match &mut self.teller {
            Teller::Reader { lines, .. } => lines.flush(),
            Teller::Log => Ok(()),
        }
    }

    /// Whether the reader must take something before anything else is looked at.
    pub(super) fn is_reader_behind(&self) -> bool {
        matches!(&self.teller, Teller::Reader { lines, .. } if lines.is_full())
    }

    /// Waits until something happens, at most until `deadline`.
    pub(super) async fn wait(&mut self, deadline: Option<Instant>) -> Vec<Wake> {
        let output = match &self.teller {
            Teller::Reader { lines, .. } => Some(lines),
            Teller::Log => None,
        };
        let sources = Sources { births: &self.places.births, deaths: &mut self.deaths, output };
        self.event_loop.wait(deadline, sources).await
    }

    /// Waits for the reader, or for a signal.
    pub(super) async fn wait_for_reader(&mut self) -> Result<(), ReaderGone> {
        if let Teller::Reader { lines, .. } = &self.teller {
            self.event_loop.wait_for_reader(lines).await;
        }
        self.flush()
    }

    /// Another configuration.
    pub(super) fn reload(&mut self, settings: Settings) {
        self.schedule.reload(settings.watch.rescan, Instant::now());
        self.settings = settings;
        self.rejected = false;
        self.progress = Progress::Beginning;
    }

    /// A configuration that was refused.
    pub(super) fn rejected(&mut self) {
        self.rejected = true;
    }

    /// Whether ghosts are looked for at every path of a tmux server, not in given directories alone.
    pub(super) fn is_everywhere(&self) -> bool {
        self.given.is_empty()
    }

    /// Whether everything has been looked at once.
    pub(super) fn is_complete(&self) -> bool {
        self.progress == Progress::Complete
    }

    /// Whether the status has changed.
    pub(super) fn is_news(&self) -> bool {
        self.news
    }

    /// Whether somebody but the service manager is to hear of news.
    pub(super) fn has_books_to_keep(&self) -> bool {
        self.settings.watch.metrics_file.is_some() || self.ledger.is_behind() || !self.once.deeds.is_empty()
    }

    /// Brings the user's record and the metrics file up to date. Neither is ever a reason to end.
    pub(super) fn keep_books(&mut self) {
        self.ledger.add(std::mem::take(&mut self.once.deeds));
        self.ledger.settle();
        if let Some(path) = &self.settings.watch.metrics_file
            && let Err(why) = self.ledger.write(path, self.engine.counts(), self.once.refused())
        {
            self.once.warn(&format!("the metrics cannot be written: {why}; going on without them, and trying again when something changes"));
        }
    }

    /// One line for `systemctl status`: numbers only, no names.
    pub(super) fn status(&mut self) -> String {
        self.news = false;
        let counts = self.engine.counts();
        let mut text = format!(
            "watching {} in {}",
            plural(counts.live, "server"),
            if self.places.count() == 1 {
                "1 directory".to_owned()
            } else {
                format!("{} directories", self.places.count())
            }
        );
        for (count, what) in
            [(counts.ghosts, "ghost"), (counts.dead, "dead socket"), (counts.spared, "spared socket")]
        {
            if count > 0 {
                let _ = write!(text, ", {}", plural(count, what));
            }
        }
        if self.act == Act::Remove {
            let _ = write!(text, "; {} removed", self.once.removed);
        }
        if self.rejected {
            text.push_str("; a new configuration was rejected, the old one is in force");
        }
        text
    }
}
