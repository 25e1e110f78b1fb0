//! A folder that others can write: no socket directory, and often named in place of one that is in it.

use super::DirectoryError;
use super::paths::Refusal;
use crate::kernel::as_data;
use crate::kernel::escape::shell_word;
use crate::kernel::{FileFacts, Label, Uid};
use crate::tmux::paths;
use rustix::fs::{FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How many names are looked at, and how many sockets are told. Anybody can make any number of names there.
const LOOKED_AT: usize = 10_000;
const TOLD: usize = 3;

/// Such a folder, and what of a user's is in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shared {
    /// Where it is.
    #[serde(with = "as_data::path")]
    pub folder: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// Whether it is the user's own and meant for nobody else. Often it is nobody's intention: a umask of 002, where each
    /// user's group is that user's alone.
    pub is_slip: bool,
    /// The name of the folder in it that tmux would use.
    pub own: Option<Label>,
    /// The user's own sockets in it, in the order of their names.
    pub sockets: Vec<Label>,
}

impl Shared {
    /// Looks into a folder of this mode; what cannot be looked at is not told.
    pub fn look(folder: &Path, mode: u32, user: Uid) -> Self {
        let (own, sockets) = contents(folder, user);
        let is_own = rustix::fs::stat(folder).is_ok_and(|stat| FileFacts::from(stat).uid == user);
        let is_slip = is_own && !is_for_others(folder, user);
        Self { folder: folder.to_owned(), mode, is_slip, own, sockets }
    }
}

/// The folder in it that tmux would use, and sockets, all of the user's own.
fn contents(folder: &Path, user: Uid) -> (Option<Label>, Vec<Label>) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(dir) = rustix::fs::open(folder, flags, Mode::empty()) else {
        return (None, Vec::new());
    };
    let is_own = |name: &OsStr| FileFacts::at(dir.as_fd(), name).ok().filter(|facts| facts.uid == user);
    let own = Label::new(paths::directory_name(user))
        .filter(|name| is_own(name).is_some_and(|facts| facts.kind == FileType::Directory));
    let names = rustix::fs::Dir::read_from(&dir).into_iter().flatten().filter_map(Result::ok);
    let mut sockets: Vec<Label> = names
        .take(LOOKED_AT)
        .filter(|entry| matches!(entry.file_type(), FileType::Socket | FileType::Unknown))
        .filter_map(|entry| Label::new(OsStr::from_bytes(entry.file_name().to_bytes())))
        .filter(|name| is_own(name).is_some_and(|facts| facts.is_socket()))
        .collect();
    sockets.sort_unstable();
    sockets.truncate(TOLD);
    (own, sockets)
}

/// Whether a folder is meant for others too, as `/tmp` and a group's are: its mode is right. Sticky, with a group that is
/// handed down, or with something of somebody else in it.
pub fn is_for_others(path: &Path, user: Uid) -> bool {
    let is_others = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.and_then(|entry| entry.metadata()).is_ok_and(|about| about.uid() != user.raw())
    };
    std::fs::metadata(path).is_ok_and(|about| about.mode() & 0o3000 != 0)
        || std::fs::read_dir(path).is_ok_and(|entries| entries.take(LOOKED_AT).any(is_others))
}

/// What takes the others' right to write from a folder of this mode: an argument of chmod(1).
pub fn close(mode: u32) -> &'static str {
    match mode & 0o022 {
        0o020 => "g-w",
        0o002 => "o-w",
        _ => "go-w",
    }
}

impl Display for Shared {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { folder, mode, is_slip, own, sockets: _ } = self;
        DirectoryError::Refused(Refusal::WritableByOthers(*mode)).fmt(f)?;
        if *is_slip {
            let (closing, word) = (close(*mode), shell_word(folder));
            write!(f, "; `chmod {closing} {word}` mends it")?;
        }
        if let Some(own) = own {
            write!(f, "; tmux's own folder in it is {}", shell_word(&folder.join(own)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_is_the_users_own_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let user = Uid::ours();
        assert_eq!(contents(folder.path(), user), (None, Vec::new()));
        for name in ["d", "c", "b", "a"] {
            drop(UnixListener::bind(folder.path().join(name)).unwrap());
        }
        std::fs::write(folder.path().join("0"), "").unwrap();
        let own = Label::new(paths::directory_name(user));
        std::fs::create_dir(folder.path().join(own.as_ref().unwrap())).unwrap();
        let sockets = ["a", "b", "c"].map(|name| Label::new(name).unwrap()).to_vec();
        assert_eq!(contents(folder.path(), user), (own, sockets));
        let others = contents(folder.path(), Uid::new(user.raw() + 1));
        assert_eq!(others, (None, Vec::new()), "nothing of it is another's");
    }
}
