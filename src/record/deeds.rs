//! What was done and has happened, as sums: since the record was begun ([`Record`]), and what is to be added ([`Deeds`]).

use crate::view::cause::Cause;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use tmux_sockets::judge::State;
use tmux_sockets::report::{Entry, Outcome, Report};

/// The sums since the record was begun. Times are microseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    /// When it was begun; 0: it was not.
    pub since_us: u64,
    /// Dead sockets that were removed.
    pub removed: u64,
    /// Times that one could not be removed.
    pub failed: u64,
    /// When everything was last swept; 0: not since it was begun.
    pub swept_us: u64,
    /// How long that took, in microseconds.
    pub sweep_took_us: u64,
    /// Servers that have ended, as the watcher saw it.
    pub deaths: DeathCounts,
}

/// How many servers have ended, by the cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DeathCounts {
    /// By themselves.
    pub exit: u64,
    /// By a signal, but for those below.
    pub signal: u64,
    /// Killed by the kernel for lack of memory.
    pub oom: u64,
    /// The kernel did not tell.
    pub unknown: u64,
}

impl DeathCounts {
    fn sums(&mut self) -> [&mut u64; 4] {
        let Self { exit, signal, oom, unknown } = self;
        [exit, signal, oom, unknown]
    }

    fn add(&mut self, mut more: Self) {
        for (sum, more) in self.sums().into_iter().zip(more.sums()) {
            *sum = sum.saturating_add(*more);
        }
    }
}

/// What is to be added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Deeds {
    removed: u64,
    failed: u64,
    /// When a sweep of everything ended, and how long it took.
    swept: Option<(u64, u64)>,
    deaths: DeathCounts,
}

impl Deeds {
    /// What a run did. That it swept everything is said by [`Deeds::swept`].
    pub(crate) fn of(report: &Report) -> Self {
        let mut all = Self::default();
        report.entries.iter().for_each(|entry| all.add(Self::done_to(entry)));
        all
    }

    pub(crate) fn done_to(entry: &Entry) -> Self {
        let is_removed = entry.outcome == Outcome::Removed && !entry.is_litter();
        let is_failed = entry.verdict.state != State::Ghost && matches!(entry.outcome, Outcome::Failed(_));
        Self { removed: is_removed.into(), failed: is_failed.into(), ..Self::default() }
    }

    /// A server has ended.
    pub(crate) fn death(cause: Option<Cause>) -> Self {
        let mut deaths = DeathCounts::default();
        *match cause {
            Some(Cause::Exit(_)) => &mut deaths.exit,
            Some(Cause::Signal { oom: Some(true), .. }) => &mut deaths.oom,
            Some(Cause::Signal { .. }) => &mut deaths.signal,
            None => &mut deaths.unknown,
        } += 1;
        Self { deaths, ..Self::default() }
    }

    /// Without what is in the record already.
    #[must_use]
    pub(crate) fn without(mut self, entered: Self) -> Self {
        self.removed = self.removed.saturating_sub(entered.removed);
        self.failed = self.failed.saturating_sub(entered.failed);
        self
    }

    /// Everything was swept just now.
    pub(crate) fn swept(&mut self, took: Duration) {
        self.swept = Some((now(), micros(took)));
    }

    /// More of it.
    pub(crate) fn add(&mut self, more: Self) {
        self.removed += more.removed;
        self.failed += more.failed;
        self.swept = more.swept.or(self.swept);
        self.deaths.add(more.deaths);
    }

    /// When the first of it may have been done.
    pub(super) fn began(&self) -> u64 {
        self.swept.map_or_else(now, |(ended, took)| ended.saturating_sub(took))
    }

    /// Whether a folder is made for them: a sweep that found nothing leaves nothing behind.
    pub(super) fn are_worth_a_folder(&self) -> bool {
        self.removed + self.failed > 0 || self.deaths != DeathCounts::default()
    }

    /// So many.
    #[cfg(test)]
    pub(super) fn counted(removed: u64, failed: u64) -> Self {
        Self { removed, failed, ..Self::default() }
    }

    /// Whether there is nothing to add.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Record {
    /// One that begins now.
    pub(crate) fn new() -> Self {
        Self { since_us: now(), ..Self::default() }
    }

    /// The sums with what was done meanwhile.
    #[must_use]
    pub(crate) fn with(mut self, deeds: &Deeds) -> Self {
        self.removed = self.removed.saturating_add(deeds.removed);
        self.failed = self.failed.saturating_add(deeds.failed);
        if let Some((ended, took)) = deeds.swept {
            (self.swept_us, self.sweep_took_us) = (ended, took);
        }
        self.deaths.add(deeds.deaths);
        self
    }
}

fn now() -> u64 {
    micros(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
