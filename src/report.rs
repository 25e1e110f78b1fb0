//! What a run found and did: plain data, and its counts.

pub mod json;
pub mod metrics;
pub mod people;

use crate::outcome::Outcome;
use crate::record::Record;
use crate::socket::verdict::{Reason, State, Verdict};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// One directory of a run.
#[derive(Debug, Clone)]
pub struct DirectoryReport {
    /// Its path, links resolved where it could be opened.
    pub path: PathBuf,
    /// Why it was left alone.
    pub error: Option<String>,
}

/// One entry of a directory.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which directory of the report it stands in.
    pub directory: usize,
    /// Its directory, where that is none of the report's: a ghost's.
    pub elsewhere: Option<PathBuf>,
    /// Its name.
    pub label: OsString,
    /// Its owner.
    pub uid: u32,
    /// What it is and why.
    pub verdict: Verdict,
    /// What became of it.
    pub outcome: Outcome,
    /// The server that listens on it, where it was looked for.
    pub server_pid: Option<i32>,
    /// What runs in the panes of a ghost, where it was looked for.
    pub panes: Vec<String>,
    /// The number of its listening socket, where the kernel's table shows one.
    pub socket: Option<u32>,
}

/// A whole run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The directories that are there.
    pub directories: Vec<DirectoryReport>,
    /// Everything in them.
    pub entries: Vec<Entry>,
    /// How long it took.
    pub elapsed: Duration,
    /// What was done so far, where that was asked for and is known.
    pub record: Option<Record>,
    /// The metrics of each user, where this is the report of many.
    pub users: Vec<metrics::Row>,
}

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[expect(missing_docs, reason = "the names are those of `State` and `Outcome`")]
pub struct Counts {
    pub live: usize,
    pub starting: usize,
    pub dead: usize,
    pub ghost: usize,
    pub foreign: usize,
    pub unknown: usize,
    pub not_a_socket: usize,
    pub removed: usize,
    pub rescued: usize,
    pub failed: usize,
}

impl Entry {
    /// Whether it is litter of a killed run, which counts as no dead socket.
    pub fn is_litter(&self) -> bool {
        matches!(self.verdict.reason, Reason::Quarantine | Reason::OrphanedLock)
    }
}

impl Report {
    /// The full path of an entry.
    pub fn path_of(&self, entry: &Entry) -> PathBuf {
        let directory = self.directories.get(entry.directory).map(|directory| &directory.path);
        let directory = entry.elsewhere.as_ref().or(directory);
        directory.map_or_else(PathBuf::new, PathBuf::clone).join(&entry.label)
    }

    /// The paths of the sockets that were removed.
    pub fn removed(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let removed = |entry: &&Entry| entry.outcome == Outcome::Removed && !entry.is_litter();
        self.entries.iter().filter(removed).map(|entry| self.path_of(entry))
    }

    /// Counts states and outcomes.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in &self.entries {
            match entry.verdict.state {
                State::Dead if entry.is_litter() => {}
                State::Live => counts.live += 1,
                State::Starting => counts.starting += 1,
                State::Dead => counts.dead += 1,
                State::Ghost => counts.ghost += 1,
                State::Foreign => counts.foreign += 1,
                State::Unknown => counts.unknown += 1,
                State::NotASocket => counts.not_a_socket += 1,
            }
            match entry.outcome {
                Outcome::Removed if !entry.is_litter() => counts.removed += 1,
                Outcome::Rescued => counts.rescued += 1,
                Outcome::Failed(_) => counts.failed += 1,
                _ => {}
            }
        }
        counts
    }

    /// Whether a ghost is left that was not rescued and, in a dry run, would not be.
    pub fn leaves_ghosts(&self) -> bool {
        let is_left = |entry: &Entry| !matches!(entry.outcome, Outcome::Rescued | Outcome::WouldRescue);
        self.entries.iter().any(|entry| entry.verdict.state == State::Ghost && is_left(entry))
    }

    /// Whether an entry failed or a directory has an error.
    pub fn has_failures(&self) -> bool {
        self.directories.iter().any(|directory| directory.error.is_some())
            || self.entries.iter().any(|entry| matches!(entry.outcome, Outcome::Failed(_)))
    }
}
