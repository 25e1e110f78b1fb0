//! The second witness: does anybody accept a connection behind this inode?
//!
//! Connecting to a live tmux server is not harmless (`destroy-unattached` ends an unattached
//! session), so only what the kernel's table does not show is ever asked.

use crate::judge::ConnectSays;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Asks sockets whether anybody listens, one after the other.
///
/// A socket that was refused can be used for the next question (connect(2)), which spares two system
/// calls each.
#[derive(Debug, Default)]
pub struct Asker(Option<OwnedFd>);

impl Asker {
    /// Asks the inode behind an `O_PATH` handle, without waiting, and hangs up at once.
    ///
    /// Through `/proc/self/fd/N` exactly that inode is asked, wherever it was renamed to, and the
    /// 107-byte limit of a socket's path does not matter.
    pub fn ask(&mut self, pinned: BorrowedFd<'_>) -> ConnectSays {
        match self.connect(pinned) {
            Err(Errno::CONNREFUSED) => ConnectSays::Refused,
            // Whatever else happened, this socket is not used again.
            answer => {
                self.0 = None;
                match answer {
                    Ok(()) => ConnectSays::Accepted,
                    Err(Errno::AGAIN) => ConnectSays::BacklogFull,
                    Err(other) => ConnectSays::Other(other),
                }
            }
        }
    }

    fn connect(&mut self, pinned: BorrowedFd<'_>) -> rustix::io::Result<()> {
        let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", pinned.as_raw_fd()))?;
        let socket = match &mut self.0 {
            Some(socket) => socket,
            none => {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                none.insert(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
            }
        };
        rustix::net::connect(socket, &address)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use rustix::fs::{Mode, OFlags};
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    #[test]
    fn who_is_too_busy_to_accept_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("busy");
        let listener = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&listener, &SocketAddrUnix::new(path.as_os_str().as_encoded_bytes()).unwrap())
            .unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let _waits = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let pinned = rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let mut asker = Asker::default();
        assert_eq!(asker.ask(pinned.as_fd()), ConnectSays::BacklogFull);
        assert_eq!(asker.ask(pinned.as_fd()), ConnectSays::BacklogFull);
    }

    #[test]
    fn one_asker_asks_many() {
        let dir = tempfile::tempdir().unwrap();
        let live = UnixListener::bind(dir.path().join("live")).unwrap();
        drop(UnixListener::bind(dir.path().join("dead")).unwrap());
        let _datagram = UnixDatagram::bind(dir.path().join("datagram")).unwrap();
        let mut asker = Asker::default();
        let mut ask = |name: &str| {
            let pinned =
                rustix::fs::open(dir.path().join(name), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                    .unwrap();
            asker.ask(pinned.as_fd())
        };
        let answers = ["dead", "dead", "live", "dead", "datagram", "live"].map(&mut ask);
        let (refused, accepted) = (ConnectSays::Refused, ConnectSays::Accepted);
        assert_eq!(
            answers,
            [refused, refused, accepted, refused, ConnectSays::Other(Errno::PROTOTYPE), accepted]
        );
        assert!(live.accept().is_ok());
    }
}
