//! The write lease: the kernel's word that nobody else has opened a file.
//!
//! A room with `unsafe`: no safe crate has the lease commands of fcntl(2). A write lease
//! (`F_SETLEASE F_WRLCK`) is granted only while ours is the only open file description of the
//! file. Anybody's later open(2) marks it as being broken and waits inside open(2) until the lease
//! is given up, at most `/proc/sys/fs/lease-break-time` (45 s). It needs the file's owner.
#![expect(unsafe_code, reason = "fcntl(2) leases exist in no safe crate")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `F_SETSIG` of asm-generic/fcntl.h, which the libc crate lacks.
const F_SETSIG: libc::c_int = 10;

/// Takes a write lease.
///
/// The kernel would tell of a break by SIGIO, which ends a process by default; SIGURG is asked for
/// instead, which is ignored by default. We look with [`is_intact`] and need no signal.
///
/// # Errors
/// `EAGAIN`: somebody else has the file open. `EINVAL`: leases are switched off
/// (`/proc/sys/fs/leases-enable`) or this file system has none. `EACCES`: not the owner.
pub(crate) fn take(file: BorrowedFd<'_>) -> io::Result<()> {
    call(file, F_SETSIG, libc::SIGURG)?;
    call(file, libc::F_SETLEASE, libc::F_WRLCK)?;
    Ok(())
}

/// Whether the lease is still whole: nobody has opened the file since [`take`].
///
/// A lease being broken shows the type it is being broken to, never `F_WRLCK`.
pub(crate) fn is_intact(file: BorrowedFd<'_>) -> bool {
    call(file, libc::F_GETLEASE, 0).is_ok_and(|kind| kind == libc::F_WRLCK)
}

/// Gives the lease up; whoever waits in open(2) goes on.
pub(crate) fn release(file: BorrowedFd<'_>) -> io::Result<()> {
    call(file, libc::F_SETLEASE, libc::F_UNLCK).map(drop)
}

/// Whether the kernel gives leases (`/proc/sys/fs/leases-enable`, `proc_sys_fs(5)`). Where that cannot be read, only
/// asking for one tells.
pub fn leases_are_given() -> bool {
    std::fs::read_to_string("/proc/sys/fs/leases-enable").map_or(true, |text| text.trim() != "0")
}

fn call(file: BorrowedFd<'_>, command: libc::c_int, argument: libc::c_int) -> io::Result<libc::c_int> {
    // SAFETY: the descriptor is open for as long as the borrow lives, and these three commands take
    // an integer by value: the kernel reads and writes no memory of ours.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};
    use std::os::fd::AsFd;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    fn open(path: &Path, flags: i32) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
    }

    #[test]
    fn a_lease_tells_who_came_and_is_refused_beside_another() -> io::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        let ours = open(file.path(), 0)?;
        assert!(take(ours.as_fd()).is_err(), "the other handle must hinder the lease");
        let (_, path) = file.keep().map_err(|e| e.error)?;
        take(ours.as_fd())?;
        assert!(is_intact(ours.as_fd()));
        std::fs::rename(&path, path.with_extension("elsewhere"))?;
        assert!(is_intact(ours.as_fd()), "a rename opens nothing");
        let other = open(&path.with_extension("elsewhere"), libc::O_NONBLOCK);
        assert_eq!(other.err().and_then(|e| e.raw_os_error()), Some(libc::EWOULDBLOCK));
        assert!(!is_intact(ours.as_fd()));
        release(ours.as_fd())?;
        open(&path.with_extension("elsewhere"), libc::O_NONBLOCK)?;
        std::fs::remove_file(path.with_extension("elsewhere"))
    }
}
