//! A folder that others can write: no socket directory, and often named in place of one that is in it.

use super::file_id::FileFacts;
use crate::tmux::paths;
use rustix::fs::{FileType, Mode, OFlags};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many names are looked at, and how many sockets are told. Anybody can make any number of names there.
const LOOKED_AT: usize = 10_000;
const TOLD: usize = 3;

/// What of a user's is in such a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared {
    /// The folder that tmux would use.
    pub own: Option<PathBuf>,
    /// Sockets of the user's own, in the order of their names.
    pub sockets: Vec<PathBuf>,
}

/// Looks into the folder; what cannot be looked at is not told.
pub fn look(folder: &Path, user: u32) -> Shared {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(dir) = rustix::fs::open(folder, flags, Mode::empty()) else {
        return Shared::default();
    };
    let own_name = paths::directory_name(user);
    let is_own = |name: &OsStr| FileFacts::at(dir.as_fd(), name).ok().filter(|facts| facts.uid == user);
    let own = is_own(OsStr::new(&own_name)).filter(|facts| facts.kind == FileType::Directory);
    let names = rustix::fs::Dir::read_from(&dir).into_iter().flatten().filter_map(Result::ok);
    let mut sockets: Vec<PathBuf> = names
        .take(LOOKED_AT)
        .filter(|entry| matches!(entry.file_type(), FileType::Socket | FileType::Unknown))
        .map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned())
        .filter(|name| is_own(name).is_some_and(|facts| facts.is_socket()))
        .map(|name| folder.join(name))
        .collect();
    sockets.sort_unstable();
    sockets.truncate(TOLD);
    Shared { own: own.map(|_| folder.join(own_name)), sockets }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_is_the_users_own_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let user = rustix::process::getuid().as_raw();
        assert_eq!(look(folder.path(), user), Shared::default());
        for name in ["d", "c", "b", "a"] {
            drop(UnixListener::bind(folder.path().join(name)).unwrap());
        }
        std::fs::write(folder.path().join("0"), "").unwrap();
        let own = folder.path().join(paths::directory_name(user));
        std::fs::create_dir(&own).unwrap();
        let sockets = ["a", "b", "c"].map(|name| folder.path().join(name)).to_vec();
        assert_eq!(look(folder.path(), user), Shared { own: Some(own), sockets });
        assert_eq!(look(folder.path(), user + 1), Shared::default(), "nothing of it is another's");
    }
}
