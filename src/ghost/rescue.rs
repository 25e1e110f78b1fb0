//! Giving a ghost its socket back: SIGUSR1, on which a tmux server makes its socket anew.
//!
//! tmux then unlinks whatever stands at the path and binds (server.c: `server_create_socket`), without
//! any lock; and if it cannot bind, its new panes have a wrong umask ever after. So the signal goes
//! out only while the path's start lock is held, the path is free, and a socket can be made there;
//! and the lock is kept until the server listens: a start that had come between would lose its path.

use super::find::listener_of;
use super::reach::{Reach, View};
use super::{Ghost, Plight, Scope, Standing, find};
use crate::config::Settings;
use crate::outcome::{Failure, Outcome};
use crate::process::Processes;
use crate::report::Report;
use crate::socket::directory::{DirectoryError, Rule, SocketDir};
use crate::socket::sight::Witness;
use crate::socket::wire::Role;
use crate::sweep::{Act, Pass, Target};
use crate::tmux::paths::{self, Refusal};
use crate::tmux::start_lock::{LockRack, OWN_PREFIX, Taken};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a server is given to make its socket anew. A busy one takes the signal later; until
/// then the lock is held, so that nobody starts a server whose path it would take.
const ANSWER: Duration = Duration::from_secs(5);

/// How often the table is looked at meanwhile: first, and at most. There is no event for listen(2).
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(20);

/// Which step of a rescue could not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RescueFailure {
    /// The directory cannot be used.
    Directory(DirectoryError),
    /// It is gone and cannot be made anew.
    MakeDirectory(Errno),
    /// No socket can be made in it.
    NotWritable(Errno),
    /// The server could not be told.
    Signal(Errno),
    /// It was told and did not make its socket in time.
    NoAnswer,
    /// It made its socket, and somebody deleted it at once.
    DeletedAgain,
}

/// What became of a ghost.
#[derive(Debug)]
pub struct Rescue {
    /// Rescued, kept (see the plight), busy (a start holds the lock), vanished (it ended or can be
    /// reached again), or failed.
    pub outcome: Outcome,
    /// How it stood with it at the end; why it was kept.
    pub plight: Plight,
    /// The pass that removed a dead socket from its path first.
    pub cleared: Option<Report>,
}

/// Rescues a ghost, if that is safe in every way.
pub fn rescue(settings: &Settings, user: u32, witness: &mut Witness, ghost: &Ghost) -> Rescue {
    let mut rescue = Rescue { outcome: Outcome::Kept, plight: ghost.plight, cleared: None };
    rescue.outcome = attempt(settings, user, witness, ghost, &mut rescue).unwrap_or_else(|outcome| outcome);
    rescue
}

/// What [`rescue`] would do as things stand.
pub fn would_rescue(ghost: &Ghost) -> Outcome {
    if ghost.plight.bar.is_none() && ghost.pid.is_some() { Outcome::WouldRescue } else { Outcome::Kept }
}

fn attempt(
    settings: &Settings,
    user: u32,
    witness: &mut Witness,
    ghost: &Ghost,
    rescue: &mut Rescue,
) -> Result<Outcome, Outcome> {
    let failed = |failure| Outcome::Failed(Failure::Rescue(failure));
    let (None, Some(pid), Some(scope)) = (ghost.plight.bar, ghost.pid, Scope::path(&ghost.path)) else {
        return Err(Outcome::Kept);
    };
    let (Some(parent), Some(label)) = (ghost.path.parent(), ghost.path.file_name()) else {
        return Err(Outcome::Kept);
    };
    // Everything that is proven from here on is proven of the process behind this handle.
    let pidfd = Pid::from_raw(pid)
        .ok_or(Errno::SRCH)
        .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()))
        .map_err(|errno| {
            if errno == Errno::SRCH { Outcome::Vanished } else { failed(RescueFailure::Signal(errno)) }
        })?;
    if ghost.plight.standing == Standing::Socket {
        let target =
            Target { path: parent.to_owned(), only: Some(vec![label.to_owned()]), rule: Rule::Swept };
        rescue.cleared = Some(Pass { settings, user, act: Act::Remove }.run(witness, &[target]));
    }
    let dir = open_or_make(parent, user).map_err(failed)?;
    let mut rack = LockRack::new(&dir, user);
    let guard = match rack.take(label) {
        Taken::Ours(guard) => guard,
        Taken::Busy => return Err(Outcome::Busy),
        Taken::Failed(failure) => return Err(Outcome::Failed(Failure::Lock(failure))),
    };
    let outcome = under_lock(user, witness, ghost, &scope, &dir, pidfd.as_fd(), &mut rescue.plight);
    rack.release(guard);
    outcome
}

/// Proves everything once more and sends the signal; then waits until the server listens.
fn under_lock(
    user: u32,
    witness: &mut Witness,
    ghost: &Ghost,
    scope: &Scope,
    dir: &SocketDir,
    pidfd: BorrowedFd<'_>,
    plight: &mut Plight,
) -> Result<Outcome, Outcome> {
    let failed = |failure| Outcome::Failed(Failure::Rescue(failure));
    witness.refresh();
    let found = find(user, witness, scope);
    let now = found
        .iter()
        .find(|now| now.socket == ghost.socket && now.pid == ghost.pid)
        .ok_or(Outcome::Vanished)?;
    *plight = now.plight;
    // Whatever came to stand at the path meanwhile is not taken from it.
    if plight.bar.is_some() || !matches!(plight.standing, Standing::Nothing) {
        return Err(Outcome::Kept);
    }
    can_bind(dir).map_err(|errno| failed(RescueFailure::NotWritable(errno)))?;
    match rustix::process::pidfd_send_signal(pidfd, Signal::USR1) {
        Ok(()) => {}
        Err(Errno::SRCH) => return Err(Outcome::Vanished),
        Err(errno) => return Err(failed(RescueFailure::Signal(errno))),
    }
    let deadline = Instant::now() + ANSWER;
    let mut pause = FIRST_LOOK;
    loop {
        witness.refresh();
        match answer(witness, ghost) {
            Some(Reach::There) => return Ok(Outcome::Rescued),
            Some(Reach::Gone(_)) => return Err(failed(RescueFailure::DeletedAgain)),
            None => {}
        }
        if Instant::now() >= deadline {
            return Err(failed(RescueFailure::NoAnswer));
        }
        if ends_within(pidfd, pause) {
            return Err(Outcome::Vanished);
        }
        pause = (pause * 2).min(LAST_LOOK);
    }
}

/// Whether the ghost's process listens on the file at its path, with a socket that is new; `None`: not
/// yet. Nobody is connected to.
fn answer(witness: &Witness, ghost: &Ghost) -> Option<Reach> {
    let held = Processes::open().ok()?.by_pid(ghost.pid?)?.sockets().ok()?;
    if held.contains(&ghost.socket) {
        return None;
    }
    let table = witness.table();
    let anew = table.iter().find(|bound| {
        bound.role == Role::Listening && bound.name == ghost.path && held.contains(&bound.socket)
    })?;
    // The file is made before the socket listens: one that is gone by now was there.
    Some(View::ours(Vec::new()).reach(table, &listener_of(&anew)))
}

/// Waits for a process's end, at most that long.
fn ends_within(pidfd: BorrowedFd<'_>, pause: Duration) -> bool {
    let timeout = Timespec::try_from(pause).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 1_000_000 });
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    matches!(rustix::event::poll(&mut fds, Some(&timeout)), Ok(1..))
}

/// Opens the ghost's directory. A `tmux-UID` that is gone is made anew, as tmux makes it (tmux.c:
/// `make_label`); any other folder had its owner's reasons.
fn open_or_make(path: &Path, user: u32) -> Result<SocketDir, RescueFailure> {
    if let Some(dir) = open(path, user)? {
        return Ok(dir);
    }
    if path.file_name() != Some(OsStr::new(&paths::directory_name(user))) {
        return Err(RescueFailure::MakeDirectory(Errno::NOENT));
    }
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(RescueFailure::MakeDirectory(errno)),
    }
    open(path, user)?.ok_or(RescueFailure::MakeDirectory(Errno::NOENT))
}

fn open(path: &Path, user: u32) -> Result<Option<SocketDir>, RescueFailure> {
    match SocketDir::open(path, user, Rule::Swept) {
        // `tmux -S /tmp/x`: in a sticky folder nobody else can take away what is the user's.
        Err(DirectoryError::Refused(Refusal::WritableByOthers(mode))) if mode & 0o1000 != 0 => {
            SocketDir::open(path, user, Rule::LookedAt)
        }
        other => other,
    }
    .map_err(RescueFailure::Directory)
}

/// Makes a socket file in the directory and takes it away again: what bind(2) would need.
fn can_bind(dir: &SocketDir) -> Result<(), Errno> {
    let name = format!("{OWN_PREFIX}{}-try", rustix::process::getpid().as_raw_nonzero());
    match rustix::fs::mknodat(dir, &name, FileType::Socket, Mode::RUSR | Mode::WUSR, 0) {
        // Left by a killed run that had our pid.
        Ok(()) | Err(Errno::EXIST) => match rustix::fs::unlinkat(dir, &name, AtFlags::empty()) {
            // A sweep came by and took it for what it is, a dead socket.
            Err(Errno::NOENT) => Ok(()),
            other => other,
        },
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    #[test]
    fn a_try_that_a_sweep_removes_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let user = rustix::process::getuid().as_raw();
        let dir = SocketDir::open(folder.path(), user, Rule::Swept).unwrap().unwrap();
        let path = folder.path().join(format!("{OWN_PREFIX}{}-try", std::process::id()));
        let (over, taken) = (AtomicBool::new(false), AtomicU32::new(0));
        let deadline = Instant::now() + Duration::from_secs(20);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    taken.fetch_add(u32::from(std::fs::remove_file(&path).is_ok()), Ordering::Relaxed);
                }
            });
            let mut tried = Ok(());
            while tried.is_ok() && taken.load(Ordering::Relaxed) < 10 && Instant::now() < deadline {
                tried = can_bind(&dir);
            }
            over.store(true, Ordering::Relaxed);
            assert_eq!(tried, Ok(()));
        });
        assert!(taken.into_inner() >= 10, "nothing was taken away");
    }
}
