//! Renames that put nothing aside, also where the kernel cannot promise it.
//!
//! `RENAME_NOREPLACE` (renameat2(2)) is lacking in some file systems (ZFS before 2.2: `EINVAL`). Where others may make
//! the name, link(2) does not replace either; where the name is our own, nobody makes it. The name that others use is never
//! unlinked by its path. Between the two calls a file has two names: what a killed run leaves then is cleared
//! by the next. Checked with the model (`docs/protocol.md`).

use super::SocketDir;
use crate::kernel::checkpoint;
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::OsStr;

/// From a name of our own to one that others use. `EEXIST`: something stands there.
pub(crate) fn to_shared(dir: &SocketDir, own: &OsStr, shared: &OsStr) -> Result<(), Errno> {
    match rename(dir, own, shared, RenameFlags::NOREPLACE) {
        Err(errno) if is_lacking(errno) => {}
        other => return other,
    }
    match rustix::fs::linkat(dir, own, dir, shared, AtFlags::empty()) {
        Ok(()) => {}
        // A run was killed between the two calls.
        Err(Errno::EXIST) if is_one_file(dir, own, shared) => {}
        Err(errno) => return Err(errno),
    }
    rustix::fs::unlinkat(dir, own, AtFlags::empty())
}

/// From a name that others use to one of our own. `EEXIST`: something stands there.
pub(crate) fn to_own(dir: &SocketDir, shared: &OsStr, own: &OsStr) -> Result<(), Errno> {
    match rename(dir, shared, own, RenameFlags::NOREPLACE) {
        Err(errno) if is_lacking(errno) => {}
        other => return other,
    }
    match dir.look(own) {
        Err(Errno::NOENT) => rustix::fs::renameat(dir, shared, dir, own),
        Err(errno) => Err(errno),
        Ok(_) => Err(Errno::EXIST),
    }
}

/// Two names change places.
pub(crate) fn exchange(dir: &SocketDir, one: &OsStr, other: &OsStr) -> Result<(), Errno> {
    rename(dir, one, other, RenameFlags::EXCHANGE)
}

/// Whether a rename failed only because it was to be more than a plain one.
pub(crate) fn is_lacking(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS)
}

fn is_one_file(dir: &SocketDir, one: &OsStr, other: &OsStr) -> bool {
    matches!((dir.look(one), dir.look(other)), (Ok(one), Ok(other)) if one.id == other.id)
}

fn rename(dir: &SocketDir, from: &OsStr, to: &OsStr, flags: RenameFlags) -> Result<(), Errno> {
    if checkpoint::renames_plainly() {
        return Err(Errno::INVAL);
    }
    rustix::fs::renameat_with(dir, from, dir, to, flags)
}
