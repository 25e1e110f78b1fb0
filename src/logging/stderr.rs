//! Standard error, which is never waited for.
//!
//! Who reads it may have stopped: a pipe into a pager, a supervisor's logger that hangs, a terminal after Ctrl-S. So
//! lines are kept here up to a limit and written by a thread of their own. What does not fit is dropped and
//! counted, and the count is told when there is room again. A file takes everything and is written at once.

use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io::Stderr;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How many bytes are kept for a slow reader.
const MOST: usize = 256 * 1024;

/// What a pipe that says it is writable takes without waiting: `PIPE_BUF` of limits.h.
const ATOMIC: usize = 4096;

/// How long a result waits for the lines before it, so that both are read in their order.
const ORDER: Duration = Duration::from_millis(100);

/// How long the end of the program waits for a reader: in all, and while it takes nothing.
const LAST_WORDS: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(500);

static STDERR: OnceLock<Writer<Stderr>> = OnceLock::new();

/// Takes text that ends with a newline. It does not wait.
pub fn write(text: &[u8]) {
    STDERR.get_or_init(|| Writer::new(std::io::stderr())).write(text);
}

/// Lets what was taken be written before a result is, where that takes no time worth speaking of.
pub fn settle() {
    if let Some(writer) = STDERR.get() {
        writer.drain(ORDER, ORDER);
    }
}

/// Lets what was taken be written before the program ends; a reader that does not read is not waited for.
pub fn finish() {
    if let Some(writer) = STDERR.get() {
        writer.drain(LAST_WORDS, SILENCE);
    }
}

/// One destination.
#[derive(Debug)]
struct Writer<T> {
    to: Arc<T>,
    /// `None`: written at once.
    shared: Option<Arc<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Vec<u8>>,
    /// How many bytes are in it.
    bytes: usize,
    /// Lines that did not fit since the last one that did.
    dropped: u64,
    /// Whether the thread has something in its hands.
    is_writing: bool,
    /// How many writes were taken.
    taken: u64,
}

impl<T: AsFd + Send + Sync + 'static> Writer<T> {
    fn new(to: T) -> Self {
        let to = Arc::new(to);
        let waits =
            !fstat(&*to).is_ok_and(|about| FileType::from_raw_mode(about.st_mode) == FileType::RegularFile);
        let shared = waits.then(|| start(Arc::clone(&to)).ok()).flatten();
        Self { to, shared }
    }

    fn write(&self, text: &[u8]) {
        let Some(shared) = &self.shared else {
            // A file; or there is no thread to be had, and what there is no room for is lost.
            let at_once = Timespec::default();
            let _ = text.chunks(ATOMIC).try_for_each(|part| put(&*self.to, part, Some(&at_once)));
            return;
        };
        let mut state = shared.lock();
        if state.bytes + text.len() > MOST {
            state.dropped += 1;
            return;
        }
        state.tell_of_dropped();
        state.push(text.to_vec());
        shared.changed.notify_all();
    }

    /// Waits until everything is written; not longer than `most` in all and `silence` without progress.
    fn drain(&self, most: Duration, silence: Duration) {
        let Some(shared) = &self.shared else { return };
        let end = Instant::now() + most;
        let mut state = shared.lock();
        let mut taken = state.taken;
        let mut patience = Instant::now() + silence;
        while state.is_writing || !state.queue.is_empty() || state.dropped > 0 {
            let now = Instant::now();
            if state.taken != taken {
                (taken, patience) = (state.taken, now + silence);
            }
            let left = patience.min(end).saturating_duration_since(now);
            if left.is_zero() {
                return;
            }
            state = shared
                .changed
                .wait_timeout(state, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: writes what comes, for as long as the program lives.
    fn serve(&self, to: &impl AsFd) {
        loop {
            let mut state = self.lock();
            state.is_writing = false;
            if state.queue.is_empty() {
                state.tell_of_dropped();
            }
            self.changed.notify_all();
            let text = loop {
                if let Some(text) = state.queue.pop_front() {
                    break text;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            state.bytes -= text.len();
            state.is_writing = true;
            drop(state);
            for part in text.chunks(ATOMIC) {
                // Nothing can be told about a stderr that cannot be written.
                if put(to, part, None).is_err() {
                    break;
                }
                self.lock().taken += 1;
                self.changed.notify_all();
            }
        }
    }
}

impl State {
    fn push(&mut self, text: Vec<u8>) {
        self.bytes += text.len();
        self.queue.push_back(text);
    }

    fn tell_of_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let lines = if dropped == 1 { "1 line was".to_owned() } else { format!("{dropped} lines were") };
            let told = format!("{}: warning: stderr was not read; {lines} dropped here\n", super::IDENTIFIER);
            self.push(told.into_bytes());
        }
    }
}

/// Starts the thread. It hears no signal: those are for the one that knows what is held.
fn start(to: Arc<impl AsFd + Send + Sync + 'static>) -> std::io::Result<Arc<Shared>> {
    let shared = Arc::new(Shared::default());
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    let served = Arc::clone(&shared);
    let thread = std::thread::Builder::new().stack_size(64 * 1024).spawn(move || served.serve(&*to));
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    thread.map(|_| shared)
}

/// Writes all of it, once there is room. `patience`: how long that may take; `None`: for ever.
fn put(to: &impl AsFd, mut part: &[u8], patience: Option<&Timespec>) -> Result<(), Errno> {
    while !part.is_empty() {
        let mut fds = [PollFd::new(to, PollFlags::OUT)];
        if poll(&mut fds, patience)? == 0 {
            return Err(Errno::AGAIN);
        }
        match rustix::io::write(to, part) {
            Ok(written) => part = &part[written..],
            // It was made not to wait by somebody else.
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::fs::File;
    use std::io::Read;

    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for_and_what_is_lost_is_counted() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let writer = Writer::new(writer);
        let line = |number: usize| format!("{number:099}\n").into_bytes();
        let count = 2 * MOST / 100;
        let started = Instant::now();
        for number in 0..count {
            writer.write(&line(number));
        }
        writer.drain(ORDER, ORDER);
        assert!(started.elapsed() < ORDER * 5, "it waited {:?}", started.elapsed());
        let reading = std::thread::spawn(move || {
            let mut text = Vec::new();
            let mut reader = File::from(reader);
            while !text.ends_with(b"the end\n") {
                let mut part = [0; 4096];
                let length = reader.read(&mut part).unwrap();
                text.extend_from_slice(&part[..length]);
            }
            String::from_utf8(text).unwrap()
        });
        writer.drain(LAST_WORDS, LAST_WORDS);
        writer.write(b"the end\n");
        let (mut kept, mut dropped) = (Vec::new(), 0);
        for line in reading.join().unwrap().lines().filter(|line| *line != "the end") {
            if let Some(told) = line.split("stderr was not read; ").nth(1) {
                let number = told.split(' ').next().unwrap().parse::<usize>().unwrap();
                // What is missing is missing here.
                assert!(number > 0 && told.ends_with(" dropped here"), "{line}");
                dropped += number;
            } else {
                let number = line.parse::<usize>().unwrap();
                assert_eq!(number, kept.len() + dropped, "in their order, and those before it are counted");
                kept.push(number);
            }
        }
        assert!(dropped > 0 && !kept.is_empty());
        assert_eq!(kept.len() + dropped, count);
    }

    #[test]
    fn whoever_has_gone_is_no_trouble() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        let writer = Writer::new(writer);
        writer.write(b"to nobody\n");
        let started = Instant::now();
        writer.drain(LAST_WORDS, LAST_WORDS);
        assert!(started.elapsed() < LAST_WORDS, "it waited {:?}", started.elapsed());
    }
}
