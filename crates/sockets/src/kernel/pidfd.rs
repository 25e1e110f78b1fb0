//! A process by a handle: its number may be another's tomorrow, the handle never is (`pidfd_open(2)`).

use super::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Child;
use std::time::{Duration, Instant};

/// A handle on a process.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Of the process that has this number now.
    ///
    /// # Errors
    /// `ESRCH`: there is none. `EMFILE`, `ENFILE`: no descriptor is left.
    pub fn open(pid: Pid) -> Result<Self, Errno> {
        let pid = rustix::process::Pid::from_raw(pid.raw()).ok_or(Errno::SRCH)?;
        pidfd_open(pid, PidfdFlags::empty()).map(Self)
    }

    /// Of a child that was not waited for yet: until then its number is nobody else's.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: no descriptor is left.
    pub fn of(child: &Child) -> Result<Self, Errno> {
        pidfd_open(rustix::process::Pid::from_child(child), PidfdFlags::empty()).map(Self)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// `ESRCH`: it has ended. `EPERM`: it is not ours.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        pidfd_send_signal(&self.0, signal)
    }

    /// Whether it has ended. What cannot be asked has not.
    pub fn has_ended(&self) -> bool {
        ends_within(&self.0, Duration::ZERO) == Ok(true)
    }

    /// Waits for its end, at most that long: whether it came.
    ///
    /// # Errors
    /// Those of poll(2), but for an interruption.
    pub fn ends_within(&self, most: Duration) -> Result<bool, Errno> {
        ends_within(&self.0, most)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<PidFd> for OwnedFd {
    fn from(pidfd: PidFd) -> Self {
        pidfd.0
    }
}

/// Waits until a process has ended, at most that long; then the caller looks again.
pub fn await_end(pid: Pid, most: Duration) {
    if let Ok(pidfd) = PidFd::open(pid) {
        let _ = pidfd.ends_within(most);
    }
}

/// [`PidFd::ends_within`] of a descriptor that somebody else keeps.
///
/// # Errors
/// Those of [`PidFd::ends_within`].
pub fn ends_within(pidfd: impl AsFd, most: Duration) -> Result<bool, Errno> {
    let until = Instant::now().checked_add(most);
    let mut left = most;
    loop {
        // A span that the kernel cannot count is for ever.
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], timeout.as_ref()) {
            Err(Errno::INTR) => {
                left = until.map_or(most, |until| until.saturating_duration_since(Instant::now()));
            }
            ready => return ready.map(|ready| ready > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::process::Command;

    #[test]
    fn an_end_is_waited_for_and_one_that_does_not_come_is_not() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pidfd = PidFd::of(&child).unwrap();
        assert!(!pidfd.has_ended());
        assert_eq!(pidfd.ends_within(Duration::from_millis(1)), Ok(false));
        pidfd.signal(Signal::KILL).unwrap();
        assert_eq!(pidfd.ends_within(Duration::MAX), Ok(true));
        child.wait().unwrap();
        assert!(pidfd.has_ended());
        assert_eq!(pidfd.signal(Signal::KILL), Err(Errno::SRCH));
    }
}
