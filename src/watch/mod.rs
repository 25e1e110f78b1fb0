//! The daemon: removes a socket the moment its server dies, and tells of births and deaths.
//!
//! One thread, on tokio; no polling. [`watcher`] is the daemon: what belongs to it, and one turn of it.
//!
//! - [`event_loop`] is the one place that waits: for signals, mounts and the clock, and for those parts that
//!   [`readiness`] has registered with tokio.
//! - Births are hints of inotify ([`births`], [`hints`]) on [`directories`] that may come and go and that are held
//!   against ageing meanwhile ([`shield`]).
//! - [`deaths`] are pidfds, for inotify says nothing when a server dies.
//! - Each leads to the same look as the sweep's, on a narrower target: [`looks`]. What a look means is decided in
//!   [`engine`], when to look in [`schedule`]; both are pure. A rescan is the safety net: whatever was lost or could
//!   not be watched is found then.
//! - [`ghosts`] are looked for beside that, and rescued on a thread of their own ([`rescues`]).
//! - [`outsiders`], which are bound outside of the directories, are looked for at the same time, for `events` alone.
//! - [`announce`] tells the log, or the reader of `events` ([`line_writer`]), and says each of the [`warnings`] once;
//!   [`bookkeeping`] keeps the record and the metrics. When all has been told that was there, [`beginning`] knows.
//!
//! A death on its way: its task in [`deaths`] ends, [`watcher`] takes it, [`looks`] looks at its name and has the
//! socket removed, [`engine`] says what that means, [`causes`] asks how it ended, [`announce`] tells.
//!
//! `events` is the same with the removal off and a reader instead of the log.

mod announce;
mod beginning;
mod births;
mod bookkeeping;
mod causes;
mod deaths;
mod directories;
mod duties;
mod engine;
mod event_loop;
mod ghosts;
mod hints;
mod line_writer;
mod looks;
mod outsiders;
mod readiness;
mod rescues;
mod schedule;
mod shield;
mod tools;
mod warnings;
mod watcher;

use crate::config;
use crate::exit::Error;
use crate::exit::Exit;
use crate::host::notify::ServiceManager;
use announce::Outlet;
pub(crate) use announce::Wishes;
use duties::Duties;
use event_loop::EventLoop;
use line_writer::LineWriter;
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use tmux_sockets::sweep::Act;
use watcher::Watcher;

/// Runs the daemon until it is told to end. `given`: these directories and no others, if there are any.
pub(crate) fn watch(given: &[PathBuf], config: Option<&Path>, no_reap: bool) -> Result<Exit, Error> {
    let settings = config::load(config)?;
    let act = if no_reap { Act::Leave } else { Act::Remove };
    event_loop::runtime().map_err(Error::System)?.block_on(async {
        let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
        let event_loop = EventLoop::new(&signals).map_err(Error::System)?;
        let duties = Duties::new(settings, given, act);
        let manager = ServiceManager::of_this_process();
        let watcher = Watcher::new(duties, config.map(Path::to_owned), Outlet::Log, manager, event_loop);
        Ok(watcher.run().await)
    })
}

/// Tells of births, deaths and removals until it is told to end or its reader goes. `given`: as for [`watch`].
pub(crate) fn events(given: &[PathBuf], config: Option<&Path>, wishes: Wishes) -> Result<Exit, Error> {
    let mut settings = config::load(config)?;
    // `events` only looks: protecting and rescuing is the daemon's work.
    settings.watch.protect = false;
    settings.watch.rescue = false;
    settings.watch.metrics_file = None;
    event_loop::runtime().map_err(Error::System)?.block_on(async {
        let event_loop = EventLoop::new(&[Signal::SIGTERM, Signal::SIGINT]).map_err(Error::System)?;
        let mut duties = Duties::new(settings, given, Act::Leave);
        duties.elsewhere = duties.is_everywhere();
        let audience = Outlet::Reader { lines: LineWriter::stdout().map_err(Error::Output)?, wishes };
        let manager = ServiceManager::default();
        let watcher = Watcher::new(duties, config.map(Path::to_owned), audience, manager, event_loop);
        Ok(watcher.run().await)
    })
}
