//! A descriptor of which tokio tells when it can be used.
//!
//! tokio is told of each change once (`EPOLLET`) and remembers it until somebody says that nothing is left. So who
//! reads says that, and only after the kernel has said it ([`Descriptor::nothing_left`]).
//!
//! A room with `unsafe`: tokio asks for a promise that no compiler checks. Its constructors that ask for none are
//! deprecated as unsound since 1.54.
#![expect(unsafe_code, reason = "that a descriptor stays open, and the same, is promised by no safe call")]

use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdRegisterError};

/// A descriptor that is waited for.
#[derive(Debug)]
pub(super) struct Descriptor(AsyncFd<OwnedFd>);

impl Descriptor {
    /// Begins to be told of it. Inside the event loop only.
    ///
    /// # Errors
    /// `EPERM`: a regular file, which never makes anybody wait. The descriptor comes back.
    pub(super) fn new(fd: OwnedFd, interest: Interest) -> Result<Self, AsyncFdRegisterError<OwnedFd>> {
        // SAFETY: the descriptor must stay open, and the same, for as long as tokio is told of it. An `OwnedFd` is open
        // and has one number until it is dropped, and here it is dropped together with tokio's registration. Nobody
        // can exchange it or take it out before: no more than a shared reference is given away (`Deref`).
        unsafe { AsyncFd::register_with_interest(fd, interest) }.map(Self)
    }

    /// To be said after the kernel has said so: only what comes from now on is waited for.
    pub(super) fn nothing_left(&self, interest: Interest) {
        let _: io::Result<()> = self.0.try_io(interest, |_| Err(io::ErrorKind::WouldBlock.into()));
    }
}

impl Deref for Descriptor {
    type Target = AsyncFd<OwnedFd>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
