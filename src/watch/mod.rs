//! The daemon: removes a socket the moment its server dies, and tells of births and deaths.
//!
//! One thread, on tokio ([`event_loop`]); no polling. Births are hints of inotify ([`births`]) on directories that may
//! come and go ([`places`]); deaths are pidfds ([`deaths`]), for inotify says nothing when a server
//! dies. Each leads to the same look as the sweep's, on a narrower target: [`tmux_sockets::sweep::Pass`]. What
//! a look means is decided in [`engine`], when to look in [`schedule`]; both are pure. A rescan is the
//! safety net: whatever was lost or could not be watched is found then.
//!
//! `events` is the same with the removal off and a reader instead of the log ([`teller`]).

pub mod births;
pub mod deaths;
pub mod engine;
mod event_loop;
mod ghosts;
mod hands;
mod hints;
mod ledger;
pub mod line_writer;
pub mod places;
mod readiness;
pub mod schedule;
pub mod shield;
pub mod teller;
mod warnings;
mod watcher;

use crate::cli::Global;
use crate::config;
use crate::exit::Error;
use crate::exit::Exit;
use crate::host::notify::Service;
use event_loop::{EventLoop, Wake};
use line_writer::{LineWriter, ReaderGone};
use nix::sys::signal::Signal;
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use teller::Teller;
use tmux_sockets::sweep::Act;
use watcher::Watcher;

/// `systemctl status` shows a line that is at most this old.
const STATUS_AGE: Duration = Duration::from_secs(1);

/// Why the loop ended.
enum End {
    Asked,
    ReaderGone,
}

impl From<ReaderGone> for End {
    fn from(_: ReaderGone) -> Self {
        Self::ReaderGone
    }
}

/// Runs the daemon until it is told to end.
pub fn watch(global: &Global, no_reap: bool) -> Result<Exit, Error> {
    let settings = config::load(global.config.as_deref())?;
    let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
    let act = if no_reap { Act::DryRun } else { Act::Remove };
    event_loop::runtime().map_err(Error::System)?.block_on(async {
        let event_loop = EventLoop::new(&signals).map_err(Error::System)?;
        let watcher = Watcher::new(settings, &global.dir, act, Teller::Log, event_loop);
        let service = Service::of_this_process();
        Ok(Loop { watcher, global, service, told: None, ping_at: None }.run().await)
    })
}

/// Tells of births, deaths and removals until it is told to end or its reader goes.
pub fn events(global: &Global, json: bool) -> Result<Exit, Error> {
    let mut settings = config::load(global.config.as_deref())?;
    // It looks and tells; what protects or mends is the daemon's.
    settings.watch.protect = false;
    settings.watch.rescue = false;
    settings.watch.metrics_file = None;
    event_loop::runtime().map_err(Error::System)?.block_on(async {
        let event_loop = EventLoop::new(&[Signal::SIGTERM, Signal::SIGINT]).map_err(Error::System)?;
        let teller = Teller::Reader { lines: LineWriter::stdout().map_err(Error::Output)?, json };
        let watcher = Watcher::new(settings, &global.dir, Act::DryRun, teller, event_loop);
        let service = Service::default();
        Ok(Loop { watcher, global, service, told: None, ping_at: None }.run().await)
    })
}

struct Loop<'a> {
    watcher: Watcher,
    global: &'a Global,
    service: Service,
    /// When the service manager was last told the counts; `None`: not ready yet.
    told: Option<Instant>,
    ping_at: Option<Instant>,
}

impl Loop<'_> {
    async fn run(mut self) -> Exit {
        loop {
            match self.turn().await {
                Ok(()) => {}
                Err(End::Asked) => {
                    self.watcher.keep_books();
                    self.service.stopping();
                    return Exit::Done;
                }
                Err(End::ReaderGone) => return Exit::Done,
            }
        }
    }

    /// One turn: wait, take in what happened, do one thing that is due, tell the service manager.
    async fn turn(&mut self) -> Result<(), End> {
        let deadline = self.deadline();
        for wake in self.watcher.wait(deadline).await {
            match wake {
                // After whatever is told of their names.
                Wake::Deaths => {}
                Wake::Signal => self.signals()?,
                Wake::Names => self.watcher.hints(),
                Wake::Mounts => self.watcher.schedule.places_changed(Instant::now()),
                Wake::Output => self.watcher.flush()?,
                Wake::Rescued => self.watcher.rescued(),
            }
        }
        self.watcher.ended()?;
        self.watcher.work(Instant::now())?;
        self.tell();
        while self.watcher.is_reader_behind() {
            self.watcher.wait_for_reader().await?;
            self.signals()?;
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        let status = self.told.filter(|_| self.watcher.is_news()).map(|told| told + STATUS_AGE);
        let status = status.filter(|_| self.service.is_heard() || self.watcher.has_books_to_keep());
        self.watcher.schedule.next().into_iter().chain(status).chain(self.ping_at).min()
    }

    /// Tells the service manager that we turn, that we are ready, how many there are.
    fn tell(&mut self) {
        let now = Instant::now();
        if self.ping_at.is_none_or(|at| at <= now)
            && let Some(interval) = self.service.ping_interval()
        {
            self.service.ping();
            self.ping_at = Some(now + interval);
        }
        match self.told {
            None if self.watcher.is_complete() => {
                let status = self.watcher.status();
                let how = if std::io::stderr().is_terminal() { "; Ctrl-C ends it" } else { "" };
                tracing::info!("{status}{how}");
                self.service.ready(&status);
                self.watcher.keep_books();
                self.told = Some(now);
            }
            Some(told) if self.watcher.is_news() && told + STATUS_AGE <= now => {
                let status = self.watcher.status();
                self.service.status(&status);
                self.watcher.keep_books();
                self.told = Some(now);
            }
            _ => {}
        }
    }

    fn signals(&mut self) -> Result<(), End> {
        for signal in self.watcher.event_loop.signals() {
            match signal {
                Signal::SIGHUP => self.reload(),
                _ => return Err(End::Asked),
            }
        }
        Ok(())
    }

    /// Reads the configuration anew; a bad one is said to be so, and the old one is kept.
    fn reload(&mut self) {
        self.service.reloading();
        match config::load(self.global.config.as_deref()) {
            Ok(settings) => {
                // Ready again when everything has been looked at with it.
                tracing::info!("configuration read anew");
                self.watcher.reload(settings);
                self.told = None;
            }
            Err(error) => {
                crate::logging::configuration_rejected(&format!("{error}; the one before stays in force"));
                self.watcher.rejected();
                self.service.ready(&self.watcher.status());
                self.watcher.keep_books();
            }
        }
    }
}
