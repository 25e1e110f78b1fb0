//! What the daemon did, for the user's record and for the metrics file.

use super::engine::Counts;
use crate::host::apart;
use crate::record::metrics::{self, Kind, Row};
use crate::record::{self, Deeds, Record};
use std::path::Path;
use tmux_sockets::judge::State;

/// What was done and is not in the record yet, and what the record said last.
#[derive(Debug)]
pub(super) struct Ledger {
    user: u32,
    /// Whether it goes into the user's record. Without: what was done since the start is all that is known.
    recorded: bool,
    pending: Deeds,
    known: Record,
    /// Whether the record could be read last time.
    is_readable: bool,
}

impl Ledger {
    /// One that begins now.
    pub(super) fn new(user: u32, recorded: bool) -> Self {
        Self { user, recorded, pending: Deeds::default(), known: Record::new(), is_readable: true }
    }

    /// Something was done.
    pub(super) fn add(&mut self, deeds: Deeds) {
        self.pending.add(deeds);
    }

    /// Whether something is to go into the record.
    pub(super) fn is_behind(&self) -> bool {
        self.recorded && !self.pending.is_empty()
    }

    /// Enters what was done into the record. What cannot be entered now is entered with the next.
    pub(super) fn settle(&mut self) {
        if self.is_behind()
            && let Ok(record) = record::add(self.user, &self.pending, false)
        {
            self.known = record;
            self.pending = Deeds::default();
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
    pub(super) fn write(&mut self, path: &Path, counts: Counts, refused: usize) -> Result<(), String> {
        self.refresh();
        let row = Row {
            uid: Some(self.user),
            // What else there may be is nothing that the daemon keeps in mind.
            sockets: vec![
                (Kind::State(State::Live), counts.live),
                (Kind::State(State::Dead), counts.dead),
                (Kind::Spared, counts.spared),
            ],
            ghosts: Some(counts.ghosts),
            refused,
            record: Some(self.known.with(&self.pending)),
            unread_records: self.recorded.then_some(usize::from(!self.is_readable)),
        };
        apart::replace(path, metrics::text(&[row]).as_bytes())
            .map_err(|error| metrics::not_written(path, &error))
    }
}
