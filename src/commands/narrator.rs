//! What is said and kept while a sweep goes on, so that one that is ended in the middle has told what it did.

use crate::journal;
use crate::logging::stderr;
use crate::outcome::Outcome;
use crate::reap::Next;
use crate::record::{self, Deeds};
use crate::report::{Entry, Report, people};
use crate::sweep::follow::Follower;
use crate::told_to_end::ToldToEnd;
use crate::words;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often something is shown; lines that come meanwhile are shown together.
const OFTEN: Duration = Duration::from_millis(100);

/// When a terminal is shown how far the run is.
const PROGRESS: Duration = Duration::from_millis(500);

/// How much a pipe that has room takes without waiting: `PIPE_BUF` of limits.h.
const ATOMIC: usize = 4096;

/// Takes a line back that ends without a newline.
const ERASE: &str = "\r\x1b[K";

/// Follows one run.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Narrator {
    /// Whether what is done is printed for people.
    prints: bool,
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
    /// Lines that are not printed yet.
    text: String,
    /// Why nothing more can be printed.
    broken: Option<std::io::Error>,
    /// What is in no record yet, and what is.
    deeds: Deeds,
    recorded: Deeds,
    told: HashSet<usize>,
    users: usize,
    is_finished: bool,
    expected: usize,
    removed: usize,
}

impl Narrator {
    /// Of a run that removes: printed for people or not, on a terminal or not.
    pub(super) fn of_a_sweep(prints: bool, quiet: bool) -> Self {
        Self {
            prints,
            shows_progress: !quiet && std::io::stderr().is_terminal(),
            ends_in_order: true,
            started: Some(Instant::now()),
            ..Self::default()
        }
    }

    /// Of a run that nobody waits for longer than that.
    pub(super) fn of_a_worker(most: Duration) -> Self {
        Self { until: Some(Instant::now() + most), ends_in_order: true, ..Self::default() }
    }

    /// What is done goes into this user's record.
    pub(super) fn keeps_record_of(&mut self, user: u32) {
        self.record = Some(user);
    }

    /// What is in the record already.
    pub(super) fn recorded(&self) -> Deeds {
        self.recorded
    }

    /// Whether the run was ended before everything was looked at.
    pub(super) fn is_ended(&self) -> bool {
        self.is_over
    }

    /// Whether an entry of the report was told of.
    pub(super) fn has_told(&self, entry: usize) -> bool {
        self.users > 0 || self.told.contains(&entry)
    }

    /// What is left to be kept, now that the run is over, is kept by somebody else.
    pub(super) fn record_is_kept(&mut self) {
        self.record = None;
    }

    /// Prints what is left. A signal ends the run at once from now on.
    ///
    /// # Errors
    /// What kept it from being printed.
    pub(super) fn finish(&mut self) -> std::io::Result<()> {
        self.is_finished = true;
        self.linger();
        self.broken.take().map_or(Ok(()), Err)
    }

    /// Does what the signal that ended the run asks for.
    pub(super) fn obey(&mut self) {
        stderr::finish();
        self.signals = None;
    }

    /// The signals, for whoever waits for something else meanwhile.
    pub(super) fn signals(&mut self) -> Option<ToldToEnd> {
        self.hold_signals();
        self.signals.take()
    }

    /// Nothing more is removed: what was done is kept, and a signal ends the run at once.
    pub(super) fn rest(&mut self) {
        self.keep_record();
        if let Some(signals) = &mut self.signals
            && !self.is_over
        {
            signals.release();
        }
    }

    fn hold_signals(&mut self) {
        if self.ends_in_order && self.signals.is_none() {
            self.signals = ToldToEnd::begin();
        }
    }

    /// Gives them back.
    pub(super) fn give_back(&mut self, signals: Option<ToldToEnd>) {
        self.signals = signals;
        self.is_over();
    }

    /// A user's worker has done its work, of so many who are known.
    pub(super) fn hear_of_a_user(&mut self, report: &Report, known: usize) {
        self.expected = known;
        self.users += 1;
        self.erase();
        journal::entries(report, &|_| false);
        for entry in &report.entries {
            self.count(report, entry);
        }
        if self.is_due() {
            self.show_what_goes();
            self.show_progress();
        }
    }

    fn count(&mut self, report: &Report, entry: &Entry) {
        if self.prints {
            self.text.extend(people::deed(report, entry));
        }
        self.removed += usize::from(entry.outcome == Outcome::Removed);
        self.deeds.add(Deeds::done_to(entry));
    }

    /// Whether it is time to show something.
    fn is_due(&self) -> bool {
        let shows_progress = self.shows_progress && self.started.is_some_and(|at| at.elapsed() >= PROGRESS);
        (shows_progress || !self.text.is_empty()) && self.shown.is_none_or(|at| at.elapsed() >= OFTEN)
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
        let text = std::mem::take(&mut self.text).into_bytes();
        let (part, rest) = text.split_at(text.len().min(most));
        if self.broken.is_none() {
            if self.shows_progress && std::io::stdout().is_terminal() {
                stderr::settle();
            }
            let mut stdout = std::io::stdout().lock();
            self.broken = stdout.write_all(part).and_then(|()| stdout.flush()).err();
        }
        self.text = String::from_utf8_lossy(rest).into_owned();
    }

    fn show_progress(&mut self) {
        self.shown = Some(Instant::now());
        if self.shows_progress && !self.is_over && self.started.is_some_and(|at| at.elapsed() >= PROGRESS) {
            let done = if self.users > 0 { self.users } else { self.told.len() };
            let (what, all, removed) =
                (if self.users > 0 { "users" } else { "sockets" }, self.expected, self.removed);
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
        if let Some(user) = self.record
            && !self.deeds.is_empty()
            && record::add(user, &self.deeds, false).is_ok()
        {
            self.recorded.add(std::mem::take(&mut self.deeds));
        }
    }
}

impl Follower for Narrator {
    fn expect(&mut self, more: usize) {
        self.expected += more;
        self.hold_signals();
    }

    fn hear(&mut self, report: &Report, entries: &[usize]) -> Next {
        for at in entries {
            let entry = &report.entries[*at];
            self.count(report, entry);
            // What is of the whole directory is told once, when all of it is known.
            if matches!(entry.outcome, Outcome::Failed(failure) if words::is_of_all(&failure)) {
                continue;
            }
            if matches!(entry.outcome, Outcome::Failed(_)) || tracing::enabled!(tracing::Level::INFO) {
                self.erase();
            }
            journal::entry(report, entry);
            self.told.insert(*at);
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
        // Whoever reads may never read again, and then a signal must end the run: what it did is written down first.
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
        self.is_over |= self.until.is_some_and(|until| Instant::now() >= until)
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
