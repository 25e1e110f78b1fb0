//! What this process may do with files, as the kernel says: with the ids and privileges that count, and without trying it.

use rustix::fs::{Access, AtFlags, StatVfsMountFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::AsFd;

/// Whether names can be made in an open directory and taken out of it again: its mode, the mount, its attributes. The
/// errno is the one that whoever tried would get.
pub fn may_change(dir: impl AsFd) -> Result<(), Errno> {
    // The mount is asked first, by every call that makes or takes a name.
    if rustix::fs::fstatvfs(&dir).is_ok_and(|facts| facts.f_flag.contains(StatVfsMountFlags::RDONLY)) {
        return Err(Errno::ROFS);
    }
    may(&dir, OsStr::new("."), Access::WRITE_OK | Access::EXEC_OK)?;
    if is_append_only(&dir) { Err(Errno::PERM) } else { Ok(()) }
}

/// Whether a regular file can be opened for reading and writing.
pub fn may_read_and_write(dir: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    may(&dir, name, Access::READ_OK | Access::WRITE_OK)?;
    if takes_no_changes(&dir, name) { Err(Errno::PERM) } else { Ok(()) }
}

/// Whether a directory has the attribute *a* of chattr(1): it takes new names and gives none away. access(2) does not tell.
pub fn is_append_only(dir: impl AsFd) -> bool {
    takes_no_changes(dir, OsStr::new("."))
}

/// The attribute *a*, as Linux tells it since 4.11.
fn takes_no_changes(dir: impl AsFd, name: &OsStr) -> bool {
    rustix::fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE)
        .is_ok_and(|facts| facts.stx_attributes.contains(StatxAttributes::APPEND))
}

fn may(dir: impl AsFd, name: &OsStr, access: Access) -> Result<(), Errno> {
    match rustix::fs::accessat(&dir, name, access, AtFlags::EACCESS) {
        // `EPERM` means an immutable file, or a sandbox that knows the call no better than Linux before 5.8 does.
        Err(Errno::PERM | Errno::NOSYS) => rustix::fs::accessat(&dir, name, access, AtFlags::empty()),
        other => other,
    }
}
