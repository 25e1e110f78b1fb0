//! The workers' reports become one. Pure.

use super::user::User;
use crate::pass::wire::{self, NoReport};
use crate::pass::{ENTRIES_OF_ONE, Run};
use crate::record::row::Row;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use tmux_sockets::kernel::Uid;
use tmux_sockets::report::{DirectoryReport, Entry, Folder, LeftAlone, Loss, Outcome, Remark, Report};

/// How many directories with an error are told of one by one: of one user, of all users who may have an account, and
/// of all who have none. Anybody who may use other uids (subuid(5)) can make directories for thousands.
const TOLD_OF_ONE: usize = 32;
const TOLD_OF_ACCOUNTS: usize = 1024;
const TOLD_OF_NAMELESS: usize = 8;

/// How many entries are told of one by one: of all who may have an account, and of each of them at least; of all others,
/// and of each of them at least. The rest is counted.
const ENTRIES_OF_ACCOUNTS: (usize, usize) = (16 * ENTRIES_OF_ONE, 256);
const ENTRIES_OF_NAMELESS: (usize, usize) = (4 * ENTRIES_OF_ONE, 8);

/// Takes reports in as they come.
#[derive(Debug, Default)]
pub(crate) struct Merger<'u> {
    runs: Vec<(User<'u>, Run)>,
    /// What workers have done that have not reported yet.
    done: HashMap<Uid, Report>,
    /// How many entries are told of: of those who may have an account, and of the others.
    entries: [usize; 2],
}

impl<'u> Merger<'u> {
    /// Takes in what a worker has done so far. `None`: it makes no sense.
    pub(crate) fn add_part(&mut self, user: User<'u>, message: &[u8]) -> Option<Report> {
        let mut part = wire::read(message, user.uid).ok()?.report;
        part.entries.retain(|entry| entry.outcome == Outcome::Removed);
        let done = self.done.entry(user.uid).or_default();
        for entry in &part.entries {
            let folder = part.folder_of(entry);
            let known = done.directory_at(&[folder]);
            let number = known.unwrap_or_else(|| {
                done.add_directory(DirectoryReport { path: folder.to_owned(), error: None })
            });
            done.entries.push(Entry { folder: Folder::Of(number), ..entry.clone() });
        }
        done.sum_up(user.uid, ENTRIES_OF_ONE);
        Some(part)
    }

    /// Takes in what became of a user's worker: its message, or why there is none; then what it did is what it had
    /// told by then. Its report.
    pub(crate) fn add(&mut self, mut user: User<'u>, outcome: Result<Vec<u8>, Loss>) -> &Report {
        let mut run = Run::of(self.done.remove(&user.uid).unwrap_or_default());
        let failure = match outcome.map(|message| wire::read(&message, user.uid)) {
            Ok(Ok(told)) => {
                run = told;
                None
            }
            Ok(Err(NoReport::Declined(why))) => Some(LeftAlone::Declined(why)),
            Ok(Err(NoReport::Garbled)) => Some(LeftAlone::Lost(user.uid, Loss::Garbled)),
            Err(loss) => {
                // The look-up failed: the user may have an account.
                user.has_account |= matches!(loss, Loss::Account(_));
                Some(LeftAlone::Lost(user.uid, loss))
            }
        };
        if let Some(why) = failure {
            let (mut directories, path) = (run.report.directories.iter_mut(), user.folder.to_owned());
            // A directory is told of once, also where the worker had told of removals in it.
            if let Some(directory) = directories.find(|directory| directory.path == path) {
                directory.error = Some(why);
            } else {
                run.report.directories.push(DirectoryReport { path, error: Some(why) });
            }
        }
        self.sum_up(user, &mut run.report);
        self.runs.push((user, run));
        // The report that was just pushed.
        &self.runs[self.runs.len() - 1].1.report
    }

    fn sum_up(&mut self, user: User<'_>, report: &mut Report) {
        let (told, (all, least)) = if user.has_account {
            (&mut self.entries[0], ENTRIES_OF_ACCOUNTS)
        } else {
            (&mut self.entries[1], ENTRIES_OF_NAMELESS)
        };
        report.sum_up(user.uid, all.saturating_sub(*told).clamp(least, ENTRIES_OF_ONE));
        *told += report.entries.len();
    }

    /// One report, in the order of the users; then the folders in which nobody could be looked for, and what
    /// strangers put there and no worker told of.
    pub(crate) fn finish(mut self, refused: Vec<DirectoryReport>, strays: Vec<Remark>) -> Run {
        // Those with an account come first where there is room for some: with a row of their own, with their errors.
        self.runs.sort_by_key(|(user, _)| (!user.has_account, user.uid));
        let row = |(user, run): &(User<'_>, Run)| Row::of(user.uid, &run.report, run.record.as_ref());
        let rows = self.runs.iter().map(row).collect();
        let sums = self.leave_out();
        self.runs.sort_by_key(|(user, _)| user.uid);
        let mut whole = Report::default();
        for (_, Run { mut report, .. }) in self.runs {
            whole.unseen.append(&mut report.unseen);
            whole.strays.append(&mut report.strays);
            whole.held.append(&mut report.held);
            whole.append(report);
        }
        whole.directories.extend(refused);
        whole.directories.extend(sums);
        let known: HashSet<PathBuf> = whole.strays.iter().map(|stray| stray.path.clone()).collect();
        whole.strays.extend(strays.into_iter().filter(|stray| !known.contains(&stray.path)));
        Run { report: whole, rows, ..Run::default() }
    }

    /// Takes out directories with an error that are too many to be told of. The sums: a line for each folder they are in.
    fn leave_out(&mut self) -> Vec<DirectoryReport> {
        let (mut of_accounts, mut of_nameless) = (0, 0);
        let mut sums: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for (user, Run { report, .. }) in &mut self.runs {
            let (told, most) = if user.has_account {
                (&mut of_accounts, TOLD_OF_ACCOUNTS)
            } else {
                (&mut of_nameless, TOLD_OF_NAMELESS)
            };
            let mut of_one = 0;
            report.retain_directories(|directory| {
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
        let told = |(path, count)| DirectoryReport { path, error: Some(LeftAlone::More(count)) };
        sums.into_iter().map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::path::Path;
    use tmux_sockets::judge::{Reason, State, Verdict};
    use tmux_sockets::kernel::Label;
    use tmux_sockets::sweep::Done;

    fn report(labels: &[&str]) -> Report {
        let mut report = Report::default();
        let numbers = ["/tmp/tmux-5", "/run/user/5/tmux-5"]
            .map(|path| report.add_directory(DirectoryReport { path: PathBuf::from(path), error: None }));
        let verdict = Verdict::new(State::Dead, Reason::NobodyListens);
        let entry = |(at, label): (usize, &&str)| {
            Entry::new(
                Folder::Of(numbers[at % 2]),
                Label::new(*label).unwrap(),
                Uid::new(5),
                verdict,
                Outcome::Removed,
            )
        };
        report.entries = labels.iter().enumerate().map(entry).collect();
        report
    }

    fn part(report: &Report, entries: &[usize]) -> Vec<u8> {
        let numbered: Vec<_> = report.numbered().collect();
        let done: Vec<Done<'_>> =
            entries.iter().map(|at| Done { number: numbered[*at].0, entry: numbered[*at].1 }).collect();
        wire::take_parts(&mut wire::part(report, &done)).remove(0)
    }

    #[test]
    fn what_a_worker_has_told_counts_once_whether_it_is_lost_or_not() {
        let whole = report(&["a", "b", "c"]);
        let user = User { uid: Uid::new(5), folder: Path::new("/tmp/tmux-5"), has_account: true };
        for (end, errors) in [(Ok(wire::write(Run::of(whole.clone()))), 0), (Err(Loss::Signal(9)), 1)] {
            let mut merger = Merger::default();
            for part in [part(&whole, &[1]), part(&whole, &[0, 2])] {
                assert!(merger.add_part(user, &part).is_some());
            }
            assert!(merger.add_part(user, b"no part").is_none());
            let told = merger.add(user, end);
            let mut paths: Vec<PathBuf> = told.entries.iter().map(|entry| told.path_of(entry)).collect();
            paths.sort();
            assert_eq!(paths, ["/run/user/5/tmux-5/b", "/tmp/tmux-5/a", "/tmp/tmux-5/c"].map(PathBuf::from));
            let with_error = told.directories.iter().filter(|directory| directory.error.is_some());
            assert_eq!(
                (with_error.count(), told.directories.len()),
                (errors, 2),
                "a directory is told of twice"
            );
        }
    }

    #[test]
    fn many_users_with_many_entries_are_counted_and_nobody_goes_untold() {
        let folder = Path::new("/tmp/x");
        let mut merger = Merger::default();
        let one = report(&["x"]);
        for (has_account, (all, least)) in [(true, ENTRIES_OF_ACCOUNTS), (false, ENTRIES_OF_NAMELESS)] {
            let mut told = 0;
            for _ in 0..20 {
                let user = User { uid: Uid::new(5), folder, has_account };
                let entries = vec![one.entries[0].clone(); ENTRIES_OF_ONE + 1];
                let message = wire::write(Run::of(Report { entries, ..one.clone() }));
                told += merger.add(user, Ok(message)).entries.len();
            }
            assert_eq!(told, all + least * (20 - all / ENTRIES_OF_ONE));
        }
        let report = merger.finish(Vec::new(), Vec::new()).report;
        assert_eq!(report.counts().removed, 40 * (ENTRIES_OF_ONE + 1));
        assert_eq!(report.untold.users, 40);
    }
}
