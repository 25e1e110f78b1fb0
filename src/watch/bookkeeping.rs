//! What the daemon did, for the user's record and for the metrics file.

use super::engine::NameCounts;
use crate::host::apart;
use crate::record::metrics;
use crate::record::row::{Kind, Row, Site};
use crate::record::{self, Deeds, Record};
use crate::view::cause::Cause;
use std::path::Path;
use std::time::Duration;
use tmux_sockets::judge::State;
use tmux_sockets::kernel::Uid;
use tmux_sockets::report::Entry;
use tmux_sockets::report::Outcome;

/// What was done and is not in the record yet, and what the record said last.
#[derive(Debug)]
pub(super) struct Books {
    user: Uid,
    /// Whether it goes into the user's record. Without: what was done since the start is all that is known.
    recorded: bool,
    pending: Deeds,
    known: Record,
    /// Whether the record could be read last time.
    is_readable: bool,
    /// How many sockets were removed since the start.
    removed: u64,
    /// Whether the counts may be others than those that were last asked for.
    news: bool,
}

impl Books {
    /// They begin now.
    pub(super) fn new(user: Uid, recorded: bool) -> Self {
        Self {
            user,
            recorded,
            pending: Deeds::default(),
            known: Record::new(),
            is_readable: true,
            removed: 0,
            news: false,
        }
    }

    /// Something has happened that the counts show.
    pub(super) fn note_news(&mut self) {
        self.news = true;
    }

    /// Whether something has happened since [`Self::take_news`].
    pub(super) fn has_news(&self) -> bool {
        self.news
    }

    /// The counts are told now.
    pub(super) fn take_news(&mut self) {
        self.news = false;
    }

    /// A look is done with an entry.
    pub(super) fn enter(&mut self, entry: &Entry) {
        let deeds = Deeds::done_to(entry);
        self.removed += u64::from(entry.outcome == Outcome::Removed && !entry.is_litter());
        self.news |= !deeds.is_empty();
        self.pending.add(deeds);
    }

    /// A server has ended.
    pub(super) fn died(&mut self, cause: Option<Cause>) {
        self.pending.add(Deeds::death(cause));
        self.news = true;
    }

    /// Everything was swept.
    pub(super) fn swept(&mut self, took: Duration) {
        self.pending.swept(took);
        self.news = true;
    }

    /// How many sockets were removed since the start.
    pub(super) fn removed(&self) -> u64 {
        self.removed
    }

    /// Whether something is to go into the record.
    pub(super) fn is_behind(&self) -> bool {
        self.recorded && !self.pending.is_empty()
    }

    /// Enters what was done into the record. What cannot be entered now is entered with the next.
    pub(super) fn settle(&mut self) {
        if self.is_behind() {
            if let Ok(record) = record::add(self.user, &self.pending, false) {
                self.known = record;
                self.pending = Deeds::default();
            }
        }
    }

    /// Takes in what others have entered.
    fn refresh(&mut self) {
        if self.recorded {
            let read = record::read(self.user);
            self.is_readable = read.is_ok();
            if let Some(record) = read.ok().filter(|record| record.since_us > 0) {
                self.known = record;
            }
        }
    }

    /// Writes the metrics file.
    ///
    /// # Errors
    /// One sentence.
    pub(super) fn write(&mut self, path: &Path, counts: NameCounts, refused: usize) -> Result<(), String> {
        self.refresh();
        let row = Row {
            uid: Some(self.user),
            // The other kinds (busy, foreign, …) are not counted by the daemon.
            sockets: vec![
                (Kind::State(State::Live), counts.live),
                (Kind::State(State::Dead), counts.dead),
                (Kind::Spared, counts.spared),
            ],
            ghosts: Some(counts.ghosts),
            places: vec![(Site::Standard, counts.live)],
            held: None,
            unseen: None,
            refused,
            record: Some(self.known.with(&self.pending)),
            unread_records: self.recorded.then_some(usize::from(!self.is_readable)),
        };
        apart::replace(path, metrics::text(&[row]).as_bytes())
            .map_err(|error| metrics::not_written(path, &error))
    }
}
