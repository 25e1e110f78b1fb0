//! The folders that a pattern of the configuration matches now.
//!
//! In a folder such as `/tmp` everybody makes names, also such as match. So no link is followed below the pattern's first
//! glob, each step is made through the handle of the one above it, and what comes out belongs to the user.

use crate::config::{FolderGlob, Part, matches};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::{FileFacts, Mounts, Uid, Walk};
use tmux_sockets::report::{Mismatch, Remark, Unfollowed, Why};

/// How many folders of one pattern are taken.
const MOST: usize = 256;

/// How many folders of the user's and root's are gone into or taken. What others make in `/tmp` does not count, or they could
/// keep us from the user's own.
const LOOKED_AT: usize = 65_536;

/// How many of those that are skipped are told of one by one.
const TOLD: usize = 16;

/// What a pattern comes to.
#[derive(Debug, Default)]
pub(super) struct Expansion {
    /// The user's own folders, links resolved, in the order of their paths.
    pub(super) folders: Vec<PathBuf>,
    /// What matches and is no folder of the user's.
    pub(super) skipped: Vec<Remark>,
    /// How many more of them there are.
    pub(super) more_skipped: usize,
    /// What was not looked at.
    pub(super) unseen: Option<Remark>,
}

/// Looks for the folders of `user` that a pattern matches.
pub(super) fn expand(glob: &FolderGlob, user: Uid, mounts: &Mounts) -> Expansion {
    let mut search = FolderSearch { user, mounts, left: LOOKED_AT, found: Expansion::default() };
    let unseen = |why| Some(Remark { path: PathBuf::from(glob.text()), why: Why::Pattern(why) });
    let prefix = match mounts.walk(glob.prefix()) {
        Walk::Near(prefix) => prefix,
        Walk::Far(_) => {
            return Expansion { unseen: unseen(Unfollowed::Far), ..Expansion::default() };
        }
        Walk::Broken(errno) => return none(errno, unseen),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, &prefix, flags, Mode::empty()) {
        Ok(dir) => search.go_through(&dir, &prefix, glob.parts()),
        Err(errno) => return none(errno, unseen),
    }
    let FolderSearch { left, mut found, .. } = search;
    found.folders.sort_unstable();
    if left == 0 {
        found.unseen = unseen(Unfollowed::TooWide(LOOKED_AT));
    }
    if found.folders.len() > MOST {
        found.unseen = unseen(Unfollowed::TooMany { matches: found.folders.len(), most: MOST });
        found.folders.truncate(MOST);
    }
    found
}

fn none(errno: Errno, unseen: impl Fn(Unfollowed) -> Option<Remark>) -> Expansion {
    let is_missing = matches!(errno, Errno::NOENT | Errno::NOTDIR);
    let unseen = if is_missing { None } else { unseen(Unfollowed::Unreadable(errno)) };
    Expansion { unseen, ..Expansion::default() }
}

struct FolderSearch<'a> {
    user: Uid,
    mounts: &'a Mounts,
    /// How many names may still be looked at.
    left: usize,
    found: Expansion,
}

impl FolderSearch<'_> {
    /// Goes on from a folder that is open.
    fn go_through(&mut self, dir: &OwnedFd, path: &Path, parts: &[Part]) {
        let Some((part, rest)) = parts.split_first() else { return };
        match part {
            Part::Name(name) => self.go_on(dir, name, path.join(name), rest),
            Part::Any(glob) => {
                let entries = rustix::fs::Dir::read_from(dir).into_iter().flatten().filter_map(Result::ok);
                for entry in entries {
                    let name = OsStr::from_bytes(entry.file_name().to_bytes());
                    if self.left == 0 {
                        return;
                    }
                    if !matches!(name.as_bytes(), b"." | b"..") && matches(glob, name) {
                        self.go_on(dir, name, path.join(name), rest);
                    }
                }
            }
        }
    }

    fn go_on(&mut self, dir: &OwnedFd, name: &OsStr, path: PathBuf, rest: &[Part]) {
        if !self.mounts.is_near(&path) {
            self.skip(path, Mismatch::Far);
        } else if rest.is_empty() {
            self.take(dir, name, path);
        } else if let Some(below) = self.enter(dir, name, &path, rest) {
            self.left = self.left.saturating_sub(1);
            self.go_through(&below, &path, rest);
        }
    }

    /// A folder on the way: the user's or root's, for anybody else could put another one in its place.
    fn enter(&mut self, dir: &OwnedFd, name: &OsStr, path: &Path, rest: &[Part]) -> Option<OwnedFd> {
        let access = if matches!(rest.first(), Some(Part::Any(_))) { OFlags::RDONLY } else { OFlags::PATH };
        let flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(below) = rustix::fs::openat(dir, name, flags, Mode::empty()) else {
            if FileFacts::at(dir.as_fd(), name).is_ok_and(|facts| facts.kind == FileType::Symlink) {
                self.skip(path.to_owned(), Mismatch::Kind(FileType::Symlink));
            }
            return None;
        };
        let owner = FileFacts::of(below.as_fd()).ok()?.uid;
        [self.user, Uid::ROOT].contains(&owner).then_some(below)
    }

    /// A whole match.
    fn take(&mut self, dir: &OwnedFd, name: &OsStr, path: PathBuf) {
        match FileFacts::at(dir.as_fd(), name) {
            Err(Errno::NOENT) => {}
            Err(errno) => self.skip(path, Mismatch::Unseen(errno)),
            Ok(facts) if facts.kind != FileType::Directory => self.skip(path, Mismatch::Kind(facts.kind)),
            Ok(facts) if facts.uid != self.user => self.skip(path, Mismatch::Owner(facts.uid)),
            Ok(_) => {
                self.left = self.left.saturating_sub(1);
                self.found.folders.push(path);
            }
        }
    }

    fn skip(&mut self, path: PathBuf, why: Mismatch) {
        if self.found.skipped.len() < TOLD {
            self.found.skipped.push(Remark { path, why: Why::Match(why) });
        } else {
            self.found.more_skipped += 1;
        }
    }
}
