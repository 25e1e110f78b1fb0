//! A folder that others can write: no socket directory, and often named in place of one that is in it.

use super::DirectoryError;
use super::paths::Refusal;
use crate::kernel::FileFacts;
use crate::kernel::Uid;
use crate::kernel::escape;
use crate::tmux::paths;
use rustix::fs::{FileType, Mode, OFlags};
use std::ffi::OsStr;
use std::fmt::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
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
pub fn look(folder: &Path, user: Uid) -> Shared {
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

/// What is to be said of a directory that is left alone. Where others can write it, it was named in place of
/// something that is in it.
pub fn refused_directory(path: &Path, error: DirectoryError, user: Uid) -> String {
    let DirectoryError::Refused(Refusal::WritableByOthers(mode)) = error else {
        return error.to_string();
    };
    let Shared { own, sockets } = look(path, user);
    let mut text = error.to_string();
    // Often it is nobody's intention: a umask of 002, where each user's group is that user's alone.
    let is_own = rustix::fs::stat(path).is_ok_and(|stat| FileFacts::from(stat).uid == user);
    if is_own && !is_for_others(path, user) {
        let (closing, word) = (close(mode), escape::shell_word(path));
        let _ = write!(text, "; `chmod {closing} {word}` mends it");
    }
    if let Some(own) = own {
        text.push_str("; tmux's own folder in it is ");
        text.push_str(&escape::shell_word(&own));
    }
    let calls: Vec<String> =
        sockets.iter().map(|path| format!("`tmux-janitor sweep -S {}`", escape::shell_word(path))).collect();
    if !calls.is_empty() {
        let calls = calls.join(", ");
        return format!("{text}; of single sockets of yours in it, {calls} removes one that is dead");
    }
    text
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
        assert_eq!(look(folder.path(), user), Shared::default());
        for name in ["d", "c", "b", "a"] {
            drop(UnixListener::bind(folder.path().join(name)).unwrap());
        }
        std::fs::write(folder.path().join("0"), "").unwrap();
        let own = folder.path().join(paths::directory_name(user));
        std::fs::create_dir(&own).unwrap();
        let sockets = ["a", "b", "c"].map(|name| folder.path().join(name)).to_vec();
        assert_eq!(look(folder.path(), user), Shared { own: Some(own), sockets });
        assert_eq!(
            look(folder.path(), Uid::new(user.raw() + 1)),
            Shared::default(),
            "nothing of it is another's"
        );
    }
}
