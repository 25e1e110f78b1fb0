//! Standard output as a stream of lines that never makes us wait without hearing signals.
//!
//! A pipe that says it is writable takes [`ATOMIC`] bytes without waiting (pipe(7)). What the reader
//! has not taken yet is kept here up to a limit; then we stop looking at the world until it does:
//! the kernel keeps what happens meanwhile, and what it cannot keep leads to a rescan.

use super::sources::{Source, Sources};
use rustix::event::epoll::EventFlags;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// `PIPE_BUF` of limits.h.
const ATOMIC: usize = 4096;

/// How much is kept for a slow reader.
const MOST: usize = 256 * 1024;

/// The reader has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderGone;

/// Where lines go.
#[derive(Debug)]
pub struct Outlet {
    out: OwnedFd,
    /// A regular file cannot be waited for and never makes us wait.
    waits: bool,
    waiting: bool,
    buffer: Vec<u8>,
}

impl Outlet {
    /// Standard output.
    pub fn stdout(sources: &Sources) -> io::Result<Self> {
        let out = io::stdout().as_fd().try_clone_to_owned()?;
        // Without any event asked for, the end of the reader is told all the same.
        let waits = match sources.add(out.as_fd(), Source::Output, EventFlags::empty()) {
            Ok(()) => true,
            Err(Errno::PERM) => false,
            Err(errno) => return Err(errno.into()),
        };
        Ok(Self { out, waits, waiting: false, buffer: Vec::new() })
    }

    /// Takes a line and writes what can be written.
    pub fn line(&mut self, line: &str, sources: &Sources) -> Result<(), ReaderGone> {
        self.buffer.extend_from_slice(line.as_bytes());
        self.buffer.push(b'\n');
        self.flush(sources)
    }

    /// Writes what can be written without waiting.
    pub fn flush(&mut self, sources: &Sources) -> Result<(), ReaderGone> {
        if self.waits {
            // Whether anybody reads is to be known also when there is nothing to write.
            self.has_room()?;
        }
        let mut at = 0;
        while at < self.buffer.len() && (!self.waits || self.has_room()?) {
            let part = &self.buffer[at..self.buffer.len().min(at + ATOMIC)];
            match rustix::io::write(&self.out, part) {
                Ok(written) => at += written,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return Err(ReaderGone),
            }
        }
        self.buffer.drain(..at);
        if self.waits && self.waiting == self.buffer.is_empty() {
            self.waiting = !self.waiting;
            let wanted = if self.waiting { EventFlags::OUT } else { EventFlags::empty() };
            let _ = sources.change(self.out.as_fd(), Source::Output, wanted);
        }
        Ok(())
    }

    /// Whether the reader must take something before anything else is looked at.
    pub fn is_full(&self) -> bool {
        self.buffer.len() > MOST
    }

    /// Waits until the reader has taken something, or a signal has come.
    pub fn wait_for_reader(&mut self, sources: &Sources) -> Result<(), ReaderGone> {
        let mut fds = [
            PollFd::new(&self.out, PollFlags::OUT),
            PollFd::from_borrowed_fd(sources.signal_fd(), PollFlags::IN),
        ];
        // Interrupted: the caller asks again.
        let _ = poll(&mut fds, None);
        self.flush(sources)
    }

    fn has_room(&self) -> Result<bool, ReaderGone> {
        let mut fds = [PollFd::new(&self.out, PollFlags::OUT)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut fds, Some(&now)).is_err() {
            return Ok(false);
        }
        let told = fds[0].revents();
        if told.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            return Err(ReaderGone);
        }
        Ok(told.contains(PollFlags::OUT))
    }
}
