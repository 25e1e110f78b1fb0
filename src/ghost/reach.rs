//! Whether a listening socket can be reached where it was bound, as somebody sees it.

use super::Standing;
use crate::socket::file_id::{FileFacts, FileId};
use crate::socket::file_system::{self, FileSystem};
use crate::socket::kernel_table::KernelTable;
use crate::socket::wire::Role;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A listening socket and the file it is bound to, as the kernel's table has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listener {
    /// The socket's number.
    pub(super) socket: u32,
    /// 32 bits of its file's inode number.
    pub(super) ino: u32,
    /// Its file's device as the kernel writes it.
    pub(super) dev: u32,
    /// The path it was bound to; absolute, with a name at its end.
    pub(super) path: PathBuf,
}

/// What a look at a path gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The socket is there, or under another name beside it, or nothing speaks against it.
    There,
    /// It is not. `Live(None)` until somebody asks who.
    Gone(Standing),
}

/// Looks at paths as one root directory shows them.
#[derive(Debug)]
pub(super) struct View {
    root: Option<OwnedFd>,
    /// Where a socket may stand besides its own directory: bind mounts come and go.
    places: Vec<PathBuf>,
    /// The sockets of directories, each read once.
    beside: HashMap<PathBuf, Option<HashSet<FileId>>>,
}

impl View {
    /// What we see ourselves. A socket that stands in one of `places` is reached, too.
    pub(super) fn ours(places: Vec<PathBuf>) -> Self {
        Self { root: None, places, beside: HashMap::new() }
    }

    /// What a process sees behind its root.
    pub(super) fn behind(root: OwnedFd) -> Self {
        Self { root: Some(root), places: Vec::new(), beside: HashMap::new() }
    }

    /// Whether `listener` can be reached by its path. Not knowing counts as yes.
    pub(super) fn reach(&mut self, table: &KernelTable, listener: &Listener) -> Reach {
        let found = match self.open(&listener.path, OFlags::PATH) {
            Ok(file) => what(table, listener, file.as_fd()),
            Err(Errno::NOENT | Errno::NOTDIR) => self.nothing(&listener.path),
            Err(_) => Reach::There,
        };
        match found {
            Reach::Gone(standing)
                if (standing != Standing::NoDirectory && self.is_beside(listener))
                    || self.is_in_a_place(listener) =>
            {
                Reach::There
            }
            other => other,
        }
    }

    /// The identity of a path's directory.
    pub(super) fn directory_id(&self, path: &Path) -> Option<FileId> {
        let dir = self.open(path.parent()?, OFlags::PATH | OFlags::DIRECTORY).ok()?;
        FileFacts::of(dir.as_fd()).ok().map(|facts| facts.id)
    }

    fn nothing(&self, path: &Path) -> Reach {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Reach::There;
        };
        match self.open(parent, OFlags::PATH | OFlags::DIRECTORY) {
            Err(Errno::NOENT | Errno::NOTDIR) => Reach::Gone(Standing::NoDirectory),
            Err(_) => Reach::There,
            // A link that leads nowhere.
            Ok(dir) => match FileFacts::at(dir.as_fd(), name) {
                Err(Errno::NOENT) => Reach::Gone(Standing::Nothing),
                Err(_) => Reach::There,
                Ok(facts) => Reach::Gone(Standing::Other(facts.kind)),
            },
        }
    }

    /// Whether the socket stands in its directory under another name.
    fn is_beside(&mut self, listener: &Listener) -> bool {
        let Some(parent) = listener.path.parent().map(Path::to_owned) else {
            return true;
        };
        // A directory that cannot be read may hold it.
        self.is_in(&parent, listener).unwrap_or(true)
    }

    fn is_in_a_place(&mut self, listener: &Listener) -> bool {
        let places = self.places.clone();
        places.iter().any(|place| self.is_in(place, listener) == Some(true))
    }

    /// Whether the socket stands in a directory under whatever name. `None`: that cannot be told.
    fn is_in(&mut self, dir: &Path, listener: &Listener) -> Option<bool> {
        let handle = self.open(dir, OFlags::RDONLY | OFlags::DIRECTORY).ok()?;
        let are_true = file_system::has_true_numbers(handle.as_fd());
        let sockets = self.beside.entry(dir.to_owned()).or_insert_with(|| sockets_in(&handle).ok());
        let is_file = |id: &FileId| is_file_of(listener, *id, are_true);
        Some(sockets.as_ref()?.iter().any(is_file))
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        match &self.root {
            None => rustix::fs::open(path, flags, Mode::empty()),
            Some(root) => rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT),
        }
    }
}

/// What an open file means for a listener that was bound there.
fn what(table: &KernelTable, listener: &Listener, file: BorrowedFd<'_>) -> Reach {
    let (Ok(facts), Ok(system)) = (FileFacts::of(file), file_system::of(file)) else {
        return Reach::There;
    };
    if !facts.is_socket() {
        return Reach::Gone(Standing::Other(facts.kind));
    }
    if is_file_of(listener, facts.id, file_system::has_true_numbers(file)) {
        return Reach::There;
    }
    let is_live = table
        .with_inode_of(facts.id)
        .any(|bound| bound.role == Role::Listening && bound.dev == facts.id.kernel_dev());
    match (is_live, system) {
        (true, _) => Reach::Gone(Standing::Live(None)),
        (false, FileSystem::Local { stacked: false }) => Reach::Gone(Standing::Socket),
        // The numbers of a stacked file system prove nothing.
        (false, _) => Reach::There,
    }
}

/// Whether a file is the one that a listener is bound to. Where the devices of stat(2) are not
/// those of the table, the inode number alone speaks for it: a doubt is no ghost.
fn is_file_of(listener: &Listener, id: FileId, are_true: bool) -> bool {
    #[expect(clippy::cast_possible_truncation, reason = "the table has 32 bits of it")]
    let ino = id.ino as u32;
    ino == listener.ino && (id.kernel_dev() == listener.dev || !are_true)
}

fn sockets_in(dir: &OwnedFd) -> Result<HashSet<FileId>, Errno> {
    let mut sockets = HashSet::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if !matches!(entry.file_type(), rustix::fs::FileType::Socket | rustix::fs::FileType::Unknown) {
            continue;
        }
        match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(FileFacts::from) {
            Ok(facts) if facts.is_socket() => {
                sockets.insert(facts.id);
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use crate::socket::kernel_table::TableSource;
    use std::os::unix::net::UnixListener;

    fn listener(table: &KernelTable, path: &Path) -> Listener {
        let bound = table.iter().find(|bound| bound.name == path).unwrap();
        Listener { socket: bound.socket, ino: bound.ino, dev: bound.dev, path: path.to_owned() }
    }

    #[test]
    fn a_socket_is_there_gone_or_beside() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("a");
        let _server = UnixListener::bind(&path).unwrap();
        let mut source = TableSource::open().unwrap();
        let mut table = KernelTable::default();
        source.read(&mut table).unwrap();
        let ghost = listener(&table, &path);
        let reach = |table: &KernelTable| View::ours(Vec::new()).reach(table, &ghost);
        assert_eq!(reach(&table), Reach::There);
        std::fs::rename(&path, folder.join("b")).unwrap();
        assert_eq!(reach(&table), Reach::There, "renamed, it still answers");
        std::os::unix::fs::symlink("b", &path).unwrap();
        assert_eq!(reach(&table), Reach::There, "a link leads to it");
        std::fs::remove_file(folder.join("b")).unwrap();
        assert_eq!(reach(&table), Reach::Gone(Standing::Other(rustix::fs::FileType::Symlink)));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(reach(&table), Reach::Gone(Standing::Nothing));
        let rival = UnixListener::bind(&path).unwrap();
        let mut later = KernelTable::default();
        source.read(&mut later).unwrap();
        assert_eq!(reach(&later), Reach::Gone(Standing::Live(None)));
        drop(rival);
        source.read(&mut later).unwrap();
        assert_eq!(reach(&later), Reach::Gone(Standing::Socket));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(reach(&later), Reach::Gone(Standing::NoDirectory));
    }
}
