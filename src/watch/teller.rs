//! Who is told what happens: the journal of the daemon, or the reader of `events`.

use super::line_writer::{LineWriter, ReaderGone};
use crate::logging::journal;
use crate::record::Deeds;
use crate::view::events::{self, Event, What};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::remove::Next;
use tmux_sockets::report::Outcome;
use tmux_sockets::report::{Entry, Report};
use tmux_sockets::sweep::Follower;

/// Who is told.
#[derive(Debug)]
pub enum Teller {
    /// The log.
    Log,
    /// A reader, by lines.
    Reader {
        /// Where the lines go.
        lines: LineWriter,
        /// As JSON.
        json: bool,
    },
}

impl Teller {
    /// Tells one event.
    pub fn tell(&mut self, event: &Event) -> Result<(), ReaderGone> {
        match self {
            Self::Log => {
                // Removals are logged with all that is known of the entry; see `Once`.
                if event.what == What::ServerGone {
                    journal::server_gone(event);
                } else {
                    tracing::debug!("{}", events::people(event, SystemTime::now()));
                }
                Ok(())
            }
            Self::Reader { lines, json } => {
                let now = SystemTime::now();
                let line = if *json { events::json(event, now).ok() } else { None };
                lines.line(&line.unwrap_or_else(|| events::people(event, now)))
            }
        }
    }
}

/// Logs what a look removes as it is done, with the process whose it was.
pub(super) struct AsDone<'w> {
    pub(super) once: &'w mut Once,
    pub(super) owner: &'w dyn Fn(&OsStr) -> Option<i32>,
    /// The entries that were logged.
    pub(super) told: HashSet<usize>,
}

impl Follower for AsDone<'_> {
    fn expect(&mut self, _: usize) {}

    fn hear(&mut self, report: &Report, entries: &[usize]) -> Next {
        for at in entries {
            let entry = &report.entries[*at];
            if entry.outcome == Outcome::Removed {
                let server_pid = (self.owner)(&entry.label);
                self.once.removed(report, &Entry { server_pid, ..entry.clone() });
                self.told.insert(*at);
            }
        }
        Next::GoOn
    }

    fn linger(&mut self) {}

    fn is_over(&mut self) -> bool {
        false
    }
}

/// What one daemon says once and not at every look.
#[derive(Debug, Default)]
pub struct Once {
    failures: HashSet<PathBuf>,
    directories: HashSet<(PathBuf, String)>,
    warnings: HashSet<String>,
    /// How many sockets were removed so far.
    pub removed: u64,
    /// What was done and is in no record yet.
    pub deeds: Deeds,
}

impl Once {
    /// Logs a removal, and counts it.
    fn removed(&mut self, report: &Report, entry: &Entry) {
        self.deeds.add(Deeds::done_to(entry));
        self.removed += u64::from(!entry.is_litter());
        self.failures.remove(&report.path_of(entry));
        journal::removed(report, entry);
    }

    /// Logs what a pass did, but for removals that were logged when they were done. Whether it removed anything, or
    /// could not.
    pub fn pass(&mut self, report: &Report, is_told: &dyn Fn(usize) -> bool) -> bool {
        for (at, entry) in report.entries.iter().enumerate() {
            if matches!(entry.outcome, Outcome::Failed(_)) {
                self.deeds.add(Deeds::done_to(entry));
            }
            match entry.outcome {
                Outcome::Removed if is_told(at) => {}
                Outcome::Removed => self.removed(report, entry),
                Outcome::Failed(failure) if failure.is_of_all() => {
                    // Its directory stands for all of them.
                    let dir = report.path_of(entry).parent().map(Path::to_path_buf).unwrap_or_default();
                    if self.warnings.insert(format!("{}: {failure}", escaped(&dir))) {
                        journal::no_room(report, entry, &failure.to_string());
                    }
                }
                Outcome::Failed(failure) if self.failures.insert(report.path_of(entry)) => {
                    journal::failed(report, entry, &failure.to_string());
                }
                Outcome::Vanished => {
                    self.failures.remove(&report.path_of(entry));
                }
                _ => {}
            }
        }
        for directory in &report.directories {
            match &directory.error {
                Some(error) => {
                    if self.directories.insert((directory.path.clone(), error.clone())) {
                        journal::directory(directory);
                    }
                }
                None => self.directories.retain(|(path, _)| *path != directory.path),
            }
        }
        !Deeds::of(report).is_empty()
    }

    /// How many directories are left alone because of an error.
    pub fn refused(&self) -> usize {
        let paths: HashSet<&PathBuf> = self.directories.iter().map(|(path, _)| path).collect();
        paths.len()
    }

    /// A name that is not there any more cannot fail any more.
    pub fn gone(&mut self, path: &Path) {
        self.failures.remove(path);
    }

    /// A warning, the first time.
    pub fn warn(&mut self, warning: &str) {
        self.warn_of(warning, || warning.to_owned());
    }

    /// A warning, the first time that it has this cause.
    pub fn warn_of(&mut self, cause: &str, warning: impl FnOnce() -> String) {
        if !self.warnings.contains(cause) {
            tracing::warn!("{}", warning());
            self.warnings.insert(cause.to_owned());
        }
    }
}
