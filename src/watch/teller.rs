//! Who is told what happens: the journal of the daemon, or the reader of `events`.

use super::outlet::{Outlet, ReaderGone};
use crate::escape::escaped;
use crate::events::{self, Event, What};
use crate::journal;
use crate::outcome::Outcome;
use crate::record::Deeds;
use crate::report::Report;
use crate::words;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Who is told.
#[derive(Debug)]
pub enum Teller {
    /// The log.
    Log,
    /// A reader, by lines.
    Reader {
        /// Where the lines go.
        outlet: Outlet,
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
            Self::Reader { outlet, json } => {
                let now = SystemTime::now();
                let line = if *json { events::json(event, now).ok() } else { None };
                outlet.line(&line.unwrap_or_else(|| events::people(event, now)))
            }
        }
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
    /// Logs what a pass did. Whether it removed anything, or could not.
    pub fn pass(&mut self, report: &Report) -> bool {
        let deeds = Deeds::of(report);
        self.deeds.add(deeds);
        for entry in &report.entries {
            match entry.outcome {
                Outcome::Removed => {
                    self.removed += u64::from(!entry.is_litter());
                    self.failures.remove(&report.path_of(entry));
                    journal::removed(report, entry);
                }
                Outcome::Failed(failure) if words::is_of_all(&failure) => {
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
        !deeds.is_empty()
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
