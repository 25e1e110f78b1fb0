//! A socket directory: opened once, checked on the open handle as tmux would check it.

use crate::kernel::Label;
use crate::kernel::Uid;
use crate::kernel::file_system::{self, FileSystem};
use crate::kernel::{FileFacts, FileId};
use crate::kernel::{Mounts, Walk};
use crate::tmux::paths::{self, Refusal, Rule};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// `S_ISVTX` of inode(7).
const STICKY: u32 = 0o1000;

/// Which rule a directory must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// tmux's for a `tmux-UID` directory, ours for any other folder.
    Swept,
    /// The same, and for sockets that were named one by one also a folder of root's that everybody may write and
    /// that is sticky: there nobody but its owner and root can move or remove a name (unlink(2): `EPERM`).
    Named,
    /// That of [`Strictness::Swept`], and for a path that a pattern has matched: links in it lead nowhere, and whatever is not
    /// the user's own counts as missing. Whoever can make names there does not choose where we go.
    Matched,
    /// That of [`Strictness::Swept`], for a folder in which something else than tmux would have its sockets: what is not the
    /// user's own counts as missing. It stands in nobody's way, and whoever made it has no say.
    Kin,
    /// None: we only look (`probe -S` goes anywhere).
    LookedAt,
}

impl Strictness {
    /// Whether a path that `uid` may not go to counts as missing, for what shuts it is somebody else's.
    fn passes_over(self, path: &Path, uid: Uid) -> bool {
        let is_anothers = |path: &Path| Some(FileFacts::from(rustix::fs::lstat(path).ok()?).uid != uid);
        match self {
            Self::Kin => is_anothers(path) == Some(true),
            // The last step that can be looked at is the one that shuts.
            Self::Matched => path.ancestors().find_map(is_anothers) == Some(true),
            Self::Swept | Self::Named | Self::LookedAt => false,
        }
    }
}

/// Why a directory is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DirectoryError {
    /// tmux would refuse it, or anybody could swap what stands in it.
    Refused(Refusal),
    /// It cannot be opened or read.
    Unreadable(#[serde(with = "crate::kernel::as_data::errno")] Errno),
    /// It lies on a mount that may not answer: a child has to go there ([`crate::sweep::Far`]).
    Far,
}

/// What a directory's path comes to: links in the parent are resolved, as tmux does (realpath(3)), and the last
/// component only where tmux's own rule does not hold.
pub fn whereabouts(path: &Path, uid: Uid, mounts: &Mounts) -> Walk {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if Rule::of(path, uid).forbids_link() => match mounts.walk(parent) {
            Walk::Near(parent) if mounts.is_near(&parent.join(name)) => Walk::Near(parent.join(name)),
            Walk::Near(parent) | Walk::Far(parent) => Walk::Far(parent.join(name)),
            Walk::Broken(errno) => Walk::Broken(errno),
        },
        _ => mounts.walk(path),
    }
}

/// Whether `path` leads to logind's runtime directory of the user, or through it, at a moment at which that is not the user's:
/// it is made as root's, 0700, before a file system of the user's is mounted on it, and is root's again between the unmount and
/// its removal (systemd: `user-runtime-dir.c`). Nothing of the user's is there then.
pub fn is_in_the_making(path: &Path, uid: Uid) -> bool {
    let runtime_dir = paths::runtime_dir(uid);
    path.starts_with(&runtime_dir)
        && match rustix::fs::lstat(&runtime_dir) {
            Ok(stat) => FileFacts::from(stat).uid != uid,
            // It has gone by now.
            Err(errno) => errno == Errno::NOENT,
        }
}

/// An open socket directory.
#[derive(Debug)]
pub struct SocketDir {
    fd: OwnedFd,
    path: PathBuf,
    id: FileId,
    owner: Uid,
    file_system: FileSystem,
    shared: bool,
}

impl SocketDir {
    /// Opens `path` for the user `uid`. `Ok(None)`: there is no such directory.
    ///
    /// Links in the parent are resolved, as tmux does (realpath(3)); the last component must be no
    /// link where tmux's own rule holds, and may be one elsewhere.
    pub fn open(path: &Path, uid: Uid, rule: Strictness) -> Result<Option<Self>, DirectoryError> {
        let opened = match Self::open_present(path, uid, rule) {
            Err(DirectoryError::Unreadable(Errno::ACCESS)) if is_in_the_making(path, uid) => return Ok(None),
            // It belongs to the user by now.
            Err(DirectoryError::Unreadable(Errno::ACCESS)) => Self::open_present(path, uid, rule),
            other => other,
        };
        match opened {
            Err(DirectoryError::Unreadable(Errno::NOENT)) => Ok(None),
            Err(DirectoryError::Refused(Refusal::NotADirectory | Refusal::Owner(_)))
                if matches!(rule, Strictness::Matched | Strictness::Kin) =>
            {
                Ok(None)
            }
            Err(DirectoryError::Unreadable(Errno::ACCESS)) if rule.passes_over(path, uid) => Ok(None),
            other => other.map(Some),
        }
    }

    fn open_present(path: &Path, uid: Uid, rule: Strictness) -> Result<Self, DirectoryError> {
        let unreadable =
            |e: std::io::Error| DirectoryError::Unreadable(Errno::from_io_error(&e).unwrap_or(Errno::IO));
        if matches!(whereabouts(path, uid, &Mounts::read()), Walk::Far(_)) {
            return Err(DirectoryError::Far);
        }
        let kind = Rule::of(path, uid);
        let path = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if kind.forbids_link() && rule != Strictness::Matched => {
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                parent.canonicalize().map_err(unreadable)?.join(name)
            }
            _ if rule == Strictness::Matched => path.to_owned(),
            _ => path.canonicalize().map_err(unreadable)?,
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = if rule == Strictness::Matched {
            open_without_links(&path, flags)
        } else {
            rustix::fs::open(&path, flags, Mode::empty())
        };
        let fd = match opened {
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(DirectoryError::Refused(Refusal::NotADirectory));
            }
            other => other.map_err(DirectoryError::Unreadable)?,
        };
        let facts = FileFacts::of(fd.as_fd()).map_err(DirectoryError::Unreadable)?;
        let is_directory = facts.kind == FileType::Directory;
        let refusal = match rule {
            Strictness::LookedAt => None,
            Strictness::Matched if facts.uid != uid => Some(Refusal::Owner(facts.uid)),
            Strictness::Swept | Strictness::Named | Strictness::Matched | Strictness::Kin => {
                kind.refuses(is_directory, facts.uid, facts.mode, uid)
            }
        };
        let is_sticky = facts.uid == Uid::ROOT && facts.mode & STICKY != 0;
        let shared = match refusal {
            None => false,
            Some(Refusal::WritableByOthers(_)) if rule == Strictness::Named && is_sticky => true,
            Some(refusal) => return Err(DirectoryError::Refused(refusal)),
        };
        let file_system = file_system::of(fd.as_fd()).map_err(DirectoryError::Unreadable)?;
        Ok(Self { fd, path, id: facts.id, owner: facts.uid, file_system, shared })
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
    pub fn owner(&self) -> Uid {
        self.owner
    }

    /// Whether everybody may make names in it: a free one is anybody's.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// The file system it lies on.
    pub fn file_system(&self) -> FileSystem {
        self.file_system
    }

    /// Whether its file system can hold no file more: it counts its inodes, and none is left (statvfs(3)).
    pub fn has_no_inode(&self) -> bool {
        rustix::fs::fstatvfs(self).is_ok_and(|facts| facts.f_files > 0 && facts.f_favail == 0)
    }

    /// The names in it, but `.` and `..`.
    pub fn names(&self) -> Result<Vec<Label>, Errno> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let entry = entry?;
            // All but `.` and `..`.
            names.extend(Label::new(OsString::from_vec(entry.file_name().to_bytes().to_vec())));
        }
        Ok(names)
    }

    /// Whether nothing is in it; also if it was removed. One that cannot be read counts as full.
    pub fn is_empty(&self) -> bool {
        match rustix::fs::Dir::read_from(&self.fd) {
            Ok(entries) => entries
                .filter_map(Result::ok)
                .all(|entry| matches!(entry.file_name().to_bytes(), b"." | b"..")),
            Err(_) => false,
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

/// Opens a path in which no component may be a link (openat2(2)); where that call is not to be had, the last one.
fn open_without_links(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    match rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        // Before Linux 5.6, and under a filter that does not know it.
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::open(path, flags, Mode::empty()),
        other => other,
    }
}

impl AsFd for SocketDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

    fn me() -> Uid {
        Uid::ours()
    }

    /// A folder of sockets, 0700, in a folder of its own.
    fn folder(name: &str) -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().canonicalize().unwrap().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        (parent, path)
    }

    fn open(path: &Path) -> SocketDir {
        SocketDir::open(path, me(), Strictness::Swept).unwrap().unwrap()
    }

    #[test]
    fn what_is_no_directory_is_refused_without_waiting_for_it() {
        let (_parent, path) = folder("d");
        let refused = Err(DirectoryError::Refused(Refusal::NotADirectory));
        fs::write(path.join("file"), "").unwrap();
        // Whoever opens a FIFO to read waits for a writer.
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path.join("fifo"), FileType::Fifo, mode, 0).unwrap();
        for name in ["file", "fifo"] {
            let opened = SocketDir::open(&path.join(name), me(), Strictness::Swept);
            assert_eq!(opened.map(|dir| dir.is_some()), refused, "{name}");
        }
        assert_eq!(
            SocketDir::open(&path.join("nothing"), me(), Strictness::Swept).map(|dir| dir.is_some()),
            Ok(false)
        );
    }

    #[test]
    fn no_link_leads_to_what_a_pattern_has_matched() {
        let (_parent, real) = folder("real");
        let below = real.join("below");
        fs::create_dir(&below).unwrap();
        fs::set_permissions(&below, fs::Permissions::from_mode(0o700)).unwrap();
        let link = real.with_file_name("link");
        symlink(&real, &link).unwrap();
        let opened = |path: &Path| SocketDir::open(path, me(), Strictness::Matched).map(|dir| dir.is_some());
        assert_eq!([&real, &below].map(|path| opened(path)), [Ok(true), Ok(true)]);
        assert_eq!([&link, &link.join("below")].map(|path| opened(path)), [Ok(false), Ok(false)]);
        assert!(open(&link.join("below")).path() == below, "elsewhere it is followed");
        // Root's is enough for other folders, and not here.
        assert_eq!(
            SocketDir::open(Path::new("/"), Uid::new(5), Strictness::Matched).map(|dir| dir.is_some()),
            Ok(false)
        );
        assert!(
            SocketDir::open(Path::new("/"), Uid::new(5), Strictness::Swept).is_ok_and(|dir| dir.is_some())
        );
    }

    #[test]
    fn a_link_is_followed_but_in_tmuxs_own_place() {
        let own = paths::directory_name(me());
        let (_parent, real) = folder("real");
        let link = real.with_file_name("link");
        symlink(&real, &link).unwrap();
        assert_eq!(open(&link).path(), real);
        let own = real.with_file_name(own);
        symlink(&real, &own).unwrap();
        let opened = SocketDir::open(&own, me(), Strictness::Swept);
        assert_eq!(opened.map(drop), Err(DirectoryError::Refused(Refusal::NotADirectory)));
    }

    #[test]
    fn it_says_whose_it_is_and_what_is_in_it() {
        let (_parent, path) = folder("d");
        fs::write(path.join("x"), "").unwrap();
        symlink("x", path.join("link")).unwrap();
        let dir = open(&path);
        let mut names = dir.names().unwrap();
        names.sort();
        assert_eq!(names, ["link", "x"]);
        assert!(!dir.is_empty());
        let stat = fs::metadata(&path).unwrap();
        assert_eq!(
            (dir.owner(), dir.id()),
            (Uid::new(stat.uid()), FileId { dev: stat.dev(), ino: stat.ino() })
        );
        assert_eq!(dir.path_of(OsStr::new("x")), path.join("x"));
        // Neither a look nor a handle goes through a link.
        assert_eq!(dir.look(OsStr::new("link")).unwrap().kind, FileType::Symlink);
        let (_handle, facts) = dir.pin(OsStr::new("link")).unwrap();
        assert_eq!((facts.kind, facts.id), (FileType::Symlink, dir.look(OsStr::new("link")).unwrap().id));
        if me() == Uid::ROOT {
            chown(&path, Some(12345), None).unwrap();
            assert_eq!(
                SocketDir::open(&path, Uid::ROOT, Strictness::LookedAt).unwrap().unwrap().owner(),
                Uid::new(12345)
            );
        }
        fs::remove_dir_all(&path).unwrap();
        assert!(dir.is_empty(), "nothing is in a directory that is gone");
        let root = SocketDir::open(Path::new("/"), me(), Strictness::LookedAt).unwrap().unwrap();
        assert_eq!(root.path_of(OsStr::new("x")), Path::new("/x"));
    }
}
