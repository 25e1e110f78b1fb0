//! Standard output as a stream of lines that never makes us wait without hearing signals.
//!
//! A pipe that says it is writable takes [`ATOMIC`] bytes without waiting (pipe(7)). What the reader
//! has not taken yet is kept here up to a limit; then we stop looking at the world until it does:
//! the kernel keeps what happens meanwhile, and what it cannot keep leads to a rescan.

use super::readiness::Descriptor;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};
use tokio::io::Interest;

/// `PIPE_BUF` of limits.h.
const ATOMIC: usize = 4096;

/// How much is kept for a slow reader.
const MOST: usize = 256 * 1024;

/// The reader has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ReaderGone;

#[derive(Debug)]
enum Out {
    /// A pipe, a terminal, a socket.
    Waits(Descriptor),
    /// A regular file cannot be waited for and never makes us wait.
    Takes(OwnedFd),
}

/// Where lines go.
#[derive(Debug)]
pub(super) struct LineWriter {
    out: Out,
    buffer: Vec<u8>,
    is_reader_gone: bool,
}

impl LineWriter {
    /// Standard output.
    pub(super) fn stdout() -> io::Result<Self> {
        let out = io::stdout().as_fd().try_clone_to_owned()?;
        // The end of the reader is told whatever is waited for.
        let out = match Descriptor::new(out, Interest::WRITABLE) {
            Ok(out) => Out::Waits(out),
            Err(refused) => {
                let (out, error) = refused.into_parts();
                if Errno::from_io_error(&error) != Some(Errno::PERM) {
                    return Err(error);
                }
                Out::Takes(out)
            }
        };
        Ok(Self { out, buffer: Vec::new(), is_reader_gone: false })
    }

    /// Takes a line and writes what can be written.
    pub(super) fn line(&mut self, line: &str) {
        self.buffer.extend_from_slice(line.as_bytes());
        self.buffer.push(b'\n');
        self.flush();
    }

    /// Writes what can be written without waiting.
    pub(super) fn flush(&mut self) {
        if self.is_reader_gone || self.write() == Err(ReaderGone) {
            self.is_reader_gone = true;
            self.buffer.clear();
        }
    }

    /// Whether nobody reads any more. What is written then is lost.
    pub(super) fn is_reader_gone(&self) -> bool {
        self.is_reader_gone
    }

    fn write(&mut self) -> Result<(), ReaderGone> {
        if self.waits() {
            // Whether anybody reads is to be known also when there is nothing to write.
            self.has_room()?;
        }
        let mut at = 0;
        while at < self.buffer.len() && (!self.waits() || self.has_room()?) {
            let part = &self.buffer[at..self.buffer.len().min(at + ATOMIC)];
            match rustix::io::write(self.fd(), part) {
                Ok(written) => at += written,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return Err(ReaderGone),
            }
        }
        self.buffer.drain(..at);
        Ok(())
    }

    /// Whether the reader must take something before anything else is looked at.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() > MOST
    }

    /// Ready when what is kept may be written, or the reader has gone.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Out::Waits(out) = &self.out else { return Poll::Pending };
        while let Poll::Ready(Ok(mut told)) = out.poll_write_ready(cx) {
            if !self.buffer.is_empty() || told.ready().is_write_closed() {
                return Poll::Ready(());
            }
            // There is room, and nothing to write: only a change is of interest.
            told.clear_ready();
        }
        Poll::Pending
    }

    fn waits(&self) -> bool {
        matches!(self.out, Out::Waits(_))
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.out {
            Out::Waits(out) => out.get_ref().as_fd(),
            Out::Takes(out) => out.as_fd(),
        }
    }

    fn has_room(&self) -> Result<bool, ReaderGone> {
        let out = self.fd();
        let mut fds = [PollFd::from_borrowed_fd(out, PollFlags::OUT)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let _ = retry_on_intr(|| poll(&mut fds, Some(&now)));
        let told = fds[0].revents();
        if told.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            return Err(ReaderGone);
        }
        let has_room = told.contains(PollFlags::OUT);
        if let (Out::Waits(out), false) = (&self.out, has_room) {
            out.nothing_left(Interest::WRITABLE);
        }
        Ok(has_room)
    }
}
