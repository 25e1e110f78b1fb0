//! The move in a folder that everybody may write, such as `/tmp`.
//!
//! Such a folder is sticky and root's: whoever owns a name there is the only one, but root, who can rename or remove
//! it. A *free* name is anybody's. So the socket's name must not become free before it is seen what was caught: a
//! stranger could take it, and a live server's socket that was caught by mistake could not be put back.
//!
//! Instead of being moved away the socket changes places (`RENAME_EXCHANGE`) with an empty directory of ours. While that
//! stands at the name, no stranger can have it, and no server of the user's can bind it: unlink(2) does not take a
//! directory. If another socket was caught, the two change back, over which nobody has any power. If not, rmdir(2)
//! frees the name, which can take nothing but an empty directory.
//!
//! What a stranger can do is to have one of the other names first, that of the lock, of the lock's rest or of the
//! quarantine. Then nothing is done.

use super::pin::Pin;
use crate::judge::ConnectSays;
use crate::kernel::FileFacts;
use crate::kernel::Uid;
use crate::kernel::checkpoint::{Checkpoint, reach};
use crate::report::{Failure, Outcome};
use crate::tmux::SocketDir;
use crate::tmux::quarantine;
use crate::witness::Asker;
use rustix::fs::{AtFlags, FileType, Mode, RenameFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::AsFd;

/// The mode of the directory that keeps the place: nobody makes one like it for himself.
const PLACEHOLDER: Mode = Mode::XUSR;

/// Takes the pinned socket away, which is dead and whose lock is ours.
pub(super) fn take_away(dir: &SocketDir, user: Uid, name: &OsStr, pin: &Pin, asker: &mut Asker) -> Outcome {
    let Some(aside) = quarantine::name_of(name) else {
        return Outcome::Failed(Failure::NameTooLong);
    };
    match rustix::fs::mkdirat(dir, aside.as_os_str(), PLACEHOLDER) {
        // The umask may have taken a bit of the mode.
        Ok(()) => drop(rustix::fs::chmodat(dir, aside.as_os_str(), PLACEHOLDER, AtFlags::empty())),
        Err(Errno::EXIST) if is_placeholder(dir, user, &aside) => {}
        Err(Errno::EXIST) => return Outcome::Failed(Failure::QuarantineTaken),
        Err(errno) => return Outcome::Failed(Failure::Move(errno)),
    }
    reach(Checkpoint::Move);
    if let Err(errno) = exchange(dir, name, &aside) {
        let _ = remove_directory(dir, &aside);
        return if errno == Errno::NOENT { Outcome::Vanished } else { Outcome::Failed(Failure::Move(errno)) };
    }
    reach(Checkpoint::Moved);
    let is_it = dir.look(&aside).is_ok_and(|caught| caught.id == pin.facts.id);
    if is_it && asker.ask(pin.file.as_fd()) == ConnectSays::Refused {
        // First the name: as long as the socket is aside, a run that comes later knows whose directory this is.
        if let Err(errno) = remove_directory(dir, name) {
            return Outcome::Failed(Failure::Remove(errno));
        }
        reach(Checkpoint::Unlink);
        return match rustix::fs::unlinkat(dir, aside.as_os_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Outcome::Removed,
            Err(errno) => Outcome::Failed(Failure::Remove(errno)),
        };
    }
    reach(Checkpoint::PutBack);
    match exchange(dir, &aside, name) {
        Ok(()) => {
            let _ = remove_directory(dir, &aside);
            Outcome::Resurrected
        }
        Err(errno) => Outcome::Failed(Failure::PutBack(errno)),
    }
}

/// Under the lock of `name`: gives back what a killed run has left aside, so that it stands at its own name again.
pub(super) fn restore(dir: &SocketDir, user: Uid, name: &OsStr) {
    let Some(aside) = quarantine::name_of(name) else { return };
    if is_left_aside(dir, user, name, &aside) {
        if exchange(dir, &aside, name).is_ok() {
            let _ = remove_directory(dir, &aside);
        }
        return;
    }
    for left in [&*aside, name] {
        if is_placeholder(dir, user, left) {
            let _ = remove_directory(dir, left);
        }
    }
}

/// Under the lock: frees the name that a killed run's directory has, before the dead socket goes that it stands for. Whoever
/// is ended between the two leaves the socket, and not a directory that nobody knows.
pub(super) fn free_name(dir: &SocketDir, user: Uid, aside: &OsStr) {
    if let Some(name) = quarantine::label_of(aside) {
        if is_placeholder(dir, user, &name) {
            let _ = remove_directory(dir, &name);
        }
    }
}

/// Whether a killed run has left something of `name`.
pub(super) fn is_left(dir: &SocketDir, user: Uid, name: &OsStr) -> bool {
    quarantine::name_of(name)
        .is_some_and(|aside| is_placeholder(dir, user, name) || is_placeholder(dir, user, &aside))
}

/// Whether our directory stands at a name whose socket is aside.
fn is_left_aside(dir: &SocketDir, user: Uid, name: &OsStr, aside: &OsStr) -> bool {
    let is_own_socket = |facts: FileFacts| facts.is_socket() && facts.uid == user;
    is_placeholder(dir, user, name) && dir.look(aside).is_ok_and(is_own_socket)
}

pub(super) fn is_placeholder(dir: &SocketDir, user: Uid, name: &OsStr) -> bool {
    dir.look(name).is_ok_and(|facts| {
        facts.kind == FileType::Directory && facts.uid == user && facts.mode == PLACEHOLDER.as_raw_mode()
    })
}

fn exchange(dir: &SocketDir, one: &OsStr, other: &OsStr) -> Result<(), Errno> {
    rustix::fs::renameat_with(dir, one, dir, other, RenameFlags::EXCHANGE)
}

fn remove_directory(dir: &SocketDir, name: &OsStr) -> Result<(), Errno> {
    rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)
}
