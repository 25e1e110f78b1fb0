//! tmux's start lock, taken and given back so that nobody ever holds a nameless one.
//!
//! tmux (client.c: `client_get_lock`) opens `NAME.lock` with `O_CREAT`, flocks it, starts the
//! server and removes the name while the server listens. Removing the name at any other time is
//! dangerous: a client that had opened it and not yet locked it would hold a file without a name,
//! the next client would make a new one, and two servers would start on one path.
//!
//! Our lock files *travel*: each is empty, ours, flocked and under a write lease all the time. It
//! is renamed onto `NAME.lock` to lock that label and away again afterwards. The lease tells whether
//! anybody opened it meanwhile; such a client waits inside open(2) until we let go, and the file
//! stays where it is, as its lock. The protocol and what it was checked with: `docs/protocol.md`.

mod displaced;
mod forecast;

pub use forecast::{InTheWay, in_the_way, is_plain_lock, is_seen_held, may_clear};

use super::paths;
use crate::kernel::FileFacts;
use crate::kernel::Label;
use crate::kernel::Uid;
use crate::kernel::checkpoint::{Checkpoint, reach};
use crate::kernel::{ProcLocks, Unstopped, lease, rights};
use crate::tmux::SocketDir;
use crate::tmux::moves;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The beginning of every name that we make in a socket directory.
pub const OWN_PREFIX: &str = ".tmux-janitor-";

/// How long a lock must have rested under a name nobody knows before it locks another label or is let
/// go for good. A client that was inside open(2) when the file was renamed away shows up by breaking
/// the lease.
const REST: Duration = Duration::from_millis(1);

/// How many lock files may rest at once: a descriptor each.
const MOST_RESTING: usize = 64;

/// How often a lock file that is replaced while we take it is tried again.
const ATTEMPTS: u32 = 3;

/// Numbers the rest names of this process.
static SERIAL: AtomicU32 = AtomicU32::new(1);

/// Why a start lock could not be taken, other than that somebody holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockFailure {
    /// `NAME.lock` is no regular file.
    NotAFile(#[serde(with = "crate::kernel::as_data::file_type")] FileType),
    /// `NAME.lock` belongs to somebody else: the owner's uid.
    NotOurs(Uid),
    /// None can be made: the file system has no inode left, or no room.
    NoRoom {
        /// It is inodes that lack.
        inodes: bool,
    },
    /// A system call failed.
    Call(#[serde(with = "crate::kernel::as_data::errno")] Errno),
}

/// What became of trying to take a lock.
#[derive(Debug)]
pub enum Taken {
    /// It is ours.
    Ours(Guard),
    /// Somebody holds it: a start, or another janitor.
    Busy,
    /// It cannot be taken.
    Failed(LockFailure),
}

/// What became of a lock that was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// The name is gone.
    Gone,
    /// The file stays: a client came and has it now, or it may not be removed.
    Left,
}

/// A start lock that we hold. Give it back with [`LockRack::release`].
#[derive(Debug)]
pub struct Guard {
    file: OwnedFd,
    lock: OsString,
    /// The name it rests under; `None`: not ours to move (somebody else has it open).
    rest: Option<OsString>,
}

/// A lock file that rests between two labels.
#[derive(Debug)]
struct Traveller {
    file: OwnedFd,
    rest: OsString,
    /// The lock's name it came from.
    last: Option<OsString>,
    since: Instant,
}

/// The travelling locks of one directory. Dropping it removes them.
#[derive(Debug)]
pub struct LockRack<'d> {
    dir: &'d SocketDir,
    user: Uid,
    resting: VecDeque<Traveller>,
    /// Locks that a client has opened and whose place another lock has taken meanwhile. The client
    /// stays inside open(2) until they are back.
    displaced: Vec<Traveller>,
    /// From the first lock to the last: also one at rest can have an opener that waits for us.
    unstopped: Option<Unstopped>,
    /// No lease can be had here, not even on a file of our own.
    has_no_leases: bool,
    /// The lock files that were left because of that.
    left: BTreeSet<Label>,
}

impl<'d> LockRack<'d> {
    /// A rack without locks; they are made as they are needed.
    pub fn new(dir: &'d SocketDir, user: Uid) -> Self {
        Self {
            dir,
            user,
            resting: VecDeque::new(),
            displaced: Vec::new(),
            unstopped: None,
            has_no_leases: false,
            left: BTreeSet::new(),
        }
    }

    /// Takes the start lock of the socket called `label`, without waiting.
    pub fn take(&mut self, label: &OsStr) -> Taken {
        let lock = paths::lock_name(label);
        self.unstopped.get_or_insert_with(Unstopped::begin);
        for _ in 0..ATTEMPTS {
            let traveller = match self.next_traveller() {
                Ok(Some(traveller)) => traveller,
                Ok(None) => return self.take_file(&lock, OFlags::CREATE),
                Err(errno) => return self.without_new(&lock, errno),
            };
            reach(Checkpoint::LockIn);
            match moves::to_shared(self.dir, &traveller.rest, &lock) {
                Ok(()) => {
                    return Taken::Ours(Guard { file: traveller.file, lock, rest: Some(traveller.rest) });
                }
                Err(Errno::EXIST) => {
                    self.resting.push_back(traveller);
                    return self.take_file(&lock, OFlags::empty());
                }
                // Somebody removed the name it rested under: let it go and take another.
                Err(Errno::NOENT) => {}
                Err(errno) => {
                    self.resting.push_back(traveller);
                    return Taken::Failed(LockFailure::Call(errno));
                }
            }
        }
        Taken::Busy
    }

    /// Takes a lock whose file cannot be made: the one that stands there already, if there is one.
    fn without_new(&mut self, lock: &OsStr, errno: Errno) -> Taken {
        match errno {
            Errno::NOSPC | Errno::DQUOT if self.dir.look(lock).is_ok() => {
                self.take_file(lock, OFlags::empty())
            }
            Errno::NOSPC => Taken::Failed(LockFailure::NoRoom { inodes: self.dir.has_no_inode() }),
            _ => Taken::Failed(LockFailure::Call(errno)),
        }
    }

    /// The lock files that were left because no lease can be had on them: without one nobody can tell whether a client is
    /// about to lock them.
    pub fn left(&self) -> &BTreeSet<Label> {
        &self.left
    }

    /// Takes a lock file that nobody holds or has open, without making one: litter of a start or a
    /// janitor that was killed. `None`: somebody has it, or it is no such file.
    pub fn adopt(&mut self, lock: &OsStr) -> Option<Guard> {
        self.unstopped.get_or_insert_with(Unstopped::begin);
        match self.take_file(lock, OFlags::empty()) {
            Taken::Ours(guard) if guard.rest.is_some() => Some(guard),
            _ => None,
        }
    }

    /// Waits until every lock at rest may be used again. Not to be called while one is held.
    pub fn rest(&mut self) {
        if let Some(newest) = self.resting.back() {
            std::thread::sleep(REST.saturating_sub(newest.since.elapsed()));
        }
    }

    /// Gives a lock back: the name goes if nobody has opened the file, else the file stays as the
    /// lock of whoever did.
    pub fn release(&mut self, guard: Guard) -> Released {
        let Guard { file, lock, rest: Some(rest) } = guard else {
            return Released::Left;
        };
        if !lease::is_intact(file.as_fd()) {
            return Released::Left;
        }
        reach(Checkpoint::LockOut);
        match moves::to_own(self.dir, &lock, &rest) {
            Ok(()) => {}
            // Somebody removed our lock's name: nothing of it is left.
            Err(Errno::NOENT) => return Released::Gone,
            Err(_) => return Released::Left,
        }
        let traveller = Traveller { file, rest, last: Some(lock), since: Instant::now() };
        reach(Checkpoint::LockAway);
        if lease::is_intact(traveller.file.as_fd()) {
            self.resting.push_back(traveller);
            return Released::Gone;
        }
        self.settle(traveller);
        Released::Left
    }

    /// A lock that has rested and whose lease is whole, or a new one; never waits. `None`: leases
    /// cannot be had here.
    fn next_traveller(&mut self) -> Result<Option<Traveller>, Errno> {
        while self.resting.front().is_some_and(|oldest| oldest.since.elapsed() >= REST) {
            let Some(traveller) = self.resting.pop_front() else { break };
            if lease::is_intact(traveller.file.as_fd()) {
                return Ok(Some(traveller));
            }
            self.settle(traveller);
        }
        if rights::is_append_only(self.dir) {
            // A lock that is made there can be neither moved nor taken away.
            return Err(Errno::PERM);
        }
        if self.has_no_leases {
            return Ok(None);
        }
        let rest = self.rest_name();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.dir, &rest, flags, Mode::RUSR | Mode::WUSR)?;
        // The mode must not depend on the umask: a client could not open the lock.
        let locked = rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR).is_ok()
            && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if locked && self.leases(file.as_fd()) {
            return Ok(Some(Traveller { file, rest, last: None, since: Instant::now() }));
        }
        self.unlink(&rest);
        Ok(None)
    }

    /// Takes a lease on a file that is flocked. Where none can be had at all, that is remembered.
    fn leases(&mut self, file: BorrowedFd<'_>) -> bool {
        let taken = lease::take(file);
        let refused = |error: &std::io::Error| {
            matches!(
                error.raw_os_error(),
                Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP | libc::ENOLCK)
            )
        };
        self.has_no_leases |= taken.as_ref().is_err_and(refused);
        taken.is_ok()
    }

    /// Takes the lock file that stands at `lock` as tmux itself would.
    fn take_file(&mut self, lock: &OsStr, create: OFlags) -> Taken {
        for _ in 0..ATTEMPTS {
            match self.dir.look(lock) {
                Ok(facts) if facts.kind != FileType::RegularFile => {
                    return Taken::Failed(LockFailure::NotAFile(facts.kind));
                }
                Ok(facts) if facts.uid != self.user => {
                    return Taken::Failed(LockFailure::NotOurs(facts.uid));
                }
                Ok(facts) if ProcLocks::read().is_held(facts.id) => return Taken::Busy,
                // It was there a moment ago: a start has just ended.
                Err(Errno::NOENT) if create.is_empty() => return Taken::Busy,
                Ok(_) | Err(Errno::NOENT) => {}
                Err(errno) => return Taken::Failed(LockFailure::Call(errno)),
            }
            let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | create;
            let file = match rustix::fs::openat(self.dir, lock, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => file,
                // Another janitor holds a lease on it.
                Err(Errno::AGAIN) => return Taken::Busy,
                Err(Errno::NOENT) => continue,
                Err(errno) => return Taken::Failed(LockFailure::Call(errno)),
            };
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::AGAIN) => return Taken::Busy,
                Err(errno) => return Taken::Failed(LockFailure::Call(errno)),
            }
            let Ok(facts) = FileFacts::of(file.as_fd()) else {
                continue;
            };
            if self.dir.look(lock).is_ok_and(|now| now.id == facts.id) {
                let is_plain = is_plain_lock(&facts, self.user);
                let rest = (is_plain && self.leases(file.as_fd())).then(|| self.rest_name());
                if is_plain && rest.is_none() && self.has_no_leases {
                    self.left.extend(Label::new(lock));
                }
                return Taken::Ours(Guard { file, lock: lock.to_owned(), rest });
            }
        }
        Taken::Busy
    }

    /// Lets go of locks beyond `MOST_RESTING`, and of all if somebody wants us to stop (Ctrl-Z): then that is
    /// done. Not to be called while one is held: it may wait.
    pub fn trim(&mut self) {
        if self.unstopped.is_some() && Unstopped::is_asked_to_stop() {
            self.let_go_all();
        }
        while self.resting.len() > MOST_RESTING {
            self.let_go_oldest();
        }
    }

    /// Ends every lock. Whoever wants us to stop is obeyed now. Not to be called while one is held: it may wait.
    pub fn let_go_all(&mut self) {
        while !(self.resting.is_empty() && self.displaced.is_empty()) {
            while !self.resting.is_empty() {
                self.let_go_oldest();
            }
            self.bring_back();
        }
        self.unstopped = None;
    }

    /// Removes the lock file that has rested longest, once it has rested long enough.
    fn let_go_oldest(&mut self) {
        let Some(traveller) = self.resting.pop_front() else {
            return;
        };
        if traveller.last.is_some() {
            std::thread::sleep(REST.saturating_sub(traveller.since.elapsed()));
        }
        reach(Checkpoint::Rested);
        if !lease::is_intact(traveller.file.as_fd()) {
            return self.settle(traveller);
        }
        reach(Checkpoint::LockGone);
        self.unlink_rest(&traveller);
    }

    /// Unlinks the name a lock file rests under, if it is there.
    fn unlink_rest(&self, traveller: &Traveller) {
        if self.is_at(&traveller.rest, traveller.file.as_fd()) {
            self.unlink(&traveller.rest);
        }
    }

    /// Whether a name stands for this very file.
    fn is_at(&self, name: &OsStr, file: BorrowedFd<'_>) -> bool {
        let (Ok(there), Ok(file)) = (self.dir.look(name), FileFacts::of(file)) else {
            return false;
        };
        there.id == file.id
    }

    /// A name that nobody uses: a run that was killed may have had our pid.
    fn rest_name(&self) -> OsString {
        let pid = rustix::process::getpid().as_raw_nonzero();
        loop {
            let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
            let name = paths::lock_name(OsStr::new(&format!("{OWN_PREFIX}{pid}-{serial}")));
            if self.dir.look(&name).is_err() {
                return name;
            }
        }
    }

    fn unlink(&self, name: &OsStr) {
        // Nothing can be done about a failure: the name is litter for the next run.
        let _ = rustix::fs::unlinkat(self.dir, name, AtFlags::empty());
    }
}

impl Drop for LockRack<'_> {
    fn drop(&mut self) {
        self.let_go_all();
    }
}
