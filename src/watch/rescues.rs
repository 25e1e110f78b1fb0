//! Ghosts get their sockets back, beside the loop.
//!
//! A rescue waits for the server's answer, seconds if it is busy, under the path's start lock. So it
//! has a thread of its own, and the loop goes on; that the socket is back is seen like any birth.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tmux_sockets::ghost::Ghost;
use tmux_sockets::kernel::escape::escaped;
use tokio::sync::oneshot;

/// How many rescues there may be in a minute. Whoever deletes sockets again and again is to be found,
/// not to be raced.
const A_MINUTE: usize = 20;
const MINUTE: Duration = Duration::from_secs(60);

/// The one rescue that is under way, and those of the last minute.
#[derive(Debug, Default)]
pub(super) struct Rescues {
    state: RescueState,
    /// Some were found while one was under way.
    is_asked_again: bool,
    allowance: Allowance,
}

#[derive(Debug, Default)]
enum RescueState {
    #[default]
    None,
    UnderWay {
        thread: JoinHandle<()>,
        end: oneshot::Receiver<()>,
    },
    /// Not told yet.
    Ended,
}

impl Rescues {
    /// Has `rescue` called with those that may be rescued now, on another thread. While one is under way no other
    /// begins: a later look finds who is a ghost still. When to look for ghosts again, because it was too many.
    pub(super) fn begin(
        &mut self,
        mut ghosts: Vec<Ghost>,
        rescue: impl FnOnce(Vec<Ghost>) + Send + 'static,
    ) -> Option<Instant> {
        if !matches!(self.state, RescueState::None) {
            self.is_asked_again = true;
            return None;
        }
        let found = ghosts.len();
        ghosts.retain(|ghost| self.allowance.admits(ghost));
        let again = self.allowance.next().filter(|_| ghosts.len() < found);
        if !ghosts.is_empty() {
            let (done, end) = oneshot::channel();
            let thread = std::thread::Builder::new().name("rescue".to_owned());
            let thread = thread.spawn(move || {
                rescue(ghosts);
                // Nobody hears it, if we are ending.
                let _ = done.send(());
            });
            self.state = thread.map_or(RescueState::None, |thread| RescueState::UnderWay { thread, end });
        }
        again
    }

    /// Ready when there is something to ask of [`Self::end`].
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_over = match &mut self.state {
            RescueState::UnderWay { end, .. } => Pin::new(end).poll(cx).is_ready(),
            RescueState::None | RescueState::Ended => false,
        };
        if is_over {
            if let RescueState::UnderWay { thread, .. } =
                std::mem::replace(&mut self.state, RescueState::Ended)
            {
                // It has nothing left to do; a panic has ended the program.
                let _ = thread.join();
            }
        }
        if matches!(self.state, RescueState::Ended) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The rescue has come to its end. Whether ghosts are to be looked for again.
    pub(super) fn end(&mut self) -> bool {
        if matches!(self.state, RescueState::Ended) {
            self.state = RescueState::None;
        }
        std::mem::take(&mut self.is_asked_again)
    }
}

/// When the rescues of the last minute were.
#[derive(Debug, Default)]
struct Allowance {
    given: VecDeque<Instant>,
    warned: bool,
}

impl Allowance {
    /// Whether a ghost may be rescued now. One that cannot be takes nobody's turn.
    fn admits(&mut self, ghost: &Ghost) -> bool {
        let is_admitted = ghost.plight.bar.is_some() || self.take(Instant::now());
        if !is_admitted && self.is_news() {
            tracing::warn!(
                "sockets are deleted again and again: {A_MINUTE} rescues in a minute; {} is not rescued for the \
                 rest of it; find out who deletes it (`tmux-janitor doctor`)",
                escaped(&ghost.path)
            );
        }
        is_admitted
    }

    /// Whether there may be another one now.
    fn take(&mut self, now: Instant) -> bool {
        while self.given.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            self.given.pop_front();
            self.warned = false;
        }
        let is_left = self.given.len() < A_MINUTE;
        if is_left {
            self.given.push_back(now);
        }
        is_left
    }

    /// Whether it is yet to be said that none is left.
    fn is_news(&mut self) -> bool {
        !std::mem::replace(&mut self.warned, true)
    }

    /// When there may be the next one after those that there were.
    fn next(&self) -> Option<Instant> {
        self.given.front().map(|first| *first + MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many_rescues_and_one_warning() {
        let (mut allowance, now) = (Allowance::default(), Instant::now());
        assert!((0..A_MINUTE).all(|_| allowance.take(now)));
        assert!(!allowance.take(now) && allowance.is_news() && !allowance.is_news());
        assert!(!allowance.take(now + Duration::from_secs(59)));
        assert_eq!(allowance.next(), Some(now + MINUTE));
        assert!(allowance.take(now + Duration::from_secs(60)));
        assert!(allowance.is_news(), "the next time is news again");
    }
}
