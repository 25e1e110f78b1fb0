//! What is said and kept while a sweep goes on, so that one that is ended in the middle has told what it did.

use super::wire;
use crate::host::told_to_end::ToldToEnd;
use crate::logging::journal;
use crate::logging::stderr;
use crate::record::{self, Deeds};
use crate::view::people;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tmux_sockets::kernel::Uid;
use tmux_sockets::remove::Next;
use tmux_sockets::report::Outcome;
use tmux_sockets::report::{Entry, EntryNumber, Report};
use tmux_sockets::sweep::{Done, Follower};

/// How often something is shown; lines that come meanwhile are shown together.
const OFTEN: Duration = Duration::from_millis(100);

/// When a terminal is shown how far the run is.
const PROGRESS: Duration = Duration::from_millis(500);

/// How much a pipe that has room takes without waiting: `PIPE_BUF` of limits.h.
const ATOMIC: usize = 4096;

/// Takes a line back that ends without a newline.
const ERASE: &str = "\r\x1b[K";

/// How many entries of one user are told of one by one. The rest is counted.
pub(crate) const ENTRIES_OF_ONE: usize = 16 * 1024;

/// What is heard of the workers, while they work.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Heard<'r> {
    /// What one has done so far. It stands in its report again.
    Deeds(&'r Report),
    /// One's report.
    Report(&'r Report),
    /// Nothing for a while.
    Nothing,
}

/// For whom what is done is printed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Reader {
    #[default]
    Nobody,
    People,
    /// Root, whose worker we are.
    Root,
}

/// Follows one run.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Narrator {
    /// For whom what is done is printed.
    reader: Reader,
    /// Whether stderr is a terminal where somebody waits.
    shows_progress: bool,
    is_progress_shown: bool,
    /// Whose record is kept.
    record: Option<u32>,
    /// Whether SIGTERM, SIGINT and SIGHUP let it come to an orderly end.
    ends_in_order: bool,
    signals: Option<ToldToEnd>,
    /// When the run is to come to its end.
    until: Option<Instant>,
    is_over: bool,
    started: Option<Instant>,
    shown: Option<Instant>,
    /// What is not printed yet.
    text: Vec<u8>,
    /// Why nothing more can be printed.
    broken: Option<std::io::Error>,
    /// What is in no record yet, and what is.
    deeds: Deeds,
    recorded: Deeds,
    told: HashSet<EntryNumber>,
    /// Of many users: how many are done, and what was told of them before.
    users: Option<usize>,
    told_of_users: HashSet<PathBuf>,
    is_finished: bool,
    expected: usize,
    removed: usize,
}

impl Narrator {
    /// Of a run that removes: printed for people or not, on a terminal or not.
    pub(crate) fn of_a_sweep(prints: bool, quiet: bool) -> Self {
        Self {
            reader: if prints { Reader::People } else { Reader::Nobody },
            shows_progress: !quiet && std::io::stderr().is_terminal(),
            ends_in_order: true,
            started: Some(Instant::now()),
            ..Self::default()
        }
    }

    /// Of a worker, for which nobody waits longer than that. It comes to its end when root has gone.
    pub(crate) fn of_a_worker(most: Duration) -> Self {
        let until = Some(Instant::now() + most);
        Self { reader: Reader::Root, until, ends_in_order: true, ..Self::default() }
    }

    /// What is done goes into this user's record.
    pub(crate) fn keeps_record_of(&mut self, user: Uid) {
        self.record = Some(user.raw());
    }

    /// What is in the record already.
    pub(crate) fn recorded(&self) -> Deeds {
        self.recorded
    }

    /// Whether the run was ended before everything was looked at.
    pub(crate) fn is_ended(&self) -> bool {
        self.is_over
    }

    /// Whether an entry of the report was told of.
    pub(crate) fn has_told(&self, entry: EntryNumber) -> bool {
        self.users.is_some() || self.told.contains(&entry)
    }

    /// What is left to be kept, now that the run is over, is kept by somebody else.
    pub(crate) fn record_is_kept(&mut self) {
        self.record = None;
    }

    /// Prints what is left. A signal ends the run at once from now on.
    ///
    /// # Errors
    /// What kept it from being printed.
    pub(crate) fn finish(&mut self) -> std::io::Result<()> {
        self.is_finished = true;
        self.linger();
        self.broken.take().map_or(Ok(()), Err)
    }

    /// Does what the signal that ended the run asks for.
    pub(crate) fn obey(&mut self) {
        if self.is_over {
            crate::logging::finish();
        }
        self.signals = None;
    }

    /// The signals, for whoever waits for something else meanwhile.
    pub(crate) fn signals(&mut self) -> Option<ToldToEnd> {
        self.hold_signals();
        self.signals.take()
    }

    /// Nothing more is removed: what was done is kept, and a signal ends the run at once.
    pub(crate) fn rest(&mut self) {
        self.keep_record();
        if let Some(signals) = &mut self.signals {
            if !self.is_over {
                signals.release();
            }
        }
    }

    fn hold_signals(&mut self) {
        if self.ends_in_order && self.signals.is_none() {
            self.signals = ToldToEnd::begin();
        }
    }

    /// Gives them back.
    pub(crate) fn give_back(&mut self, signals: Option<ToldToEnd>) {
        self.signals = signals;
        self.is_over();
    }

    /// Workers are at work for so many users who are known; this was heard of them.
    pub(crate) fn hear_of_users(&mut self, heard: Heard<'_>, known: usize) {
        self.expected = known;
        let (users, told) = (self.users.get_or_insert(0), &mut self.told_of_users);
        let report = match heard {
            Heard::Deeds(report) => Some(report),
            Heard::Report(report) => {
                *users += 1;
                Some(report)
            }
            Heard::Nothing => None,
        };
        if let Some(report) = report {
            // A removal is heard twice: when it is done, and once more in the worker's report.
            let mut is_told = |path| match heard {
                Heard::Deeds(_) => !told.insert(path),
                _ => told.remove(&path),
            };
            let is_told: HashSet<EntryNumber> = report
                .numbered()
                .filter(|(_, entry)| entry.outcome == Outcome::Removed && is_told(report.path_of(entry)))
                .map(|(number, _)| number)
                .collect();
            self.erase();
            journal::entries(report, &|number| is_told.contains(&number));
            for (_, entry) in report.numbered().filter(|(number, _)| !is_told.contains(number)) {
                self.count(report, entry);
            }
        }
        if let Heard::Report(report) = heard {
            self.removed += report.untold.counts.removed;
        }
        if self.is_due() {
            self.show_what_goes();
            self.show_progress();
        }
    }

    fn count(&mut self, report: &Report, entry: &Entry) {
        if self.reader == Reader::People {
            self.text.extend(people::deed(report, entry).unwrap_or_default().into_bytes());
        }
        self.removed += usize::from(entry.outcome == Outcome::Removed);
        self.deeds.add(Deeds::done_to(entry));
    }

    /// Whether it is time to show something.
    fn is_due(&self) -> bool {
        let shows_progress = self.shows_progress && self.started.is_some_and(|at| at.elapsed() >= PROGRESS);
        let is_early = self.reader != Reader::Root && self.shown.is_some_and(|at| at.elapsed() < OFTEN);
        (shows_progress || !self.text.is_empty()) && !is_early
    }

    /// Prints what can be printed without waiting.
    fn show_what_goes(&mut self) {
        while !self.text.is_empty() && takes_more() {
            self.print(ATOMIC);
        }
        self.shown = Some(Instant::now());
    }

    /// Prints up to so many bytes.
    fn print(&mut self, most: usize) {
        self.erase();
        let text = std::mem::take(&mut self.text);
        let (part, rest) = text.split_at(text.len().min(most));
        if self.broken.is_none() {
            if self.shows_progress && std::io::stdout().is_terminal() {
                stderr::settle();
            }
            let mut stdout = std::io::stdout().lock();
            self.broken = stdout.write_all(part).and_then(|()| stdout.flush()).err();
        }
        self.text = rest.to_vec();
    }

    fn show_progress(&mut self) {
        self.shown = Some(Instant::now());
        if self.shows_progress && !self.is_over && self.started.is_some_and(|at| at.elapsed() >= PROGRESS) {
            let (done, what) = self.users.map_or((self.told.len(), "sockets"), |users| (users, "users"));
            let (all, removed) = (self.expected, self.removed);
            stderr::write(format!("{ERASE}{done} of {all} {what} looked at, {removed} removed").as_bytes());
            self.is_progress_shown = true;
        }
    }

    fn erase(&mut self) {
        if std::mem::take(&mut self.is_progress_shown) {
            stderr::write(ERASE.as_bytes());
        }
    }

    fn keep_record(&mut self) {
        if let Some(user) = self.record {
            if !self.deeds.is_empty() && record::add(Uid::new(user), &self.deeds, false).is_ok() {
                self.recorded.add(std::mem::take(&mut self.deeds));
            }
        }
    }
}

impl Follower for Narrator {
    fn expect(&mut self, more: usize) {
        self.expected += more;
        self.hold_signals();
    }

    fn hear(&mut self, report: &Report, done: &[Done<'_>]) -> Next {
        for Done { number, entry } in done {
            self.count(report, entry);
            // A failure of the whole directory is told once, when the directory is done.
            if matches!(entry.outcome, Outcome::Failed(failure) if failure.is_of_all()) {
                continue;
            }
            if matches!(entry.outcome, Outcome::Failed(_)) || tracing::enabled!(tracing::Level::INFO) {
                self.erase();
            }
            journal::entry(report, entry);
            self.told.insert(*number);
        }
        // Root tells so many of one user one by one; the rest are counted in the report.
        if self.reader == Reader::Root && self.told.len() <= ENTRIES_OF_ONE {
            self.text.extend(wire::part(report, done));
        }
        if self.is_over() {
            return Next::End;
        }
        if self.is_due() {
            self.show_what_goes();
            if !self.text.is_empty() {
                return Next::Linger;
            }
            self.show_progress();
        }
        Next::GoOn
    }

    fn linger(&mut self) {
        // The reader may never read again, and then a signal has to end the run: the record is written before that.
        self.keep_record();
        if let Some(signals) = &mut self.signals {
            signals.release();
        }
        while !self.text.is_empty() {
            self.print(usize::MAX);
        }
        self.erase();
        if self.is_finished {
            return;
        }
        self.show_progress();
        if let Some(signals) = &mut self.signals {
            signals.hold();
        }
    }

    fn is_over(&mut self) -> bool {
        let has_root_gone = self.reader == Reader::Root && self.broken.is_some();
        self.is_over |= has_root_gone
            || self.until.is_some_and(|until| Instant::now() >= until)
            || self.signals.as_mut().is_some_and(ToldToEnd::is_told);
        self.is_over
    }
}

/// Whether stdout takes [`ATOMIC`] bytes without making us wait: a file, or a pipe with room.
fn takes_more() -> bool {
    let stdout = std::io::stdout();
    match fstat(&stdout).map(|about| FileType::from_raw_mode(about.st_mode)) {
        Ok(FileType::RegularFile) => true,
        Ok(FileType::Fifo) => {
            let mut fds = [PollFd::new(&stdout, PollFlags::OUT)];
            poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
        }
        _ => false,
    }
}
