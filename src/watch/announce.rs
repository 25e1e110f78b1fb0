//! Who is told what happens, and what is told only once.

use super::line_writer::LineWriter;
use super::warnings::Warning;
use crate::config::LabelGlob;
use crate::logging::journal;
use crate::view::advice::Advised;
use crate::view::events::{self, Event, EventKind, Following, Notice};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::report::{DirectoryReport, Entry, EntryNumber, Report};
use tmux_sockets::report::{LeftAlone, Outcome};

/// Who is told.
#[derive(Debug)]
pub(super) enum Outlet {
    /// The log.
    Log,
    /// A reader, by lines.
    Reader { lines: LineWriter, wishes: Wishes },
}

/// What a reader wants to be told, and how.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wishes {
    /// In JSON.
    pub json: bool,
    /// Of such labels only.
    pub label: Option<LabelGlob>,
    /// Of dead sockets, too, whose server was never told of.
    pub dead: bool,
    /// The line for people, too, as a field of the one in JSON: root reads it.
    pub people: bool,
}

impl Wishes {
    /// A line in JSON, with the one for people in it where that is wanted.
    fn beside(&self, line: String, people: &str) -> String {
        match (line.strip_suffix('}'), serde_json::to_string(people)) {
            (Some(open), Ok(people)) if self.people => format!("{open},\"people\":{people}}}"),
            _ => line,
        }
    }

    fn include(&self, event: &Event) -> bool {
        let label = event.path.file_name().unwrap_or_default();
        (event.kind != EventKind::Dead || self.dead)
            && self.label.as_ref().is_none_or(|glob| glob.matches(label))
    }
}

/// Tells of events, and logs what a look does: what stays as it is once, and not at every look.
#[derive(Debug)]
pub(super) struct Announcer {
    audience: Outlet,
    /// What the reader was told of how the stream follows; nothing before it is ready.
    following: Option<Following>,
    /// Sockets that could not be removed.
    failures: HashSet<PathBuf>,
    /// Directories that are left alone, and why.
    refused: HashSet<(PathBuf, LeftAlone)>,
    /// The same of those that a pattern of the configuration may lead to.
    unread: HashSet<(PathBuf, LeftAlone)>,
    /// What was warned of.
    warnings: HashSet<String>,
}

impl Announcer {
    pub(super) fn new(audience: Outlet) -> Self {
        Self {
            audience,
            following: None,
            failures: HashSet::new(),
            refused: HashSet::new(),
            unread: HashSet::new(),
            warnings: HashSet::new(),
        }
    }

    /// Tells one event, which was noticed then. The reader may have gone: see [`Self::is_reader_gone`].
    pub(super) fn tell(&mut self, event: &Event, time: SystemTime) {
        if event.kind == EventKind::SocketRemoved {
            // Removed: an earlier failure is settled.
            self.failures.remove(&event.path);
        }
        match &mut self.audience {
            // Removals are logged with all that is known of the entry.
            Outlet::Log if event.kind == EventKind::ServerGone => journal::server_gone(event),
            // A dead socket that is left: the log tells of removals.
            Outlet::Log if event.kind == EventKind::Dead => {}
            Outlet::Log => tracing::debug!("{}", events::people(event, time)),
            Outlet::Reader { lines, wishes } if wishes.include(event) => {
                let people = events::people(event, time);
                let line = if wishes.json { events::json(event, time).ok() } else { None };
                lines.line(&line.map_or_else(|| people.clone(), |line| wishes.beside(line, &people)));
            }
            Outlet::Reader { .. } => {}
        }
    }

    /// Tells the reader that all was told that was there at the beginning, and how the stream follows.
    pub(super) fn ready(&mut self, following: Following) {
        self.notice(Notice::Ready, following);
    }

    /// Tells the reader that it follows otherwise than was said, if so.
    pub(super) fn follows(&mut self, following: Following) {
        if self.following.is_some_and(|told| told != following) {
            self.notice(Notice::Following, following);
        }
    }

    fn notice(&mut self, notice: Notice, following: Following) {
        self.following = Some(following);
        if let Outlet::Reader { lines, wishes } = &mut self.audience {
            let now = SystemTime::now();
            let line =
                if wishes.json { events::notice_json(notice, following, None, now).ok() } else { None };
            lines.line(&line.unwrap_or_else(|| events::notice_people(notice, following, None, now)));
        }
    }

    /// Logs a removal.
    pub(super) fn removed(&mut self, report: &Report, entry: &Entry) {
        self.failures.remove(&report.path_of(entry));
        journal::removed(report, entry);
    }

    /// Logs what a look came to, but for the entries that were told of when they were done.
    pub(super) fn looked(&mut self, report: &Report, told: &HashSet<EntryNumber>) {
        for (number, entry) in report.numbered() {
            match entry.outcome {
                Outcome::Removed if told.contains(&number) => {}
                Outcome::Removed => self.removed(report, entry),
                Outcome::Failed(failure) if failure.is_of_all() => {
                    // One entry for the directory, not one for each socket in it.
                    let dir = report.path_of(entry).parent().map(Path::to_path_buf).unwrap_or_default();
                    if self.warnings.insert(format!("{}: {failure}", escaped(&dir))) {
                        journal::no_room(report, entry, &failure.with_advice());
                    }
                }
                Outcome::Failed(failure) => {
                    if self.failures.insert(report.path_of(entry)) {
                        journal::failed(report, entry, &failure.with_advice());
                    }
                }
                Outcome::Vanished => {
                    self.failures.remove(&report.path_of(entry));
                }
                Outcome::WouldRemove
                | Outcome::Kept
                | Outcome::Busy
                | Outcome::Resurrected
                | Outcome::Rescued
                | Outcome::WouldRescue
                | Outcome::SetAside
                | Outcome::WouldSetAside => {}
            }
        }
        for directory in &report.directories {
            match &directory.error {
                Some(error) => {
                    if self.refused.insert((directory.path.clone(), error.clone())) {
                        journal::directory(directory);
                    }
                }
                None => self.refused.retain(|(path, _)| *path != directory.path),
            }
        }
    }

    /// Logs where folders of the user's may be and nobody can look now; what was so before, not again.
    pub(super) fn unread(&mut self, directories: Vec<DirectoryReport>) {
        let mut unread = HashSet::new();
        for directory in directories {
            let Some(error) = directory.error.clone() else { continue };
            let place = (directory.path.clone(), error);
            if !self.unread.contains(&place) {
                journal::directory(&directory);
            }
            unread.insert(place);
        }
        self.unread = unread;
    }

    /// How many directories are left alone because of an error.
    pub(super) fn refused(&self) -> usize {
        let all = self.refused.iter().chain(&self.unread);
        let paths: HashSet<&PathBuf> = all.map(|(path, _)| path).collect();
        paths.len()
    }

    /// Warns, the first time that there is this cause.
    pub(super) fn warn(&mut self, warning: &Warning) {
        if self.warnings.insert(warning.cause()) {
            tracing::warn!("{warning}");
        }
    }

    /// The stream of lines, if there is one.
    pub(super) fn lines(&self) -> Option<&LineWriter> {
        match &self.audience {
            Outlet::Reader { lines, .. } => Some(lines),
            Outlet::Log => None,
        }
    }

    /// Writes what the reader has room for.
    pub(super) fn flush(&mut self) {
        if let Outlet::Reader { lines, .. } = &mut self.audience {
            lines.flush();
        }
    }

    /// Whether the reader must take something before anything else is looked at.
    pub(super) fn is_reader_behind(&self) -> bool {
        self.lines().is_some_and(LineWriter::is_full)
    }

    /// Whether nobody reads any more.
    pub(super) fn is_reader_gone(&self) -> bool {
        self.lines().is_some_and(LineWriter::is_reader_gone)
    }
}
