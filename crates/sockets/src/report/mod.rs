//! What a run found and did: plain data, and its counts.

mod counts;
mod outcome;
mod sentences;

use crate::judge::{Reason, State, Verdict};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use counts::{Counts, Untold};
pub use outcome::{Failure, Outcome};

/// One directory of a run.
#[derive(Debug, Clone)]
pub struct DirectoryReport {
    /// Its path, links resolved where it could be opened.
    pub path: PathBuf,
    /// Why it was left alone.
    pub error: Option<String>,
}

/// A place, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub path: PathBuf,
    /// One sentence.
    pub why: String,
}

/// Whether everything is as it should be, and whether that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// All was looked at, and nothing dead or out of reach was found.
    Healthy,
    /// All was looked at, and a dead socket, a ghost or a lock that is not let go of was found.
    Found,
    /// Not all could be looked at, whatever was found.
    Unseen,
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
    /// What is only counted, since one user has too many.
    pub untold: Untold,
    /// What could not be looked at or judged, besides the directories that were left alone.
    pub unseen: Vec<Place>,
    /// What strangers put where a user's sockets would be. Counted, and no error of anybody's.
    pub strays: Vec<Place>,
    /// How many more of them there are than are told one by one.
    pub more_strays: usize,
    /// The start locks that somebody holds and does not let go of, and who that is.
    pub held: Vec<Place>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Entry {
    /// Whether it is litter of a killed run, which counts as no dead socket.
    pub fn is_litter(&self) -> bool {
        matches!(self.verdict.reason, Reason::Quarantine | Reason::OrphanedLock)
    }

    /// Whether it is a dead socket that the configuration keeps.
    pub fn is_spared(&self) -> bool {
        matches!(self.verdict.reason, Reason::KeptLabel | Reason::TooYoung)
    }

    /// Whether it is a dead socket that is to go.
    pub fn is_dead(&self) -> bool {
        self.verdict.state == State::Dead && !self.is_litter() && !self.is_spared()
    }
}

impl Report {
    /// Takes in what another process has found.
    pub fn append(&mut self, mut other: Self) {
        let before = self.directories.len();
        for entry in &mut other.entries {
            // A ghost may stand in none.
            entry.directory = entry.directory.saturating_add(before);
        }
        self.directories.append(&mut other.directories);
        self.entries.append(&mut other.entries);
        self.untold.add(other.untold);
    }

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
        let mut counts = self.untold.counts;
        counts.strays += self.strays.len() + self.more_strays;
        self.entries.iter().for_each(|entry| counts.add(entry));
        counts
    }

    /// Whether a ghost is left that was not rescued and, in a dry run, would not be.
    pub fn leaves_ghosts(&self) -> bool {
        let is_left = |entry: &Entry| !matches!(entry.outcome, Outcome::Rescued | Outcome::WouldRescue);
        let untold = &self.untold.counts;
        untold.ghost > untold.rescued + untold.would_rescue
            || self.entries.iter().any(|entry| entry.verdict.state == State::Ghost && is_left(entry))
    }

    /// Everything that could not be looked at, and why.
    pub fn not_looked_at(&self) -> impl Iterator<Item = (&Path, &str)> {
        let refused = self.directories.iter().filter_map(|directory| {
            directory.error.as_deref().map(|error| (directory.path.as_path(), error))
        });
        refused.chain(self.unseen.iter().map(|place| (place.path.as_path(), place.why.as_str())))
    }

    /// Whether all is well. Nothing is, where it is not known.
    pub fn health(&self) -> Health {
        let counts = self.counts();
        if self.not_looked_at().next().is_some() {
            Health::Unseen
        } else if counts.dead > 0 || counts.ghost > 0 || !self.held.is_empty() {
            Health::Found
        } else {
            Health::Healthy
        }
    }

    /// Whether an entry failed or a directory has an error.
    pub fn has_failures(&self) -> bool {
        self.directories.iter().any(|directory| directory.error.is_some())
            || self.untold.counts.failed > 0
            || self.entries.iter().any(|entry| matches!(entry.outcome, Outcome::Failed(_)))
    }
}
