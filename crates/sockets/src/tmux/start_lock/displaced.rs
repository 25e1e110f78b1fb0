//! Locks that a client has opened by a name that they had lost by then.
//!
//! Such a client is inside open(2), where the lease keeps it; let go of, its lock would have no name, and
//! the next client would make another. So the file gets its name back first.

use super::{Guard, LockRack, REST, Taken, Traveller};
use crate::kernel::checkpoint::{Checkpoint, reach};
use crate::kernel::lease;
use crate::tmux::moves;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a lock that has lost its place waits for it to become free. Well under the time after
/// which the kernel breaks a lease by force (45 s).
const RETURN: Duration = Duration::from_secs(2);

/// How long it is then kept locked. Whoever has opened it comes to wait for it in flock(2) meanwhile; how
/// many they are, nothing tells.
const LOOSE: Duration = Duration::from_secs(1);

impl LockRack<'_> {
    /// A lock that rests or was just renamed away, and that a client opened by the name it had
    /// before: it gets its place back, as that client's lock.
    pub(super) fn settle(&mut self, traveller: Traveller) {
        reach(Checkpoint::LockBack);
        match &traveller.last {
            Some(last) if moves::to_shared(self.dir, &traveller.rest, last).is_err() => {
                self.displaced.push(traveller);
            }
            Some(_) => {}
            // It has locked nothing yet: only its own name can have been opened.
            None => self.unlink(&traveller.rest),
        }
    }

    /// Gives the displaced locks their places back as they become free, and those whose place does not
    /// become free an end that harms nobody.
    pub(super) fn bring_back(&mut self) {
        let deadline = Instant::now() + RETURN;
        let mut displaced = std::mem::take(&mut self.displaced);
        loop {
            displaced.retain(|traveller| !self.put_back(traveller));
            if displaced.is_empty() || Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(REST);
        }
        for traveller in displaced {
            self.loosen(&traveller);
        }
    }

    /// Tries to give a displaced lock its place back. The client that waits for it inside open(2) must
    /// find it there; letting it go without its name would let two servers start.
    fn put_back(&mut self, traveller: &Traveller) -> bool {
        let Some(last) = &traveller.last else { return true };
        match moves::to_shared(self.dir, &traveller.rest, last) {
            // `ENOENT`: the name it rested under is gone too, there is nothing left to put back.
            Ok(()) | Err(Errno::NOENT) => return true,
            Err(_) => {}
        }
        // Something stands there. If it is a lock file that nobody has, they change places.
        let Taken::Ours(Guard { file, rest: Some(fresh), .. }) = self.take_file(last, OFlags::empty()) else {
            return false;
        };
        reach(Checkpoint::LockSwap);
        match moves::exchange(self.dir, &traveller.rest, last) {
            Ok(()) => {}
            Err(errno) if moves::is_lacking(errno) => return self.put_aside(traveller, last, file, fresh),
            Err(_) => return false,
        }
        // A server whose own lock had no name removes the lock of whoever has it (`server_start`), and the next may
        // have put his there since.
        if !self.is_at(&traveller.rest, file.as_fd()) {
            let _ = moves::exchange(self.dir, &traveller.rest, last);
            return false;
        }
        let (rest, last) = (traveller.rest.clone(), Some(last.clone()));
        self.resting.push_back(Traveller { file, rest, last, since: Instant::now() });
        true
    }

    /// Without an exchange: the lock that nobody has rests first, then the displaced one gets its place, if nobody was
    /// quicker. What is not the lock that was taken goes back.
    fn put_aside(&mut self, traveller: &Traveller, last: &OsStr, file: OwnedFd, rest: OsString) -> bool {
        if moves::to_own(self.dir, last, &rest).is_err() {
            return false;
        }
        if !self.is_at(&rest, file.as_fd()) {
            let _ = moves::to_shared(self.dir, &rest, last);
            return false;
        }
        let last_of_it = Some(last.to_owned());
        self.resting.push_back(Traveller { file, rest, last: last_of_it, since: Instant::now() });
        moves::to_shared(self.dir, &traveller.rest, last).is_ok()
    }

    /// Ends a lock whose place somebody keeps. Its openers are let out of open(2) and find it locked; they
    /// wait in flock(2), and with a lock that they had to wait for they do nothing but close it and start over
    /// (client.c: `client_get_lock`). So when they wait there, it may go without a name.
    fn loosen(&mut self, traveller: &Traveller) {
        reach(Checkpoint::LockLoose);
        let deadline = Instant::now() + LOOSE;
        let _ = lease::release(traveller.file.as_fd());
        while Instant::now() < deadline {
            if self.put_back(traveller) {
                return;
            }
            // Granted when nobody else has the file open.
            if lease::take(traveller.file.as_fd()).is_ok() {
                break;
            }
            std::thread::sleep(REST);
        }
        self.unlink_rest(traveller);
    }
}
