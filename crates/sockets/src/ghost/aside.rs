//! A ghost gets its path back from a newer server, which gets a second name first: both are reachable.
//!
//! On SIGUSR1 tmux unlinks whatever stands at its path (server.c: `server_create_socket`). So the newer server's
//! socket is linked to another name before, and it is looked whether it is this very socket that stands at both; then
//! the ghost is told. From the link on, the newer server has a name that nobody else's deed concerns, whatever becomes
//! of the ghost and of us: killed at any step, we leave a server with one name or with two.

use super::folder::{self, Anew, MadeFolder, can_bind, trouble};
use super::forecast::lock_is_in_the_way;
use super::rescue::{Rescue, clear, pidfd_of, tell};
use super::{Area, Ghost, find, proof};
use crate::judge::RescueFailure;
use crate::judge::{Bar, Standing};
use crate::kernel::FileId;
use crate::kernel::Label;
use crate::kernel::Pid;
use crate::kernel::PidFd;
use crate::kernel::Processes;
use crate::kernel::Role;
use crate::kernel::checkpoint::{Checkpoint, reach};
use crate::kernel::{SocketNumber, Uid};
use crate::report::{Failure, Outcome};
use crate::sweep::Act;
use crate::tmux::SocketDir;
use crate::tmux::start_lock::{LockRack, Taken};
use crate::witness::Witness;
use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

/// How many second names are tried: `LABEL-new`, `LABEL-new-2` …
const NAMES: u32 = 9;

/// The longest path that fits a socket's address (unix(7): `sun_path`, with its NUL).
const LONGEST: usize = 107;

/// A server whose socket has a second name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// The path by which it is reached now.
    pub path: PathBuf,
    /// The server.
    pub pid: Pid,
    /// The number of its listening socket.
    pub socket: Option<SocketNumber>,
}

/// Gives a ghost its path back although a newer server has it.
pub fn set_aside(user: Uid, witness: &mut Witness, ghost: &Ghost) -> Rescue {
    let mut rescue = Rescue::kept(ghost);
    rescue.outcome = attempt(user, witness, ghost, &mut rescue).unwrap_or_else(|outcome| outcome);
    if rescue.outcome == Outcome::Rescued {
        rescue.plight = ghost.plight;
    }
    rescue
}

/// What [`set_aside`] would do as things stand.
pub fn would_set_aside(user: Uid, ghost: &Ghost) -> Rescue {
    let mut rescue = Rescue::kept(ghost);
    let look = |rescue: &mut Rescue| -> Result<(), Outcome> {
        let pid = newer_of(ghost).ok_or(Outcome::Kept)?;
        if let Some(folder::FolderTrouble::Failure(failure)) = trouble(ghost, user, Anew::Folder) {
            return Err(failed(failure));
        }
        let dir = open(user, ghost)?;
        let label = ghost.path.file_name().ok_or(Outcome::Kept)?;
        let (_, facts) = dir.pin(label).map_err(|_| Outcome::Kept)?;
        let (name, _) = second_name(&dir, label, facts.id)?;
        for label in [label, &name] {
            if let Some(outcome) = lock_is_in_the_way(user, &dir, label) {
                rescue.plight.bar = (outcome == Outcome::Busy).then_some(Bar::Starting).or(rescue.plight.bar);
                return Err(outcome);
            }
        }
        rescue.aside = Some(Aside { path: dir.path_of(&name), pid, socket: None });
        Ok(())
    };
    rescue.outcome = look(&mut rescue).map_or_else(|outcome| outcome, |()| Outcome::WouldRescue);
    rescue
}

fn failed(failure: RescueFailure) -> Outcome {
    Outcome::Failed(Failure::Rescue(failure))
}

/// The newer server, if it can be set aside.
fn newer_of(ghost: &Ghost) -> Option<Pid> {
    match ghost.plight.bar {
        Some(Bar::Held { pid, yields: true }) => pid,
        _ => None,
    }
}

fn open(user: Uid, ghost: &Ghost) -> Result<SocketDir, Outcome> {
    folder::open_or_make(ghost, user, Anew::Folder, &mut MadeFolder::default()).map_err(|trouble| {
        match trouble {
            folder::FolderTrouble::Failure(failure) => failed(failure),
            folder::FolderTrouble::NoParent => Outcome::Kept,
        }
    })
}

/// The second name for the socket at `label`, and whether it stands there already: a run was killed.
fn second_name(dir: &SocketDir, label: &OsStr, socket: FileId) -> Result<(Label, bool), Outcome> {
    for number in 1..=NAMES {
        let mut name = label.to_owned();
        name.push("-new");
        if number > 1 {
            name.push(format!("-{number}"));
        }
        let Some(name) = Label::new(name) else { break };
        if dir.path_of(&name).as_os_str().len() > LONGEST {
            break;
        }
        match dir.look(&name) {
            Err(Errno::NOENT) => return Ok((name, false)),
            Err(errno) => return Err(Outcome::Failed(Failure::Look(errno))),
            Ok(facts) if facts.id == socket => return Ok((name, true)),
            Ok(_) => {}
        }
    }
    Err(failed(RescueFailure::NoSecondName))
}

/// A newer server's socket, held open, so that its inode's number is not used again.
struct Newer<'d> {
    dir: &'d SocketDir,
    pin: OwnedFd,
    id: FileId,
    name: Label,
}

impl Newer<'_> {
    /// Links this very inode to a name. A name that is taken is not touched.
    fn link(&self, name: &OsStr) -> Result<(), Errno> {
        let handle = format!("/proc/self/fd/{}", self.pin.as_raw_fd());
        rustix::fs::linkat(CWD, handle, self.dir, name, AtFlags::SYMLINK_FOLLOW)
    }

    /// Whether it stands at a name.
    fn is_at(&self, name: &OsStr) -> bool {
        self.dir.look(name).is_ok_and(|facts| facts.id == self.id)
    }

    /// Takes its second name away where nobody was told anything and it has its own.
    fn unlink_second(&self, label: &OsStr) {
        reach(Checkpoint::AsideTrim);
        if self.is_at(label) && self.is_at(&self.name) {
            // If that fails the socket has two names.
            let _ = rustix::fs::unlinkat(self.dir, self.name.as_os_str(), AtFlags::empty());
        }
    }

    /// The number of its listening socket, as the table has it.
    fn socket(&self, witness: &Witness) -> Option<SocketNumber> {
        let mut bound = witness.table().with_inode_of(self.id);
        bound
            .find(|bound| bound.role == Role::Listening && bound.dev == self.id.kernel_dev())
            .map(|bound| bound.socket)
    }
}

fn attempt(user: Uid, witness: &mut Witness, ghost: &Ghost, rescue: &mut Rescue) -> Result<Outcome, Outcome> {
    let newer_pid = newer_of(ghost).ok_or(Outcome::Kept)?;
    let label = ghost.path.file_name().ok_or(Outcome::Kept)?;
    // Everything that is proven from here on is proven of the process behind this handle.
    let pidfd = pidfd_of(ghost)?;
    let dir = open(user, ghost)?;
    let (pin, facts) = dir.pin(label).map_err(|_| Outcome::Kept)?;
    if !facts.is_socket() || facts.uid != user {
        return Err(Outcome::Kept);
    }
    let (name, is_linked) = second_name(&dir, label, facts.id)?;
    let newer = Newer { dir: &dir, pin, id: facts.id, name };
    let mut rack = LockRack::new(&dir, user);
    let mut guards = Vec::new();
    let mut outcome = Ok(());
    for label in [label, &newer.name] {
        outcome = match rack.take(label) {
            Taken::Ours(guard) => {
                guards.push(guard);
                Ok(())
            }
            Taken::Busy => {
                rescue.plight.bar = Some(Bar::Starting);
                Err(Outcome::Busy)
            }
            Taken::Failed(failure) => Err(Outcome::Failed(Failure::Lock(failure))),
        };
        if outcome.is_err() {
            break;
        }
    }
    let outcome = outcome
        .and_then(|()| under_locks(user, witness, ghost, &newer, newer_pid, is_linked, &pidfd, rescue));
    for guard in guards {
        rack.release(guard);
    }
    drop(rack);
    witness.refresh();
    match newer.socket(witness) {
        Some(socket) if newer.is_at(&newer.name) => {
            rescue.aside =
                Some(Aside { path: dir.path_of(&newer.name), pid: newer_pid, socket: Some(socket) });
        }
        Some(_) => {}
        // It has ended meanwhile: the dead socket that it left is cleared away.
        None => {
            let left = Ghost { path: dir.path_of(&newer.name), ..ghost.clone() };
            rescue.cleared = clear(user, witness, &left, Act::Remove);
        }
    }
    outcome
}

/// Proves everything once more, gives the newer server its second name, and tells the ghost.
#[expect(clippy::too_many_arguments, reason = "what was proven before, each of its own kind")]
fn under_locks(
    user: Uid,
    witness: &mut Witness,
    ghost: &Ghost,
    newer: &Newer<'_>,
    newer_pid: Pid,
    is_linked: bool,
    pidfd: &PidFd,
    rescue: &mut Rescue,
) -> Result<Outcome, Outcome> {
    let (Some(area), Some(label)) = (Area::path(&ghost.path), ghost.path.file_name()) else {
        return Err(Outcome::Kept);
    };
    witness.refresh();
    rescue.plight = find(user, witness, &area).again(ghost)?.plight;
    // Still the same newer server, with this very socket, and a tmux that has none but this one.
    let is_same = rescue.plight.standing == Standing::Live(Some(newer_pid))
        && rescue.plight.bar == Some(Bar::Held { pid: Some(newer_pid), yields: true })
        && newer.socket(witness).is_some_and(|socket| holds(newer_pid, socket));
    if !is_same {
        return Err(Outcome::Kept);
    }
    can_bind(newer.dir).map_err(|errno| failed(RescueFailure::NotWritable(errno)))?;
    reach(Checkpoint::AsideLink);
    if !is_linked {
        newer.link(&newer.name).map_err(|errno| match errno {
            // Its socket has lost its last name, or the second one was taken.
            Errno::NOENT | Errno::EXIST => Outcome::Kept,
            other => failed(RescueFailure::Link(other)),
        })?;
    }
    reach(Checkpoint::AsideLinked);
    if !(newer.is_at(&newer.name) && newer.is_at(label)) {
        newer.unlink_second(label);
        return Err(Outcome::Kept);
    }
    let outcome = tell(witness, ghost, pidfd, || reach(Checkpoint::AsideTold));
    match outcome {
        Ok(_) => {}
        Err(Outcome::Failed(Failure::Rescue(RescueFailure::Signal(_)))) => newer.unlink_second(label),
        // It may have unlinked the path, and may yet take it: the newer server keeps both names.
        Err(_) => {
            reach(Checkpoint::AsideBack);
            // Something stands there already: nothing is linked back.
            let _ = newer.link(label);
        }
    }
    outcome
}

/// Whether a tmux server holds a socket.
fn holds(pid: Pid, socket: SocketNumber) -> bool {
    let process = Processes::open().ok().and_then(|processes| processes.by_pid(pid));
    process.is_some_and(|process| proof::is_tmux(&process) && process.holds(socket))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use crate::tmux::Strictness;
    use std::os::unix::net::UnixListener;

    #[test]
    fn the_second_name_is_free_or_its_own_and_never_too_long() {
        // Whatever the umask is.
        let owners = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let folder = tempfile::Builder::new().permissions(owners).tempdir().unwrap();
        let user = Uid::ours();
        let dir = SocketDir::open(folder.path(), user, Strictness::Swept).unwrap().unwrap();
        let _server = UnixListener::bind(folder.path().join("x")).unwrap();
        let id = dir.look(OsStr::new("x")).unwrap().id;
        let second = |label: &str| second_name(&dir, OsStr::new(label), id);
        assert_eq!(second("x"), Ok((Label::new("x-new").unwrap(), false)));
        std::fs::write(folder.path().join("x-new"), "").unwrap();
        assert_eq!(second("x"), Ok((Label::new("x-new-2").unwrap(), false)));
        std::fs::hard_link(folder.path().join("x"), folder.path().join("x-new-2")).unwrap();
        assert_eq!(second("x"), Ok((Label::new("x-new-2").unwrap(), true)));
        let longest = LONGEST - folder.path().as_os_str().len() - "/-new".len();
        assert_eq!(second(&"y".repeat(longest)).map(|(_, linked)| linked), Ok(false));
        assert_eq!(second(&"y".repeat(longest + 1)), Err(failed(RescueFailure::NoSecondName)));
    }
}
