//! What a name in a directory stands for, as stat(2) tells it.

use super::id::Uid;
use rustix::fs::{AtFlags, FileType, Stat};
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime};

/// A file's identity: two names are the same file when this is equal, and only as long as one of
/// them is held open (inode numbers are used again).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// `st_dev`.
    pub dev: u64,
    /// `st_ino`.
    pub ino: u64,
}

impl FileId {
    /// The device as the kernel's socket table writes it: `major << 20 | minor`.
    pub fn kernel_dev(self) -> u32 {
        (rustix::fs::major(self.dev) << 20) | (rustix::fs::minor(self.dev) & 0xf_ffff)
    }
}

/// What is known of a file without opening it.
#[derive(Debug, Clone, Copy)]
pub struct FileFacts {
    /// Its identity.
    pub id: FileId,
    /// Its type.
    pub kind: FileType,
    /// Its owner.
    pub uid: Uid,
    /// Permission bits (07777).
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// The later of mtime and ctime.
    pub changed: SystemTime,
}

impl From<Stat> for FileFacts {
    #[expect(clippy::cast_sign_loss, reason = "st_size is never negative; negative times are clamped")]
    fn from(stat: Stat) -> Self {
        let time = |sec: i64, nsec: u64| {
            let fraction = Duration::from_nanos(nsec);
            if sec >= 0 {
                SystemTime::UNIX_EPOCH + Duration::from_secs(sec as u64) + fraction
            } else {
                SystemTime::UNIX_EPOCH
            }
        };
        #[expect(
            clippy::unnecessary_cast,
            clippy::useless_conversion,
            reason = "the widths differ by architecture"
        )]
        Self {
            id: FileId { dev: stat.st_dev.into(), ino: stat.st_ino.into() },
            kind: FileType::from_raw_mode(stat.st_mode),
            uid: Uid::new(stat.st_uid),
            mode: stat.st_mode & 0o7777,
            size: stat.st_size as u64,
            changed: time(stat.st_mtime as i64, stat.st_mtime_nsec as u64)
                .max(time(stat.st_ctime as i64, stat.st_ctime_nsec as u64)),
        }
    }
}

impl FileFacts {
    /// Looks at a name without following a link.
    pub fn at(dir: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<Self> {
        rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(Self::from)
    }

    /// Looks at what is open.
    pub fn of(file: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        rustix::fs::fstat(file).map(Self::from)
    }

    /// Whether it is a socket.
    pub fn is_socket(&self) -> bool {
        self.kind == FileType::Socket
    }
}
