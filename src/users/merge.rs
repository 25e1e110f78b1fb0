//! The workers' reports become one. Pure.

use super::crew::Loss;
use super::wire::{NoReport, Reader};
use crate::report::metrics::Row;
use crate::report::{DirectoryReport, Place, Report};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// A user who was found, and the folder that told of them.
#[derive(Debug, Clone, Copy)]
pub struct User<'a> {
    /// Their number.
    pub uid: u32,
    /// The folder.
    pub folder: &'a Path,
    /// Whether they have an account, as far as that is known.
    pub has_account: bool,
}

/// How many directories with an error are told of one by one: of one user, of all users who may have an account, and
/// of all who have none. Anybody who may use other uids (subuid(5)) can make directories for thousands.
const TOLD_OF_ONE: usize = 32;
const TOLD_OF_ACCOUNTS: usize = 1024;
const TOLD_OF_NAMELESS: usize = 8;

/// Takes reports in as they come.
#[derive(Debug, Default)]
pub struct Merger<'u> {
    reader: Reader,
    reports: Vec<(User<'u>, Report)>,
}

impl<'u> Merger<'u> {
    /// Takes in what became of a user's worker: its message, or why there is none. Its report.
    pub fn add(&mut self, mut user: User<'u>, outcome: Result<Vec<u8>, Loss>) -> &Report {
        let report = match outcome.map(|message| self.reader.read(&message, user.uid)) {
            Ok(Ok(report)) => report,
            Ok(Err(NoReport::Refused(why))) => one_error(user.folder.to_owned(), why),
            Ok(Err(NoReport::Garbled)) => lost(user, Loss::Garbled),
            Err(loss) => {
                // There may be one.
                user.has_account |= matches!(loss, Loss::Account(_));
                lost(user, loss)
            }
        };
        self.reports.push((user, report));
        // It is the last.
        &self.reports[self.reports.len() - 1].1
    }

    /// One report, in the order of the users; then the folders in which nobody could be looked for, and what
    /// strangers put there and no worker told of.
    pub fn finish(mut self, refused: Vec<DirectoryReport>, strays: Vec<Place>) -> Report {
        // Those with an account come first where there is room for some: with a row of their own, with their errors.
        self.reports.sort_by_key(|(user, _)| (!user.has_account, user.uid));
        let users = self.reports.iter().map(|(user, report)| Row::of(user.uid, report)).collect();
        let sums = self.leave_out();
        self.reports.sort_by_key(|(user, _)| user.uid);
        let mut whole = Report { users, ..Report::default() };
        for (_, mut report) in self.reports {
            let before = whole.directories.len();
            for entry in &mut report.entries {
                // A ghost may stand in none.
                entry.directory = entry.directory.saturating_add(before);
            }
            whole.directories.append(&mut report.directories);
            whole.entries.append(&mut report.entries);
            whole.unseen.append(&mut report.unseen);
            whole.strays.append(&mut report.strays);
            whole.held.append(&mut report.held);
        }
        whole.directories.extend(refused);
        whole.directories.extend(sums);
        let known: HashSet<PathBuf> = whole.strays.iter().map(|stray| stray.path.clone()).collect();
        whole.strays.extend(strays.into_iter().filter(|stray| !known.contains(&stray.path)));
        whole
    }

    /// Takes out directories with an error that are too many to be told of. The sums: a line for each folder they are in.
    fn leave_out(&mut self) -> Vec<DirectoryReport> {
        let (mut of_accounts, mut of_nameless) = (0, 0);
        let mut sums: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for (user, report) in &mut self.reports {
            let (told, most) = if user.has_account {
                (&mut of_accounts, TOLD_OF_ACCOUNTS)
            } else {
                (&mut of_nameless, TOLD_OF_NAMELESS)
            };
            let mut of_one = 0;
            keep_directories(report, |directory| {
                if directory.error.is_none() || (of_one < TOLD_OF_ONE && *told < most) {
                    let is_told = usize::from(directory.error.is_some());
                    of_one += is_told;
                    *told += is_told;
                    return true;
                }
                let folder = directory.path.parent().unwrap_or(&directory.path);
                *sums.entry(folder.to_owned()).or_default() += 1;
                false
            });
        }
        let told =
            |(path, count)| DirectoryReport { path, error: Some(crate::words::more_directories(count)) };
        sums.into_iter().map(told).collect()
    }
}

/// Takes directories out of a report. An entry of one that is not kept stands in none.
fn keep_directories(report: &mut Report, mut is_kept: impl FnMut(&DirectoryReport) -> bool) {
    let mut places = Vec::with_capacity(report.directories.len());
    let mut kept = 0;
    report.directories.retain(|directory| {
        let is_kept = is_kept(directory);
        places.push(if is_kept { kept } else { usize::MAX });
        kept += usize::from(is_kept);
        is_kept
    });
    for entry in &mut report.entries {
        entry.directory = places.get(entry.directory).copied().unwrap_or(usize::MAX);
    }
}

fn lost(user: User<'_>, loss: Loss) -> Report {
    one_error(user.folder.to_owned(), crate::words::lost_worker(user.uid, loss))
}

fn one_error(path: PathBuf, error: String) -> Report {
    Report { directories: vec![DirectoryReport { path, error: Some(error) }], ..Report::default() }
}
