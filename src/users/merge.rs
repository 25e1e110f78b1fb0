//! The workers' reports become one. Pure.

use super::crew::Loss;
use super::wire::{NoReport, Reader};
use crate::report::metrics::Row;
use crate::report::{DirectoryReport, Report};
use std::path::{Path, PathBuf};

/// A user who was found, and the folder that told of them.
#[derive(Debug, Clone, Copy)]
pub struct User<'a> {
    /// Their number.
    pub uid: u32,
    /// The folder.
    pub folder: &'a Path,
}

/// Takes reports in as they come.
#[derive(Debug, Default)]
pub struct Merger {
    reader: Reader,
    reports: Vec<(u32, Report)>,
}

impl Merger {
    /// Takes in what became of a user's worker: its message, or why there is none.
    pub fn add(&mut self, user: User<'_>, outcome: Result<Vec<u8>, Loss>) {
        let report = match outcome.map(|message| self.reader.read(&message, user.uid)) {
            Ok(Ok(report)) => report,
            Ok(Err(NoReport::Refused(why))) => one_error(user.folder.to_owned(), why),
            Ok(Err(NoReport::Garbled)) => lost(user, Loss::Garbled),
            Err(loss) => lost(user, loss),
        };
        self.reports.push((user.uid, report));
    }

    /// One report, in the order of the users; then what belongs to nobody and was not reported yet.
    pub fn finish(mut self, strays: Vec<DirectoryReport>) -> Report {
        self.reports.sort_by_key(|(uid, _)| *uid);
        let users = self.reports.iter().map(|(uid, report)| Row::of(*uid, report)).collect();
        let mut whole = Report { users, ..Report::default() };
        for (_, mut report) in self.reports {
            let before = whole.directories.len();
            for entry in &mut report.entries {
                // A ghost may stand in none.
                entry.directory = entry.directory.saturating_add(before);
            }
            whole.directories.append(&mut report.directories);
            whole.entries.append(&mut report.entries);
        }
        for stray in strays {
            if !whole.directories.iter().any(|known| known.path == stray.path) {
                whole.directories.push(stray);
            }
        }
        whole
    }
}

fn lost(user: User<'_>, loss: Loss) -> Report {
    one_error(user.folder.to_owned(), crate::words::lost_worker(user.uid, loss))
}

fn one_error(path: PathBuf, error: String) -> Report {
    Report { directories: vec![DirectoryReport { path, error: Some(error) }], ..Report::default() }
}
