//! Giving a ghost its socket back: SIGUSR1, on which a tmux server makes its socket anew.
//!
//! tmux then unlinks whatever stands at the path and binds (server.c: `server_create_socket`), without
//! any lock; and if it cannot bind, its new panes have a wrong umask ever after. So the signal goes
//! out only while the path's start lock is held, the path is free, and a socket can be made there;
//! and the lock is kept until the server listens: a start that had come between would lose its path.

use super::find::listener_of;
use super::folder::{FolderTrouble, MadeFolder, can_bind, open_or_make};
use super::reach::{Reach, View};
use super::{Anew, Area, Aside, Ghost, find};
use crate::judge::{Bar, Plight, RescueFailure, Standing};
use crate::kernel::Label;
use crate::kernel::Processes;
use crate::kernel::Role;
use crate::kernel::Uid;
use crate::kernel::{Mounts, PidFd};
use crate::report::Report;
use crate::report::{Failure, Outcome};
use crate::sweep::{Act, Pass, RefuseFar, SpareNothing, Target};
use crate::tmux::start_lock::{LockRack, Taken};
use crate::tmux::{SocketDir, Strictness};
use crate::witness::Witness;
use rustix::io::Errno;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// How long a server is given to make its socket anew. A busy one takes the signal later; until
/// then the lock is held, so that nobody starts a server whose path it would take.
const ANSWER: Duration = Duration::from_secs(5);

/// How often the table is looked at meanwhile: first, and at most. There is no event for listen(2).
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(20);

/// What became of a ghost.
#[derive(Debug)]
pub struct Rescue {
    /// Rescued, kept (see the plight), busy (a start holds the lock), vanished (it ended or can be
    /// reached again), or failed.
    pub outcome: Outcome,
    /// How it stood with it at the end; why it was kept. Of one that was rescued: how it stood before.
    pub plight: Plight,
    /// The pass that removed a dead socket: from its path, or what a newer server left that ended meanwhile.
    pub cleared: Option<Report>,
    /// The newer server that has a second name now, or would have.
    pub aside: Option<Aside>,
}

impl Rescue {
    /// Nothing was done yet.
    pub(super) fn kept(ghost: &Ghost) -> Self {
        Self { outcome: Outcome::Kept, plight: ghost.plight, cleared: None, aside: None }
    }
}

/// Rescues a ghost, if that is safe in every way.
pub fn rescue(user: Uid, witness: &mut Witness, ghost: &Ghost, anew: Anew) -> Rescue {
    let mut rescue = Rescue::kept(ghost);
    let mut made = MadeFolder::default();
    rescue.outcome =
        attempt(user, witness, ghost, anew, &mut made, &mut rescue).unwrap_or_else(|outcome| outcome);
    if rescue.outcome == Outcome::Rescued {
        rescue.plight = ghost.plight;
    }
    // A server that was signalled may still need its directory.
    let is_told = matches!(
        rescue.outcome,
        Outcome::Rescued
            | Outcome::Failed(Failure::Rescue(RescueFailure::NoAnswer | RescueFailure::DeletedAgain))
    );
    if !is_told {
        made.undo();
    }
    rescue
}

/// What becomes of a ghost that is barred, or whose directory cannot be used.
pub(super) fn declined(plight: &mut Plight, trouble: FolderTrouble) -> Outcome {
    match trouble {
        FolderTrouble::NoParent => {
            plight.bar = Some(Bar::NoParent);
            Outcome::Kept
        }
        FolderTrouble::Failure(failure) => Outcome::Failed(Failure::Rescue(failure)),
    }
}

/// What becomes of a ghost for its bar. `None`: it can be tried.
pub(super) fn barred(plight: Plight) -> Option<Outcome> {
    match plight.bar {
        None => None,
        Some(Bar::Directory(failure)) => Some(Outcome::Failed(Failure::Rescue(failure))),
        Some(_) => Some(Outcome::Kept),
    }
}

/// A pass over what stands at a ghost's path, which is to be a dead socket. The settings that spare dead
/// sockets are not asked: the path gets a live one.
pub(super) fn clear(user: Uid, witness: &mut Witness, ghost: &Ghost, act: Act) -> Option<Report> {
    let target = Target {
        path: ghost.path.parent()?.to_owned(),
        only: Some(vec![Label::new(ghost.path.file_name()?)?]),
        rule: Strictness::Swept,
    };
    Some(Pass { policy: &SpareNothing, far: &RefuseFar, user, act }.run(witness, &[target]))
}

/// A handle on the ghost's process.
pub(super) fn pidfd_of(ghost: &Ghost) -> Result<PidFd, Outcome> {
    let pid = ghost.pid.ok_or(Outcome::Vanished)?;
    PidFd::open(pid).map_err(|errno| match errno {
        Errno::SRCH => Outcome::Vanished,
        other => Outcome::Failed(Failure::Rescue(RescueFailure::Signal(other))),
    })
}

fn attempt(
    user: Uid,
    witness: &mut Witness,
    ghost: &Ghost,
    anew: Anew,
    made: &mut MadeFolder,
    rescue: &mut Rescue,
) -> Result<Outcome, Outcome> {
    if let Some(outcome) = barred(ghost.plight) {
        return Err(outcome);
    }
    let (Some(area), Some(label)) = (Area::path(&ghost.path), ghost.path.file_name()) else {
        return Err(Outcome::Kept);
    };
    // Everything that is proven from here on is proven of the process behind this handle.
    let pidfd = pidfd_of(ghost)?;
    if ghost.plight.standing == Standing::Socket {
        rescue.cleared = clear(user, witness, ghost, Act::Remove);
    }
    let dir =
        open_or_make(ghost, user, anew, made).map_err(|trouble| declined(&mut rescue.plight, trouble))?;
    let mut rack = LockRack::new(&dir, user);
    let guard = match rack.take(label) {
        Taken::Ours(guard) => guard,
        Taken::Busy => {
            rescue.plight.bar = Some(Bar::Starting);
            return Err(Outcome::Busy);
        }
        Taken::Failed(failure) => return Err(Outcome::Failed(Failure::Lock(failure))),
    };
    let outcome = under_lock(user, witness, ghost, &area, &dir, &pidfd, &mut rescue.plight);
    rack.release(guard);
    outcome
}

/// Proves everything once more and sends the signal; then waits until the server listens.
fn under_lock(
    user: Uid,
    witness: &mut Witness,
    ghost: &Ghost,
    area: &Area,
    dir: &SocketDir,
    pidfd: &PidFd,
    plight: &mut Plight,
) -> Result<Outcome, Outcome> {
    let failed = |failure| Outcome::Failed(Failure::Rescue(failure));
    witness.refresh();
    let now = find(user, witness, area).again(ghost)?;
    *plight = now.plight;
    // If something stands at the path by now, it keeps it.
    if plight.bar.is_none() && plight.standing == Standing::Socket {
        plight.bar = Some(Bar::Unproven);
    }
    if let Some(outcome) = barred(*plight) {
        return Err(outcome);
    }
    if plight.standing != Standing::Nothing {
        return Err(Outcome::Kept);
    }
    can_bind(dir).map_err(|errno| failed(RescueFailure::NotWritable(errno)))?;
    tell(witness, ghost, pidfd, || ())
}

/// Sends the signal and waits until the server listens; `told` is called in between.
pub(super) fn tell(
    witness: &mut Witness,
    ghost: &Ghost,
    pidfd: &PidFd,
    told: impl FnOnce(),
) -> Result<Outcome, Outcome> {
    let failed = |failure| Outcome::Failed(Failure::Rescue(failure));
    match pidfd.signal(Signal::USR1) {
        Ok(()) => {}
        Err(Errno::SRCH) => return Err(Outcome::Vanished),
        Err(errno) => return Err(failed(RescueFailure::Signal(errno))),
    }
    told();
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
        if pidfd.ends_within(pause) == Ok(true) {
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
    Some(View::ours(Vec::new(), Mounts::read()).reach(table, &listener_of(&anew)))
}
