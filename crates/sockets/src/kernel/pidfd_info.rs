//! What the kernel tells of a process by its handle (linux/pidfd.h: `PIDFD_GET_INFO`; fs/pidfs.c: `pidfd_info`): how it
//! ended, whoever's child it was.
//!
//! A room with `unsafe`: no crate that is here has this request of ioctl(2).
#![expect(unsafe_code, reason = "PIDFD_GET_INFO exists in no safe crate")]

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// `PIDFD_INFO_CGROUPID` (Linux 6.13) and `PIDFD_INFO_EXIT` (Linux 6.15).
const CGROUP: u64 = 1 << 2;
const EXIT: u64 = 1 << 3;

/// `PIDFS_IOCTL_MAGIC` and 11, with the structure that [`Raw`] is.
const GET_INFO: Opcode = opcode::read_write::<Raw>(0xFF, 11);

/// `struct pidfd_info` as it was first (`PIDFD_INFO_SIZE_VER0`). A newer kernel fills in no more than this.
#[derive(Debug, Default)]
#[repr(C)]
struct Raw {
    /// What is asked for; then, what is told.
    mask: u64,
    cgroup: u64,
    _pid: u32,
    _tgid: u32,
    _ppid: u32,
    _owners: [u32; 8],
    /// As wait(2) gives it.
    exit_code: i32,
}

/// What is known of a process, be it one that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PidFdInfo {
    /// The number of its control group in the unified hierarchy, which is the inode's of the group's directory. Of one
    /// that was waited for: where it was last.
    pub cgroup: Option<u64>,
    /// How it ended. Known from the moment at which its parent has waited for it; poll(2) tells that by `POLLHUP`.
    pub end: Option<ExitStatus>,
}

impl PidFdInfo {
    /// Of the process of a handle.
    ///
    /// # Errors
    /// `ENOTTY`, `EINVAL`: the kernel is older than 6.13. `ESRCH`: it was waited for, and the kernel, older than 6.15,
    /// has not kept how it ended.
    pub fn of(pidfd: impl AsFd) -> Result<Self, Errno> {
        match Self::ask(&pidfd) {
            // Its parent reaped it while the kernel answered: asked again, the kernel answers for an ended process.
            Err(Errno::SRCH) => Self::ask(&pidfd),
            answer => answer,
        }
    }

    fn ask(pidfd: &impl AsFd) -> Result<Self, Errno> {
        const { assert!(size_of::<Raw>() == 64) };
        let mut raw = Raw { mask: CGROUP | EXIT, ..Raw::default() };
        // SAFETY: the number of the request says how long the structure is, and the kernel writes no more than that, here
        // or in a driver that has the same number (ioctl-number.rst); `Raw` has the layout, and any bits are a value of it.
        unsafe { ioctl(pidfd, Updater::<GET_INFO, Raw>::new(&mut raw)) }?;
        let told = |what: u64| raw.mask & what != 0;
        Ok(Self {
            cgroup: told(CGROUP).then_some(raw.cgroup),
            end: told(EXIT).then(|| ExitStatus::from_raw(raw.exit_code)),
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use crate::kernel::PidFd;
    use rustix::process::Signal;
    use std::process::{Child, Command};

    /// `None`: this kernel has not the request.
    fn end_of(mut child: Child, signal: Option<Signal>) -> Option<(Option<ExitStatus>, ExitStatus)> {
        let pidfd = PidFd::of(&child).unwrap();
        if let Some(signal) = signal {
            pidfd.signal(signal).unwrap();
        }
        let before = PidFdInfo::of(&pidfd).ok()?;
        assert_eq!(before.end, None, "nobody has waited for it");
        let waited = child.wait().unwrap();
        Some((PidFdInfo::of(&pidfd).ok()?.end, waited))
    }

    #[test]
    fn an_end_is_told_as_its_parent_was_told() {
        let run = |line: &str| Command::new("sh").args(["-c", line]).spawn().unwrap();
        for (line, signal) in [
            ("exit 0", None),
            ("exit 7", None),
            ("exec sleep 1000", Some(Signal::KILL)),
            ("ulimit -c 0; exec sleep 1000", Some(Signal::SEGV)),
        ] {
            let Some((told, waited)) = end_of(run(line), signal) else { return };
            assert_eq!(told, Some(waited), "{line}");
        }
    }

    #[test]
    fn what_is_no_pidfd_has_nothing_to_tell() {
        assert!(PidFdInfo::of(std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
