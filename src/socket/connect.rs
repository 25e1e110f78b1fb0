//! The second witness: does anybody accept a connection behind this inode?
//!
//! Connecting to a live tmux server is not harmless (`destroy-unattached` ends an unattached
//! session), so only what the kernel's table does not show is ever asked.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::{AsRawFd, BorrowedFd};

/// What connect(2) said of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `ECONNREFUSED`: nobody listens on this inode in this kernel.
    Refused,
    /// Somebody accepts.
    Accepted,
    /// `EAGAIN`: somebody listens and the backlog is full, as with a stopped server.
    BacklogFull,
    /// Anything else says nothing.
    Other(Errno),
}

/// Asks the inode behind an `O_PATH` handle, without waiting, and hangs up at once.
///
/// Through `/proc/self/fd/N` exactly that inode is asked, wherever it was renamed to, and the
/// 107-byte limit of a socket's path does not matter.
pub fn ask(pinned: BorrowedFd<'_>) -> Answer {
    match connect(pinned) {
        Ok(()) => Answer::Accepted,
        Err(Errno::CONNREFUSED) => Answer::Refused,
        Err(Errno::AGAIN) => Answer::BacklogFull,
        Err(other) => Answer::Other(other),
    }
}

fn connect(pinned: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", pinned.as_raw_fd()))?;
    rustix::net::connect(&socket, &address)
}
