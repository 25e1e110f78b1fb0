//! Standard output, written without waiting: who waits for a reader hears no signal.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// What a pipe that can be written takes without waiting (`PIPE_BUF`, pipe(7)).
const ATOMIC: usize = 4096;

/// How much is kept for a slow reader before the workers, too, have to wait.
const MOST: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Out {
    fd: OwnedFd,
    buffer: Vec<u8>,
    is_gone: bool,
}

impl Out {
    pub(super) fn stdout() -> io::Result<Self> {
        Ok(Self { fd: io::stdout().as_fd().try_clone_to_owned()?, buffer: Vec::new(), is_gone: false })
    }

    pub(super) fn line(&mut self, line: &str) {
        self.buffer.extend_from_slice(line.as_bytes());
        self.buffer.push(b'\n');
    }

    /// Writes what can be written without waiting, and notices when the reader has gone.
    pub(super) fn flush(&mut self) {
        let mut at = 0;
        while !self.is_gone && self.has_room() && at < self.buffer.len() {
            let part = &self.buffer[at..self.buffer.len().min(at + ATOMIC)];
            match rustix::io::write(&self.fd, part) {
                Ok(written) => at += written,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => self.is_gone = true,
            }
        }
        self.buffer.drain(..at);
    }

    fn has_room(&mut self) -> bool {
        let told = {
            let mut fds = [PollFd::new(&self.fd, PollFlags::OUT)];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            let _ = retry_on_intr(|| poll(&mut fds, Some(&now)));
            fds[0].revents()
        };
        self.is_gone |= told.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
        told.contains(PollFlags::OUT)
    }

    /// What to wait for: room, where something is left to be written; in any case the end of the reader.
    pub(super) fn awaited(&self) -> PollFd<'_> {
        let room = if self.buffer.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        PollFd::new(&self.fd, room)
    }

    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() > MOST
    }

    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }
}
