//! A socket directory: opened once, checked on the open handle as tmux would check it.

use super::file_id::{FileFacts, FileId};
use super::file_system::{self, FileSystem};
use crate::tmux::paths::{self, Refusal};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Which rule a directory must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// tmux's for a `tmux-UID` directory, ours for any other folder.
    Swept,
    /// None: we only look (`probe -S` goes anywhere).
    LookedAt,
}

/// Why a directory is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryError {
    /// tmux would refuse it, or anybody could swap what stands in it.
    Refused(Refusal),
    /// It cannot be opened or read.
    Unreadable(Errno),
}

/// An open socket directory.
#[derive(Debug)]
pub struct SocketDir {
    fd: OwnedFd,
    path: PathBuf,
    id: FileId,
    owner: u32,
    file_system: FileSystem,
}

impl SocketDir {
    /// Opens `path` for the user `uid`. `Ok(None)`: there is no such directory.
    ///
    /// Links in the parent are resolved, as tmux does (realpath(3)); the last component must be no
    /// link where tmux's own rule holds, and may be one elsewhere.
    pub fn open(path: &Path, uid: u32, rule: Rule) -> Result<Option<Self>, DirectoryError> {
        match Self::open_present(path, uid, rule) {
            Err(DirectoryError::Unreadable(Errno::NOENT)) => Ok(None),
            other => other.map(Some),
        }
    }

    fn open_present(path: &Path, uid: u32, rule: Rule) -> Result<Self, DirectoryError> {
        let unreadable =
            |e: std::io::Error| DirectoryError::Unreadable(Errno::from_io_error(&e).unwrap_or(Errno::IO));
        let own_name = paths::directory_name(uid);
        let is_tmux_dir = path.file_name() == Some(OsStr::new(&own_name));
        let path = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if is_tmux_dir => {
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                parent.canonicalize().map_err(unreadable)?.join(name)
            }
            _ => path.canonicalize().map_err(unreadable)?,
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::open(&path, flags, Mode::empty()) {
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(DirectoryError::Refused(Refusal::NotADirectory));
            }
            other => other.map_err(DirectoryError::Unreadable)?,
        };
        let facts = FileFacts::of(fd.as_fd()).map_err(DirectoryError::Unreadable)?;
        let is_directory = facts.kind == FileType::Directory;
        let refusal = match rule {
            Rule::LookedAt => None,
            Rule::Swept if is_tmux_dir => paths::refuses(is_directory, facts.uid, facts.mode, uid),
            Rule::Swept => paths::refuses_plain(is_directory, facts.uid, facts.mode, uid),
        };
        if let Some(refusal) = refusal {
            return Err(DirectoryError::Refused(refusal));
        }
        let file_system = file_system::of(fd.as_fd()).map_err(DirectoryError::Unreadable)?;
        Ok(Self { fd, path, id: facts.id, owner: facts.uid, file_system })
    }

    /// The path it was opened under, links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its identity: two paths may lead to one directory.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// Its owner.
    pub fn owner(&self) -> u32 {
        self.owner
    }

    /// The file system it lies on.
    pub fn file_system(&self) -> FileSystem {
        self.file_system
    }

    /// The names in it, but `.` and `..`.
    pub fn names(&self) -> Result<Vec<OsString>, Errno> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name.to_vec()));
            }
        }
        Ok(names)
    }

    /// Whether nothing is in it; also if it was removed. One that cannot be read counts as full.
    pub fn is_empty(&self) -> bool {
        match rustix::fs::Dir::read_from(&self.fd) {
            Ok(entries) => entries
                .filter_map(Result::ok)
                .all(|entry| matches!(entry.file_name().to_bytes(), b"." | b"..")),
            Err(errno) => errno == Errno::NOENT,
        }
    }

    /// Looks at a name in it without following a link.
    pub fn look(&self, name: &OsStr) -> Result<FileFacts, Errno> {
        FileFacts::at(self.fd.as_fd(), name)
    }

    /// Holds on to the inode behind a name: while the handle is open its number is not used again,
    /// and connect(2) through it reaches exactly this inode.
    pub fn pin(&self, name: &OsStr) -> Result<(OwnedFd, FileFacts), Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty())?;
        let facts = FileFacts::of(fd.as_fd())?;
        Ok((fd, facts))
    }

    /// Descriptors set aside while many are taken, and given back by dropping them: asking a witness
    /// takes one or two, and a witness that could not be asked makes everything unknown.
    pub fn reserve(&self) -> [Option<OwnedFd>; 2] {
        [self.fd.try_clone().ok(), self.fd.try_clone().ok()]
    }

    /// The full path of a name in it.
    pub fn path_of(&self, name: &OsStr) -> PathBuf {
        let mut path = Vec::with_capacity(self.path.as_os_str().len() + 1 + name.len());
        path.extend_from_slice(self.path.as_os_str().as_bytes());
        if !path.ends_with(b"/") {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        PathBuf::from(OsString::from_vec(path))
    }
}

impl AsFd for SocketDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
