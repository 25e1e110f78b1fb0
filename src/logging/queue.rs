//! What a thread of its own writes, because whoever reads it may have stopped.
//!
//! It is kept here up to a limit. What does not fit is dropped and counted, and the count is told in the place of
//! what is missing, once there is room again.

use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many bytes are kept for a slow reader. One item alone may be longer.
pub(super) const MOST: usize = 256 * 1024;

/// What is written.
pub(super) trait Item: Send + 'static {
    /// About how much memory it takes.
    fn bytes(&self) -> usize;

    /// Tells that so many are missing here.
    fn of_dropped(count: u64) -> Self;

    /// How many items it stands for.
    fn count(&self) -> u64;
}

#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<QueueState<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct QueueState<T> {
    items: VecDeque<T>,
    bytes: usize,
    /// Items that did not fit since the last one that did.
    dropped: u64,
    /// How many items the thread has in its hands.
    writing: u64,
    /// How often the reader took something.
    taken: u64,
    /// It was given up: it is not waited for until it takes something.
    is_stalled: bool,
}

impl<T: Item> Queue<T> {
    /// Starts the thread, which is to call [`Queue::serve`]. It hears no signal: those are for the one that knows what
    /// is held.
    pub(super) fn start(serve: impl FnOnce(&Self) + Send + 'static) -> std::io::Result<Arc<Self>> {
        let state = QueueState {
            items: VecDeque::new(),
            bytes: 0,
            dropped: 0,
            writing: 0,
            taken: 0,
            is_stalled: false,
        };
        let queue = Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() });
        let mut before = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
        let served = Arc::clone(&queue);
        let thread = std::thread::Builder::new().stack_size(64 * 1024).spawn(move || serve(&served));
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
        thread.map(|_| queue)
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an item, or drops it. It does not wait.
    pub(super) fn push(&self, item: T) {
        let mut state = self.lock();
        if !state.items.is_empty() && state.bytes + item.bytes() > MOST {
            state.dropped += 1;
            return;
        }
        state.tell_of_dropped();
        state.push(item);
        self.changed.notify_all();
    }

    /// Writes what comes, for as long as the program lives.
    pub(super) fn serve(&self, mut write: impl FnMut(T)) {
        loop {
            let mut state = self.lock();
            state.writing = 0;
            if state.items.is_empty() {
                state.tell_of_dropped();
            }
            self.changed.notify_all();
            let item = loop {
                if let Some(item) = state.items.pop_front() {
                    break item;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            state.bytes -= item.bytes();
            state.writing = item.count();
            drop(state);
            write(item);
        }
    }

    /// The reader took something.
    pub(super) fn went_on(&self) {
        let mut state = self.lock();
        state.taken += 1;
        state.is_stalled = false;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until everything is written; not longer than `most` in all and `silence` without progress. Whether it is.
    pub(super) fn drain(&self, most: Duration, silence: Duration) -> bool {
        let end = Instant::now() + most;
        let mut state = self.lock();
        let mut taken = state.taken;
        let mut patience = Instant::now() + silence;
        while state.left() > 0 {
            let now = Instant::now();
            if state.taken != taken {
                (taken, patience) = (state.taken, now + silence);
            }
            let left = patience.min(end).saturating_duration_since(now);
            if left.is_zero() {
                return false;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
        true
    }

    /// It is not waited for any more, until it takes something.
    pub(super) fn give_up(&self) {
        self.lock().is_stalled = true;
    }

    /// Whether it was given up, and has not taken anything since.
    pub(super) fn is_stalled(&self) -> bool {
        self.lock().is_stalled
    }

    /// How many items are not written.
    pub(super) fn left(&self) -> u64 {
        self.lock().left()
    }
}

impl<T: Item> QueueState<T> {
    fn push(&mut self, item: T) {
        self.bytes += item.bytes();
        self.items.push_back(item);
    }

    fn tell_of_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            self.push(T::of_dropped(dropped));
        }
    }

    fn left(&self) -> u64 {
        self.items.iter().map(T::count).sum::<u64>() + self.writing + self.dropped
    }
}
