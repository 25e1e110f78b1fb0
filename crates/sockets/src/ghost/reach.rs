//! Whether a listening socket can be reached where it was bound, as somebody sees it.

use crate::judge::Standing;
use crate::kernel::KernelTable;
use crate::kernel::Mounts;
use crate::kernel::Role;
use crate::kernel::SocketNumber;
use crate::kernel::file_system::{self, FileSystem};
use crate::kernel::lack::heeded;
use crate::kernel::{FileFacts, FileId};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A listening socket and the file it is bound to, as the kernel's table has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listener {
    /// The socket's number.
    pub(super) socket: SocketNumber,
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
    /// As the root shows them.
    mounts: Arc<Mounts>,
    /// Where a socket may stand besides its own directory: bind mounts come and go.
    places: Vec<PathBuf>,
    /// The sockets of directories, each read once.
    beside: HashMap<PathBuf, Option<Sockets>>,
}

impl View {
    /// What we see ourselves. A socket that stands in one of `places` is reached, too.
    pub(super) fn ours(places: Vec<PathBuf>, mounts: Arc<Mounts>) -> Self {
        Self { root: None, mounts, places, beside: HashMap::new() }
    }

    /// What a process sees behind its root.
    pub(super) fn behind(root: OwnedFd, mounts: Mounts) -> Self {
        Self { root: Some(root), mounts: Arc::new(mounts), places: Vec::new(), beside: HashMap::new() }
    }

    /// Whether `listener` stands at its very path. Not knowing counts as yes.
    pub(super) fn stands(&self, table: &KernelTable, listener: &Listener) -> Reach {
        match self.open(&listener.path, OFlags::PATH) {
            Ok(file) => what(table, listener, file.as_fd()),
            Err(Errno::NOENT | Errno::NOTDIR) => self.nothing(&listener.path),
            Err(_) => Reach::There,
        }
    }

    /// Whether we may not look at a path.
    pub(super) fn is_barred(&self, path: &Path) -> bool {
        matches!(self.open(path, OFlags::PATH), Err(Errno::ACCESS | Errno::PERM))
    }

    /// Whether `listener` can be reached by its path. Not knowing counts as yes.
    pub(super) fn reach(&mut self, table: &KernelTable, listener: &Listener) -> Reach {
        match self.stands(table, listener) {
            Reach::Gone(standing)
                if (standing != Standing::NoDirectory && self.is_beside(listener))
                    || self.is_in_a_place(listener) =>
            {
                Reach::There
            }
            other => other,
        }
    }

    /// Whether the file at the path is the listener's own. `None`: that cannot be told, or nobody is to wait for it.
    pub(super) fn finds(&self, table: &KernelTable, listener: &Listener) -> Option<bool> {
        let file = match self.open_near(&listener.path) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR) => return Some(false),
            Err(_) => return None,
        };
        let facts = FileFacts::of(file.as_fd()).ok()?;
        if !facts.is_socket() || facts.id.kernel_dev() == listener.dev {
            return Some(facts.is_socket() && is_file_of(listener, facts.id, true));
        }
        // Another device proves nothing on a stacked file system, and an inode number alone not much.
        let is_anothers = table
            .with_inode_of(facts.id)
            .any(|bound| bound.dev == facts.id.kernel_dev() && bound.socket != listener.socket);
        let is_its = is_file_of(listener, facts.id, file_system::has_true_numbers(file.as_fd()));
        Some(is_its && !is_anothers)
    }

    /// Opens a path by which nobody has to be waited for. Behind another root that is known of links only where no
    /// mount there is far.
    fn open_near(&self, path: &Path) -> Result<OwnedFd, Errno> {
        match &self.root {
            Some(root) if self.mounts.has_far() => {
                if !self.mounts.is_near(path) {
                    return Err(Errno::AGAIN);
                }
                let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
                heeded(rustix::fs::openat2(
                    root,
                    path,
                    OFlags::PATH | OFlags::CLOEXEC,
                    Mode::empty(),
                    resolve,
                ))
            }
            Some(root) => {
                let flags = OFlags::PATH | OFlags::CLOEXEC;
                heeded(rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT))
            }
            None => self.open(path, OFlags::PATH),
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

    /// Whether the socket stands in its directory under whatever name. A directory that cannot be read
    /// may hold it.
    fn is_beside(&mut self, listener: &Listener) -> bool {
        let Some(parent) = listener.path.parent() else {
            return true;
        };
        self.is_in(parent, listener).unwrap_or(true)
    }

    /// Whether the socket is seen in its directory.
    pub(super) fn is_seen_beside(&mut self, listener: &Listener) -> bool {
        listener.path.parent().is_some_and(|parent| self.is_in(parent, listener) == Some(true))
    }

    /// Whether the socket is seen at its path, beside it or in one of the places. Not knowing counts as no.
    pub(super) fn is_seen(&mut self, table: &KernelTable, listener: &Listener) -> bool {
        self.finds(table, listener) == Some(true)
            || self.is_seen_beside(listener)
            || self.is_in_a_place(listener)
    }

    fn is_in_a_place(&mut self, listener: &Listener) -> bool {
        let places = self.places.clone();
        places.iter().any(|place| self.is_in(place, listener) == Some(true))
    }

    /// Whether the socket stands in a directory. `None`: that cannot be told.
    fn is_in(&mut self, dir: &Path, listener: &Listener) -> Option<bool> {
        if !self.beside.contains_key(dir) {
            let sockets =
                self.open(dir, OFlags::RDONLY | OFlags::DIRECTORY).and_then(|dir| Sockets::of(&dir)).ok();
            self.beside.insert(dir.to_owned(), sockets);
        }
        let sockets = self.beside.get(dir)?.as_ref()?;
        Some(sockets.inodes.contains(&listener.ino) && sockets.device.is_none_or(|dev| dev == listener.dev))
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        match &self.root {
            // What may not answer is not asked, and so not known.
            None if !self.mounts.lets_look_at(path) => Err(Errno::AGAIN),
            Some(_) if !self.mounts.is_near(path) => Err(Errno::AGAIN),
            None => heeded(rustix::fs::open(path, flags, Mode::empty())),
            Some(root) => {
                heeded(rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT))
            }
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

/// The sockets in a directory.
#[derive(Debug)]
struct Sockets {
    /// Where the table shows the same.
    device: Option<u32>,
    /// 32 bits of their inode numbers.
    inodes: HashSet<u32>,
}

impl Sockets {
    #[expect(clippy::cast_possible_truncation, reason = "the table has 32 bits of it")]
    fn of(dir: &OwnedFd) -> Result<Self, Errno> {
        let are_true = file_system::has_true_numbers(dir.as_fd());
        let device = FileFacts::of(dir.as_fd())?.id.kernel_dev();
        let mut inodes = HashSet::new();
        for entry in heeded(rustix::fs::Dir::read_from(dir))? {
            let entry = entry?;
            let is_sure = are_true && entry.file_type() == FileType::Socket;
            if is_sure {
                inodes.insert(entry.ino() as u32);
            } else if matches!(entry.file_type(), FileType::Socket | FileType::Unknown) {
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                match FileFacts::at(dir.as_fd(), name) {
                    Ok(facts) if facts.is_socket() => {
                        inodes.insert(facts.id.ino as u32);
                    }
                    Ok(_) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(errno),
                }
            }
        }
        Ok(Self { device: are_true.then_some(device), inodes })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use crate::kernel::TableSource;
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
        let reach = |table: &KernelTable| View::ours(Vec::new(), Mounts::read()).reach(table, &ghost);
        assert_eq!(reach(&table), Reach::There);
        std::fs::rename(&path, folder.join("b")).unwrap();
        assert_eq!(reach(&table), Reach::There, "renamed, it still answers");
        std::os::unix::fs::symlink("b", &path).unwrap();
        assert_eq!(reach(&table), Reach::There, "a link leads to it");
        std::fs::remove_file(folder.join("b")).unwrap();
        assert_eq!(reach(&table), Reach::Gone(Standing::Other(FileType::Symlink)));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(reach(&table), Reach::Gone(Standing::Nothing));
        let rival = UnixListener::bind(&path).unwrap();
        let mut later = KernelTable::default();
        source.read(&mut later).unwrap();
        assert_eq!(reach(&later), Reach::Gone(Standing::Live(None)));
        drop(rival);
        // A child of another test, between fork and exec, may hold it a moment longer.
        let begun = std::time::Instant::now();
        while reach(&later) == Reach::Gone(Standing::Live(None)) && begun.elapsed().as_secs() < 60 {
            source.read(&mut later).unwrap();
        }
        assert_eq!(reach(&later), Reach::Gone(Standing::Socket));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(reach(&later), Reach::Gone(Standing::NoDirectory));
    }
}
