//! The daemon's parts, and one turn of it: wait, take in what happened, do one thing that is due, tell of it.

use super::announce::{Announcer, Outlet};
use super::beginning::Beginning;
use super::bookkeeping::Books;
use super::causes::Causes;
use super::deaths::Deaths;
use super::directories::Directories;
use super::duties::Duties;
use super::event_loop::{EventLoop, Sources, Wake};
use super::ghosts::Ghosts;
use super::looks::Looks;
use super::outsiders::Outsiders;
use super::schedule::Due;
use super::tools::Tools;
use super::warnings::Warning;
use crate::config;
use crate::exit::Exit;
use crate::host::notify::ServiceManager;
use crate::view::events::Following;
use crate::view::people::plural;
use nix::sys::signal::Signal;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tmux_sockets::kernel::lack;
use tmux_sockets::sweep::Act;

/// `systemctl status` shows a line that is at most this old.
const STATUS_AGE: Duration = Duration::from_secs(1);

/// Why the daemon ends.
enum End {
    Asked,
    ReaderGone,
}

/// Whether everything has been looked at with the configuration in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Beginning,
    /// The service manager has not heard of it yet.
    Complete,
    /// When the service manager was last told the counts.
    Told(Instant),
}

/// Everything that the daemon is.
#[derive(Debug)]
pub(super) struct Watcher {
    duties: Duties,
    /// `--config`.
    config: Option<PathBuf>,
    event_loop: EventLoop,
    directories: Directories,
    deaths: Deaths,
    causes: Causes,
    looks: Looks,
    ghosts: Ghosts,
    outsiders: Outsiders,
    announcer: Announcer,
    books: Books,
    manager: ServiceManager,
    progress: Progress,
    beginning: Beginning,
    /// Since when everything is being looked at.
    rescanning: Option<Instant>,
    /// Another configuration was refused.
    rejected: bool,
}

impl Watcher {
    pub(super) fn new(
        duties: Duties,
        config: Option<PathBuf>,
        audience: Outlet,
        manager: ServiceManager,
        event_loop: EventLoop,
    ) -> Self {
        let user = duties.user;
        Self {
            directories: Directories::new(user),
            deaths: Deaths::new(user),
            causes: Causes::default(),
            looks: Looks::new(&duties),
            ghosts: Ghosts::default(),
            outsiders: Outsiders::default(),
            announcer: Announcer::new(audience),
            books: Books::new(user, duties.is_everywhere()),
            duties,
            config,
            event_loop,
            manager,
            progress: Progress::Beginning,
            beginning: Beginning::Looking,
            rescanning: None,
            rejected: false,
        }
    }

    /// Until it is told to end, or its reader goes.
    pub(super) async fn run(mut self) -> Exit {
        loop {
            match self.turn().await {
                Ok(()) => {}
                Err(End::Asked) => {
                    self.causes.give_up();
                    self.parts().2.tell_waiting();
                    self.announcer.flush();
                    self.keep_books();
                    self.manager.stopping();
                    return Exit::Done;
                }
                Err(End::ReaderGone) => return Exit::Done,
            }
        }
    }

    async fn turn(&mut self) -> Result<(), End> {
        let deadline = self.deadline();
        let sources = Sources {
            directories: &self.directories,
            deaths: &mut self.deaths,
            causes: &mut self.causes,
            ghosts: &mut self.ghosts,
            output: self.announcer.lines(),
        };
        for wake in self.event_loop.wait(deadline, sources).await {
            match wake {
                Wake::Signal => self.signals()?,
                Wake::Names => {
                    let (looks, _, mut tools) = self.parts();
                    looks.hints(&mut tools);
                }
                Wake::Mounts => self.looks.schedule().directories_changed(Instant::now()),
                Wake::Output => self.announcer.flush(),
                Wake::Rescued => self.ghosts.rescued(&mut self.looks),
                // Taken below, after what inotify has told of their names.
                Wake::Deaths | Wake::Causes => {}
            }
        }
        let deaths = self.deaths.take();
        let (looks, _, mut tools) = self.parts();
        looks.deaths(&mut tools, deaths);
        tools.tell_waiting();
        self.work(Instant::now());
        self.tell_reader();
        self.tell_manager();
        while self.announcer.is_reader_behind() {
            let Some(lines) = self.announcer.lines() else { break };
            self.event_loop.wait_for_reader(lines).await;
            self.announcer.flush();
            self.signals()?;
        }
        if self.announcer.is_reader_gone() { Err(End::ReaderGone) } else { Ok(()) }
    }

    fn deadline(&mut self) -> Option<Instant> {
        let is_awaited = || {
            let has_metrics = self.duties.settings.watch.metrics_file.is_some();
            self.manager.is_heard() || has_metrics || self.books.is_behind()
        };
        let status = match self.progress {
            Progress::Told(at) if self.books.has_news() && is_awaited() => Some(at + STATUS_AGE),
            Progress::Told(_) | Progress::Beginning | Progress::Complete => None,
        };
        let next = self.looks.schedule().next().into_iter().chain(status).chain(self.manager.next_ping());
        next.chain(self.causes.next()).chain(self.beginning.latest()).min()
    }

    fn parts(&mut self) -> (&mut Looks, &mut Ghosts, Tools<'_>) {
        let tools = Tools {
            duties: &self.duties,
            directories: &mut self.directories,
            deaths: &mut self.deaths,
            announcer: &mut self.announcer,
            books: &mut self.books,
            causes: &mut self.causes,
            outsiders: &mut self.outsiders,
        };
        (&mut self.looks, &mut self.ghosts, tools)
    }

    /// Does what is due.
    fn work(&mut self, now: Instant) {
        let (looks, ghosts, mut tools) = self.parts();
        let tools = &mut tools;
        let (mut begins, mut seen_ghosts) = (None, false);
        match looks.schedule().due(now) {
            Some(Due::Ghosts) => {
                let ((), lack) = lack::during(|| {
                    let area = tools.area();
                    ghosts.look(looks, tools, &area);
                    tools.look_outside(looks.witness(), &area);
                });
                if let Some(errno) = lack {
                    tools.announcer.warn(&Warning::Lacking(errno));
                }
                seen_ghosts = true;
            }
            Some(Due::Rescan) => {
                begins = Some(Instant::now());
                looks.rescan(tools);
            }
            Some(Due::Chunk(dir, labels)) => looks.look(tools, dir, &labels),
            Some(Due::Glance(names)) => looks.glance(tools, names),
            Some(Due::Look(names)) => looks.look_again(tools, names),
            // When a directory goes, inotify may not tell that those above it go as well.
            Some(Due::Directories) if looks.directories_changed(tools) => looks.schedule().emptied(now),
            Some(Due::Directories) | None => {}
        }
        let is_rescanning = looks.schedule().is_rescanning();
        if !is_rescanning {
            looks.announce(tools);
        }
        if seen_ghosts {
            self.beginning.ghosts_seen(now);
        }
        self.rescanning = begins.or(self.rescanning);
        if !is_rescanning {
            if let Some(began) = self.rescanning.take() {
                self.rescanned(began, now);
            }
        }
    }

    /// Everything has been looked at.
    fn rescanned(&mut self, began: Instant, now: Instant) {
        if self.progress == Progress::Beginning {
            self.progress = Progress::Complete;
        }
        self.beginning.seen();
        self.looks.schedule().ghost_seen(now);
        if self.duties.act == Act::Remove {
            self.books.swept(now.duration_since(began));
        }
    }

    /// Tells a reader when the beginning is over, and when the stream follows otherwise from now on.
    fn tell_reader(&mut self) {
        let following =
            Following { by: self.directories.followed_by(), rescan: self.duties.settings.watch.rescan };
        if self.beginning.ends(self.looks.schedule().is_settled(), Instant::now()) {
            self.announcer.ready(following);
        } else {
            self.announcer.follows(following);
        }
    }

    /// Tells the service manager that we turn, that we are ready, how many there are.
    fn tell_manager(&mut self) {
        let now = Instant::now();
        self.manager.turned(now);
        match self.progress {
            Progress::Complete => {
                let status = self.status();
                let how = if std::io::stderr().is_terminal() { "; Ctrl-C ends it" } else { "" };
                tracing::info!("{status}{how}");
                self.manager.ready(&status);
            }
            Progress::Told(at) if self.books.has_news() && at + STATUS_AGE <= now => {
                let status = self.status();
                self.manager.status(&status);
            }
            Progress::Told(_) | Progress::Beginning => return,
        }
        self.keep_books();
        self.progress = Progress::Told(now);
    }

    fn signals(&mut self) -> Result<(), End> {
        for signal in self.event_loop.signals() {
            match signal {
                Signal::SIGHUP => self.reload(),
                _ => return Err(End::Asked),
            }
        }
        Ok(())
    }

    /// Reads the configuration anew; a bad one is said to be so, and the old one is kept.
    fn reload(&mut self) {
        self.manager.reloading();
        match config::load(self.config.as_deref()) {
            Ok(settings) => {
                // Ready again when everything has been looked at with it.
                tracing::info!("configuration read anew");
                self.looks.schedule().reload(settings.watch.rescan, Instant::now());
                self.duties.settings = settings;
                self.rejected = false;
                self.progress = Progress::Beginning;
            }
            Err(error) => {
                crate::logging::configuration_rejected(&format!("{error}; the one before stays in force"));
                self.rejected = true;
                let status = self.status();
                self.manager.ready(&status);
                self.keep_books();
            }
        }
    }

    /// Brings the user's record and the metrics file up to date. Neither is ever a reason to end.
    fn keep_books(&mut self) {
        self.books.settle();
        let (counts, refused) = (self.looks.engine().counts(), self.announcer.refused());
        if let Some(path) = &self.duties.settings.watch.metrics_file {
            if let Err(why) = self.books.write(path, counts, refused) {
                self.announcer.warn(&Warning::NoMetrics(why));
            }
        }
    }

    /// One line for `systemctl status`: numbers only, no names.
    fn status(&mut self) -> String {
        self.books.take_news();
        let counts = self.looks.engine().counts();
        let mut text = format!(
            "watching {} in {}",
            plural(counts.live, "server"),
            if self.directories.count() == 1 {
                "1 directory".to_owned()
            } else {
                format!("{} directories", self.directories.count())
            }
        );
        for (count, what) in
            [(counts.ghosts, "ghost"), (counts.dead, "dead socket"), (counts.spared, "spared socket")]
        {
            if count > 0 {
                let _ = write!(text, ", {}", plural(count, what));
            }
        }
        if self.duties.act == Act::Remove {
            let _ = write!(text, "; {} removed", self.books.removed());
        }
        if self.rejected {
            text.push_str("; a new configuration was rejected, the old one is in force");
        }
        text
    }
}
