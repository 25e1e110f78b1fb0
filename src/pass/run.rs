//! What a whole pass comes to.

use crate::record::row::Row;
use crate::record::{Record, Unread};
use tmux_sockets::report::Report;

/// What a pass found and did, and what earlier ones did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// What it found and did.
    pub report: Report,
    /// What was done so far, or why that is not known; `None`: it was not asked for.
    pub record: Option<Result<Record, Unread>>,
    /// The health row of each user, where it is a pass for many.
    pub rows: Vec<Row>,
}

impl Run {
    /// A pass of which no record was asked for.
    pub(crate) fn of(report: Report) -> Self {
        Self { report, ..Self::default() }
    }
}
