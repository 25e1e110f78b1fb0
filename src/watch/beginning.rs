//! When all has been told that was there at the beginning. Pure: time is handed in.

use std::time::{Duration, Instant};

/// How long names are waited for that the first looks could not decide: a server that a dump of the table has missed is
/// looked at again at once, but where servers come and go all the time some name is always undecided.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far the beginning has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// Everything is being looked at.
    Looking,
    /// Everything was looked at, but for ghosts.
    Seen,
    /// Ghosts, too. Until then names are waited for that are undecided.
    Settling(Instant),
    /// It was told that it is over.
    Over,
}

impl Beginning {
    /// Everything has been looked at.
    pub(super) fn seen(&mut self) {
        if *self == Self::Looking {
            *self = Self::Seen;
        }
    }

    /// Ghosts were looked for.
    pub(super) fn ghosts_seen(&mut self, now: Instant) {
        if *self == Self::Seen {
            *self = Self::Settling(now + PATIENCE);
        }
    }

    /// When it is over at the latest, as far as that is known.
    pub(super) fn latest(self) -> Option<Instant> {
        match self {
            Self::Settling(latest) => Some(latest),
            Self::Looking | Self::Seen | Self::Over => None,
        }
    }

    /// Whether it is over now: once. `is_settled`: no name is undecided.
    pub(super) fn ends(&mut self, is_settled: bool, now: Instant) -> bool {
        let ends = self.latest().is_some_and(|latest| is_settled || latest <= now);
        if ends {
            *self = Self::Over;
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_once_after_names_and_ghosts() {
        let now = Instant::now();
        let mut beginning = Beginning::Looking;
        beginning.ghosts_seen(now);
        assert!(!beginning.ends(true, now), "not everything was looked at");
        beginning.seen();
        assert!(!beginning.ends(true, now), "a ghost may be there");
        beginning.ghosts_seen(now);
        assert!(!beginning.ends(false, now));
        assert!(beginning.ends(true, now) && !beginning.ends(true, now));
        beginning.seen();
        beginning.ghosts_seen(now);
        assert!(!beginning.ends(true, now), "another rescan is no beginning");
    }

    #[test]
    fn who_never_settles_is_not_waited_for() {
        let now = Instant::now();
        let mut beginning = Beginning::Seen;
        beginning.ghosts_seen(now);
        let latest = beginning.latest();
        assert_eq!(latest, Some(now + PATIENCE));
        assert!(!beginning.ends(false, now) && beginning.ends(false, now + PATIENCE));
        assert_eq!(beginning.latest(), None, "nothing wakes for it any more");
    }
}
