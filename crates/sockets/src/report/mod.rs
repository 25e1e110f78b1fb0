//! What a run found and did: plain data, and its counts.

mod counts;
mod details;
mod left_alone;
mod outcome;
mod outside;
mod remark;
mod sentences;

use crate::judge::{Reason, State, Verdict};
use crate::kernel::Label;
use crate::kernel::Pid;
use crate::kernel::as_data;
use crate::kernel::{SocketNumber, Uid};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use counts::{Counts, Untold};
pub use details::Details;
pub use left_alone::{Declined, LeftAlone, Loss};
pub use outcome::{Failure, Outcome};
pub use outside::{Entrance, Outside};
pub use remark::{Mismatch, Remark, Stray, Unfollowed, Why};

/// One directory of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DirectoryReport {
    /// Its path, links resolved where it could be opened.
    #[serde(with = "as_data::path")]
    pub path: PathBuf,
    /// Why it was left alone.
    pub error: Option<LeftAlone>,
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

/// Which of a report's directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DirectoryNumber(u32);

/// Which of a report's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryNumber(u32);

/// The directory that an entry stands in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Folder {
    /// One of the report's.
    Of(DirectoryNumber),
    /// None of them: a ghost's, or that of a server that is bound elsewhere.
    Other(#[serde(with = "as_data::path")] PathBuf),
}

/// One entry of a directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Where it stands.
    pub folder: Folder,
    /// Its name.
    pub label: Label,
    /// Its owner.
    pub uid: Uid,
    /// What it is and why.
    pub verdict: Verdict,
    /// What became of it.
    pub outcome: Outcome,
    /// The server that listens on it, where it was looked for.
    pub server_pid: Option<Pid>,
    /// What runs in the panes of a ghost, where it was looked for.
    pub panes: Vec<String>,
    /// The number of its listening socket, where the kernel's table shows one.
    pub socket: Option<SocketNumber>,
    /// For a live server that is bound outside of the directories that were looked into: how it can be reached.
    pub outside: Option<Outside>,
    /// Whether its file has an execute bit, where it was looked at.
    pub is_executable: Option<bool>,
    /// Of a live server, where that was asked for.
    pub details: Option<Box<Details>>,
}

/// A whole run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// The directories that are there.
    pub directories: Vec<DirectoryReport>,
    /// Everything in them.
    pub entries: Vec<Entry>,
    /// What is only counted, since one user has too many.
    pub untold: Untold,
    /// What could not be looked at or judged, besides the directories that were left alone.
    pub unseen: Vec<Remark>,
    /// What strangers put where a user's sockets would be. Counted, and no error of anybody's.
    pub strays: Vec<Remark>,
    /// How many more of them there are than are told one by one.
    pub more_strays: usize,
    /// The start locks that somebody holds and does not let go of, and who that is.
    pub held: Vec<Remark>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Entry {
    /// An entry of which only the verdict is known.
    pub fn new(folder: Folder, label: Label, uid: Uid, verdict: Verdict, outcome: Outcome) -> Self {
        Self {
            folder,
            label,
            uid,
            verdict,
            outcome,
            server_pid: None,
            panes: Vec::new(),
            socket: None,
            outside: None,
            is_executable: None,
            details: None,
        }
    }

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

    /// Whether it was kept because it could not be asked: it cannot be opened, or connect(2) failed in a way that proves nothing.
    pub fn is_unheard(&self) -> bool {
        self.verdict.state == State::Unknown
            && matches!(self.verdict.reason, Reason::Unreadable(_) | Reason::ConnectSaysNothing(_))
    }
}

impl Report {
    /// Takes in what another process has found.
    pub fn append(&mut self, mut other: Self) {
        let before = number(self.directories.len());
        for entry in &mut other.entries {
            if let Folder::Of(DirectoryNumber(number)) = &mut entry.folder {
                *number += before;
            }
        }
        self.directories.append(&mut other.directories);
        self.entries.append(&mut other.entries);
        self.untold.add(other.untold);
    }

    /// The full path of an entry.
    pub fn path_of(&self, entry: &Entry) -> PathBuf {
        self.folder_of(entry).join(&entry.label)
    }

    /// The path of the directory that an entry stands in.
    pub fn folder_of<'r>(&'r self, entry: &'r Entry) -> &'r Path {
        match &entry.folder {
            Folder::Of(number) => self.directory(*number).map_or(Path::new(""), |directory| &directory.path),
            Folder::Other(path) => path,
        }
    }

    /// A directory by its number.
    pub fn directory(&self, number: DirectoryNumber) -> Option<&DirectoryReport> {
        self.directories.get(number.0 as usize)
    }

    /// Adds a directory.
    pub fn add_directory(&mut self, directory: DirectoryReport) -> DirectoryNumber {
        self.directories.push(directory);
        DirectoryNumber(number(self.directories.len() - 1))
    }

    /// The directories with their numbers.
    pub fn numbered_directories(&self) -> impl Iterator<Item = (DirectoryNumber, &DirectoryReport)> {
        (0..).map(DirectoryNumber).zip(&self.directories)
    }

    /// The number of the directory at one of these paths.
    pub fn directory_at(&self, paths: &[&Path]) -> Option<DirectoryNumber> {
        let is_it = |directory: &DirectoryReport| paths.contains(&directory.path.as_path());
        self.numbered_directories().find(|(_, directory)| is_it(directory)).map(|(number, _)| number)
    }

    /// Takes out the directories that are not kept. Their entries stay, and still know where they stand.
    pub fn retain_directories(
        &mut self,
        mut is_kept: impl FnMut(&DirectoryReport) -> bool,
    ) -> Vec<DirectoryReport> {
        let (mut kept, mut dropped, mut anew) = (Vec::new(), Vec::new(), Vec::new());
        for directory in self.directories.drain(..) {
            if is_kept(&directory) {
                anew.push(Folder::Of(DirectoryNumber(number(kept.len()))));
                kept.push(directory);
            } else {
                anew.push(Folder::Other(directory.path.clone()));
                dropped.push(directory);
            }
        }
        self.directories = kept;
        for entry in &mut self.entries {
            if let Folder::Of(number) = entry.folder {
                if let Some(folder) = anew.get(number.0 as usize) {
                    entry.folder = folder.clone();
                }
            }
        }
        dropped
    }

    /// The number that the next entry will have.
    pub(crate) fn next_entry(&self) -> EntryNumber {
        EntryNumber(number(self.entries.len()))
    }

    /// The entries with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (EntryNumber, &Entry)> {
        (0..).map(EntryNumber).zip(&self.entries)
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

    /// The directories that were left alone, each with the reason.
    pub fn left_alone(&self) -> impl Iterator<Item = (&Path, &LeftAlone)> {
        self.directories
            .iter()
            .filter_map(|directory| Some((directory.path.as_path(), directory.error.as_ref()?)))
    }

    /// How many places could not be looked at: directories that were left alone, and all else.
    pub fn not_looked_at(&self) -> usize {
        self.left_alone().count() + self.unseen.len()
    }

    /// Whether all is well. Nothing is, where it is not known.
    pub fn health(&self) -> Health {
        let counts = self.counts();
        if self.not_looked_at() > 0 {
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

impl EntryNumber {
    /// The number of so many entries further on.
    pub(crate) fn after(self, count: usize) -> Self {
        Self(self.0 + number(count))
    }
}

/// Four thousand million entries fill no memory that there is.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
