//! The socket directories: those that are there, those that may come, and what becomes of them.
//!
//! A directory that is there is watched itself. For one that is missing, the nearest directory above
//! it is watched until it comes, and only so long: everybody makes files in `/tmp`. So for one that may not be read. For a `tmate-UID` nobody waits there.

use super::births::{Births, Hint, Unwatched, WatchRole};
use super::engine::{Dir, Name};
use super::shield::Shield;
use crate::view::events::FollowedBy;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};
use tmux_sockets::kernel::Label;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::{FileFacts, FileId};
use tmux_sockets::sweep::Target;
use tmux_sockets::tmux::paths::{self, Rule};
use tmux_sockets::tmux::{DirectoryError, SocketDir, Strictness, is_in_the_making};

/// How often a missing directory is looked for while it comes into being under our eyes.
const LOOKS: usize = 16;

/// Which directory it is: inode numbers are used again, numbers of watches are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    file: FileId,
    watch: Option<i32>,
}

/// What a missing directory waits for: the topmost name of its path that is not there, and the watch of where it will be.
#[derive(Debug, PartialEq, Eq)]
struct Awaited {
    name: OsString,
    watch: Option<i32>,
}

#[derive(Debug)]
struct Present {
    id: Identity,
    shield: Shield,
}

/// The directories of the watch.
#[derive(Debug)]
pub(super) struct Directories {
    user: Uid,
    /// All that there ever were: a [`Dir`] is an index.
    paths: Vec<PathBuf>,
    /// Under which rule each is opened.
    rules: Vec<Strictness>,
    /// Those that are ours to watch now.
    wanted: Vec<Dir>,
    present: BTreeMap<Dir, Present>,
    /// Under which path each was last found.
    resolved: BTreeMap<Dir, PathBuf>,
    /// What each that is missing waits for.
    awaited: BTreeMap<Dir, Awaited>,
    births: Births,
    followed_by: FollowedBy,
}

/// What has become of the directories.
#[derive(Debug, Default)]
pub(super) struct DirectoryChanges {
    /// These have come, gone, or been replaced.
    pub(super) changed: Vec<Dir>,
    /// Why some are not watched.
    pub(super) unwatched: Option<Unwatched>,
    /// The folder above one that is missing has come back: what lives without it can have its own again.
    pub(super) has_parent_back: bool,
    /// One that lies where a look may never end.
    pub(super) far: Option<PathBuf>,
}

impl Directories {
    /// None yet.
    pub(super) fn new(user: Uid) -> Self {
        Self {
            user,
            paths: Vec::new(),
            rules: Vec::new(),
            wanted: Vec::new(),
            present: BTreeMap::new(),
            resolved: BTreeMap::new(),
            awaited: BTreeMap::new(),
            births: Births::default(),
            followed_by: FollowedBy::Rescan,
        }
    }

    /// Sets which directories are ours to watch. Those that are not any more.
    pub(super) fn set(&mut self, targets: Vec<Target>) -> Vec<Dir> {
        let before = std::mem::take(&mut self.wanted);
        for Target { path, rule, .. } in targets {
            let at = self.paths.iter().position(|known| *known == path).unwrap_or_else(|| {
                self.paths.push(path);
                self.rules.push(rule);
                self.paths.len() - 1
            });
            self.rules[at] = rule;
            self.wanted.push(Dir(at));
        }
        before.into_iter().filter(|dir| !self.wanted.contains(dir)).collect()
    }

    /// The path of a directory, as it was asked for.
    pub(super) fn path(&self, dir: Dir) -> &Path {
        self.paths.get(dir.0).map_or(Path::new(""), PathBuf::as_path)
    }

    /// The rule that a directory must pass.
    pub(super) fn rule(&self, dir: Dir) -> Strictness {
        self.rules.get(dir.0).copied().unwrap_or(Strictness::Swept)
    }

    /// The paths of those where sockets are looked for.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.wanted().iter().map(|dir| self.path(*dir).to_owned()).collect()
    }

    /// The path of a name in a directory, links in the directory's path resolved.
    pub(super) fn full_path(&self, name: &Name) -> PathBuf {
        let resolved = self.resolved.get(&name.dir);
        resolved.map_or_else(|| self.path(name.dir), PathBuf::as_path).join(&name.label)
    }

    /// The name in a directory of ours that a path stands for.
    pub(super) fn name_of(&self, path: &Path) -> Option<Name> {
        let (parent, label) = (path.parent()?, Label::new(path.file_name()?)?);
        let names = self.wanted.iter().map(|dir| Name { dir: *dir, label: label.clone() });
        let mut names = names.filter(|name| self.path(name.dir) == parent || self.full_path(name) == path);
        names.next()
    }

    /// Whether a directory is there, and not a second name of another.
    pub(super) fn is_present(&self, dir: Dir) -> bool {
        self.present.contains_key(&dir)
    }

    /// The directories that are ours to watch, there or not.
    pub(super) fn wanted(&self) -> &[Dir] {
        &self.wanted
    }

    /// How many are there.
    pub(super) fn count(&self) -> usize {
        self.present.len()
    }

    /// How births are seen, as of the last [`Self::settle`].
    pub(super) fn followed_by(&self) -> FollowedBy {
        self.followed_by
    }

    /// Ready when inotify has told something.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.births.poll(cx)
    }

    /// Whether [`Self::hints`] has left something.
    pub(super) fn has_more_hints(&self) -> bool {
        self.births.has_more()
    }

    /// What inotify has told.
    pub(super) fn hints(&mut self) -> Vec<Hint> {
        self.births.read()
    }

    /// Opens one that is there.
    pub(super) fn open(&self, dir: Dir) -> Option<SocketDir> {
        SocketDir::open(self.path(dir), self.user, self.rule(dir)).ok().flatten()
    }

    /// Looks at all of them, and watches what there is to watch. `is_haunted`: servers live whose
    /// files in it are gone.
    pub(super) fn settle(&mut self, is_haunted: impl Fn(Dir) -> bool) -> DirectoryChanges {
        let mut settled =
            DirectoryChanges { unwatched: self.births.open().err(), ..DirectoryChanges::default() };
        let before = self.births.begin();
        let mut old = std::mem::take(&mut self.present);
        let mut seen: HashSet<FileId> = HashSet::new();
        let wanted = std::mem::take(&mut self.wanted);
        for dir in &wanted {
            let found = self.find(*dir, is_haunted(*dir), &mut settled);
            // A second name of a directory that we have.
            if found.is_some_and(|id| !seen.insert(id.file)) {
                continue;
            }
            let known = old.remove(dir);
            if known.as_ref().map(|present| present.id) != found {
                settled.changed.push(*dir);
            }
            if let Some(id) = found {
                let known = known.filter(|present| present.id == id);
                let mut present = known.unwrap_or(Present { id, shield: Shield::default() });
                present.shield.forgive();
                self.present.insert(*dir, present);
            }
        }
        settled.changed.extend(old.into_keys().filter(|dir| wanted.contains(dir)));
        self.wanted = wanted;
        self.births.finish(before);
        self.followed_by = if settled.unwatched.is_none() { FollowedBy::Inotify } else { FollowedBy::Rescan };
        settled
    }

    /// Raises or lowers a directory's shield.
    pub(super) fn shield(&mut self, dir: Dir, protect: bool) {
        let (user, rule, path) = (self.user, self.rule(dir), self.paths.get(dir.0));
        if let (Some(present), Some(path)) = (self.present.get_mut(&dir), path) {
            let id = present.id.file;
            if protect {
                present.shield.update(|| {
                    let directory = SocketDir::open(path, user, rule).ok().flatten();
                    directory.filter(|directory| directory.id() == id)
                });
            } else {
                present.shield = Shield::default();
            }
        }
    }

    /// Whether nothing is in a directory, or it is gone.
    pub(super) fn is_empty(&self, dir: Dir) -> bool {
        self.open(dir).is_none_or(|directory| directory.is_empty())
    }

    /// Whether a missing directory is not waited for: one that a pattern matched, or of a program that most people do not have, in a place where everybody
    /// makes files all the time. It would wake us for each of them, for ever.
    fn is_left_to_the_rescan(&self, dir: Dir, parent: &OwnedFd) -> bool {
        if self.rule(dir) == Strictness::Matched {
            return true;
        }
        let path = self.path(dir);
        let tmuxs_own = paths::directory_name(self.user);
        let is_shared = FileFacts::of(parent.as_fd()).is_ok_and(|facts| facts.mode & 0o1000 != 0);
        is_shared && Rule::of(path, self.user) == Rule::Tmux && !path.ends_with(tmuxs_own)
    }

    /// Watches a directory, or what may bring it into being. Its identity, if it is there and
    /// may be used.
    fn find(&mut self, dir: Dir, is_haunted: bool, settled: &mut DirectoryChanges) -> Option<Identity> {
        let path = self.path(dir).to_owned();
        let mut watch = |births: &mut Births, fd: &dyn AsFd, role: WatchRole| {
            births.watch(fd.as_fd(), role.clone()).unwrap_or_else(|errno| {
                // Where the one above may not be read, either, the warning of the directory itself says enough.
                if !(errno == Errno::ACCESS && matches!(role, WatchRole::Blocked(_))) {
                    settled.unwatched.get_or_insert(Unwatched::NoWatch(errno));
                }
                None
            })
        };
        for _ in 0..LOOKS {
            match SocketDir::open(&path, self.user, self.rule(dir)) {
                Ok(Some(directory)) => {
                    self.awaited.remove(&dir);
                    let number = watch(&mut self.births, &directory, WatchRole::Directory(dir));
                    self.resolved.insert(dir, directory.path().to_owned());
                    // Their sockets hold on to it: that it is removed would not be told.
                    if let (true, Some((parent, awaited))) = (is_haunted, nearest(&path, self.user)) {
                        watch(&mut self.births, &parent, WatchRole::Holder(awaited.to_owned()));
                        // Has it gone before we began to watch?
                        if !is_there(&path) {
                            continue;
                        }
                    }
                    return Some(Identity { file: directory.id(), watch: number });
                }
                Ok(None) => {
                    let (parent, awaited) = nearest(&path, self.user)?;
                    if !is_haunted && self.is_left_to_the_rescan(dir, &parent) {
                        return None;
                    }
                    let number = watch(&mut self.births, &parent, WatchRole::Parent(awaited.to_owned()));
                    // This one may go as well, and they hold on to it, too.
                    if let (true, Some((above, name))) = (is_haunted, above(&path, self.user)) {
                        watch(&mut self.births, &above, WatchRole::Holder(name.to_owned()));
                    }
                    // Has it come before we began to watch?
                    let now = nearest(&path, self.user).map(|(_, now)| now);
                    if now == Some(awaited) && !is_there(&path) {
                        let is_own = path.file_name() == Some(awaited);
                        let now = Awaited { name: awaited.to_owned(), watch: number };
                        if self.awaited.get(&dir) != Some(&now) {
                            settled.has_parent_back |= is_haunted && is_own;
                            self.awaited.insert(dir, now);
                        }
                        return None;
                    }
                }
                Err(DirectoryError::Refused(_) | DirectoryError::Unreadable(Errno::ACCESS)) => {
                    let itself = open_dir(&path, OFlags::NOFOLLOW);
                    let is_watched = |births: &mut Births, itself: OwnedFd| {
                        births.watch(itself.as_fd(), WatchRole::Refused).is_ok()
                    };
                    if !itself.is_ok_and(|itself| is_watched(&mut self.births, itself)) {
                        // Who may not read it may not watch it, either (inotify_add_watch(2)): the one above tells of its owner.
                        let (parent, name) = nearest(&path, self.user)?;
                        if self.is_left_to_the_rescan(dir, &parent) {
                            return None;
                        }
                        watch(&mut self.births, &parent, WatchRole::Blocked(name.to_owned()));
                    }
                    // Was it mended before we began to watch?
                    let again = SocketDir::open(&path, self.user, self.rule(dir));
                    if matches!(again, Err(DirectoryError::Refused(_) | DirectoryError::Unreadable(_))) {
                        return None;
                    }
                }
                Err(DirectoryError::Far) => {
                    settled.far.get_or_insert(path);
                    return None;
                }
                Err(DirectoryError::Unreadable(_)) => return None,
            }
        }
        None
    }
}

/// The nearest directory above `path` that is there, and what is missing in it.
fn nearest(path: &Path, user: Uid) -> Option<(OwnedFd, &OsStr)> {
    path.ancestors().zip(path.ancestors().skip(1)).find_map(|(child, parent)| {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        // It may not be watched; what is mounted on it is told by the mounts.
        if is_in_the_making(parent, user) {
            return None;
        }
        Some((open_dir(parent, OFlags::empty()).ok()?, child.file_name()?))
    })
}

/// The directory above the nearest one that is there above `path`, and what that one is called in it.
fn above(path: &Path, user: Uid) -> Option<(OwnedFd, &OsStr)> {
    let missing = path.ancestors().take_while(|missing| !is_there(missing)).last()?;
    nearest(missing.parent()?, user)
}

fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

fn open_dir(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | flags, Mode::empty())
}

#[cfg(test)]
mod tests;
