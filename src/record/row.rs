//! What is known of one user: the health row.

use super::{Record, Unread};
use tmux_sockets::judge::State;
use tmux_sockets::kernel::Uid;
use tmux_sockets::report::Report;

/// What a socket is counted as: its state, but for a dead one that the configuration keeps. A ghost has none, and what
/// is no socket is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    State(State),
    /// A dead socket that `keep` or `min-age` keeps.
    Spared,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [
        Self::State(State::Live),
        Self::State(State::Starting),
        Self::State(State::Dead),
        Self::Spared,
        Self::State(State::Foreign),
        Self::State(State::Unknown),
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::State(state) => state.word(),
            Self::Spared => "spared",
        }
    }
}

/// Where a live server is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Site {
    /// In one of the directories that are looked into.
    Standard,
    Elsewhere,
}

impl Site {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// What is known of one user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row {
    /// Whose janitor looked; `None`: those of many users, added up.
    pub uid: Option<Uid>,
    /// How many sockets there are of which kind. Empty: nothing could be looked at.
    pub sockets: Vec<(Kind, usize)>,
    /// Live servers that nobody can reach; `None`: nothing could be looked at.
    pub ghosts: Option<usize>,
    /// How many live servers there are where. Empty: nothing could be looked at.
    pub places: Vec<(Site, usize)>,
    /// Start locks that somebody does not let go of; `None`: nobody looked.
    pub held: Option<usize>,
    /// What could not be looked at, directories among it; `None`: not all of it is known.
    pub unseen: Option<usize>,
    /// Directories that were left alone.
    pub refused: usize,
    /// What was done so far, where that is known.
    pub record: Option<Record>,
    /// For how many users it cannot be read; `None`: nobody asked.
    pub unread_records: Option<usize>,
}

impl Row {
    /// That of a user's report.
    pub(crate) fn of(uid: Uid, report: &Report, record: Option<&Result<Record, Unread>>) -> Self {
        let refused = report.directories.iter().filter(|directory| directory.error.is_some()).count();
        let unread_records = record.map(|record| usize::from(record.is_err()));
        let record = record.and_then(|record| record.as_ref().ok().copied());
        let unseen = Some(report.not_looked_at());
        let mut row = Self { uid: Some(uid), refused, unseen, record, unread_records, ..Self::default() };
        // No directory at all is none with dead sockets. One that cannot be read may have any number.
        if refused > 0 && refused == report.directories.len() && report.entries.is_empty() {
            return row;
        }
        let counts = report.counts();
        let count = |kind: Kind| match kind {
            Kind::State(State::Live) => counts.live,
            Kind::State(State::Starting) => counts.starting,
            Kind::State(State::Dead) => counts.dead,
            Kind::State(State::Foreign) => counts.foreign,
            Kind::State(State::Unknown) => counts.unknown,
            Kind::State(State::Ghost | State::NotASocket) => 0,
            Kind::Spared => counts.spared,
        };
        row.sockets = Kind::ALL.map(|kind| (kind, count(kind))).to_vec();
        row.ghosts = Some(counts.ghost);
        let standard = counts.live.saturating_sub(counts.elsewhere);
        row.places = vec![(Site::Standard, standard), (Site::Elsewhere, counts.elsewhere)];
        row.held = Some(report.held.len());
        row
    }

    /// Takes in another user's row; what adds up to nothing that is true of both is left out.
    pub(super) fn merge(&mut self, other: &Self) {
        self.uid = None;
        self.record = None;
        self.refused += other.refused;
        let sum = |one: Option<usize>, other: Option<usize>| {
            one.into_iter().chain(other).reduce(|sum, count| sum + count)
        };
        self.ghosts = sum(self.ghosts, other.ghosts);
        self.unread_records = sum(self.unread_records, other.unread_records);
        self.held = sum(self.held, other.held);
        self.unseen = sum(self.unseen, other.unseen);
        add_up(&mut self.sockets, &other.sockets);
        add_up(&mut self.places, &other.places);
    }

    pub(super) fn user(&self) -> String {
        self.uid.map_or_else(|| "others".to_owned(), |uid| uid.to_string())
    }
}

/// Adds counts to those of the same kind.
fn add_up<K: Copy + PartialEq>(sums: &mut Vec<(K, usize)>, more: &[(K, usize)]) {
    for (kind, count) in more {
        match sums.iter_mut().find(|(known, _)| known == kind) {
            Some((_, sum)) => *sum += count,
            None => sums.push((*kind, *count)),
        }
    }
}
