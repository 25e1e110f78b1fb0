//! What inotify tells of names: a hint where to look, never a proof.

use super::engine::Dir;
use super::sources::{Source, Sources};
use crate::tmux::start_lock::OWN_PREFIX;
use rustix::event::epoll::EventFlags;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// What is wanted of a socket directory. `ATTRIB` tells that a server has made its socket ready
/// (chmod(2) follows listen(2)), and that the directory itself may be used again; `CLOSE_WRITE` that
/// a start lock was let go.
const OF_DIRECTORY: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CLOSE_WRITE)
    .union(OF_PLACE);

/// What is wanted of a directory in which another one may come into being.
const OF_PARENT: WatchFlags = WatchFlags::CREATE.union(WatchFlags::MOVED_TO).union(OF_PLACE);

/// What is wanted of a directory that tmux would refuse: that somebody mends it.
const OF_REFUSED: WatchFlags = WatchFlags::ATTRIB.union(OF_PLACE);

const OF_PLACE: WatchFlags = WatchFlags::DELETE_SELF
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::MASK_ADD);

/// Room for what is read at once.
const BUFFER: usize = 16 * 1024;

/// How many hints are taken before somebody may look at them.
const AT_ONCE: usize = 8192;

/// What happened to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was made.
    Made,
    /// It was moved here.
    Arrived,
    /// It was removed.
    Gone,
    /// It was moved away: what a janitor does with a lock.
    Left,
    /// Its mode or times changed.
    Touched,
    /// Whoever had it open for writing has closed it.
    Closed,
}

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// At a name in a socket directory.
    Name(Dir, OsString, Change),
    /// At the directories themselves: one may have come, gone, or been replaced.
    Places,
    /// Everywhere: events were lost.
    Lost,
}

/// What a directory is watched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Sockets.
    Directory(Dir),
    /// A directory of this name, to come.
    Parent(OsString),
    /// Being mended.
    Refused,
}

/// The inotify instance and its watches.
#[derive(Debug)]
pub struct Births {
    inotify: Option<OwnedFd>,
    watches: HashMap<i32, Vec<Role>>,
    buffer: Vec<MaybeUninit<u8>>,
}

impl Default for Births {
    /// Without an instance; see [`Self::open`].
    fn default() -> Self {
        Self { inotify: None, watches: HashMap::new(), buffer: vec![MaybeUninit::uninit(); BUFFER] }
    }
}

impl Births {
    /// Makes the instance, unless there is one.
    ///
    /// # Errors
    /// `EMFILE`: `fs.inotify.max_user_instances` is used up. The next rescan tries again.
    pub fn open(&mut self, sources: &Sources) -> Result<(), Errno> {
        if self.inotify.is_none() {
            let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            sources.add(inotify.as_fd(), Source::Names, EventFlags::IN)?;
            self.inotify = Some(inotify);
        }
        Ok(())
    }

    /// Begins a new set of watches; [`Self::finish`] drops those that were not asked for again.
    pub fn begin(&mut self) -> HashMap<i32, Vec<Role>> {
        std::mem::take(&mut self.watches)
    }

    /// Watches an open directory. The watch's number: another one for another directory, even where
    /// that has the same inode number.
    ///
    /// # Errors
    /// `ENOSPC`: `fs.inotify.max_user_watches` is used up.
    pub fn watch(&mut self, directory: BorrowedFd<'_>, role: Role) -> Result<Option<i32>, Errno> {
        let Some(inotify) = &self.inotify else {
            return Ok(None);
        };
        let flags = match role {
            Role::Directory(_) => OF_DIRECTORY,
            Role::Parent(_) => OF_PARENT,
            Role::Refused => OF_REFUSED,
        };
        // Exactly the directory that was looked at, whatever stands at its path by now.
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let watch = inotify::add_watch(inotify, path, flags)?;
        let roles = self.watches.entry(watch).or_default();
        if !roles.contains(&role) {
            roles.push(role);
        }
        Ok(Some(watch))
    }

    /// Drops the watches of `before` that were not asked for again.
    pub fn finish(&self, before: HashMap<i32, Vec<Role>>) {
        let Some(inotify) = &self.inotify else { return };
        for watch in before.into_keys().filter(|watch| !self.watches.contains_key(watch)) {
            // Gone already, if its directory is.
            let _ = inotify::remove_watch(inotify, watch);
        }
    }

    /// Reads everything that was told.
    pub fn read(&mut self) -> Vec<Hint> {
        let mut hints = Vec::new();
        let Some(inotify) = &self.inotify else { return hints };
        let mut reader = inotify::Reader::new(inotify, &mut self.buffer);
        // What is left is told again: the descriptor stays readable.
        while hints.len() < AT_ONCE {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    let roles = self.watches.get(&event.wd()).map(Vec::as_slice).unwrap_or_default();
                    note(&mut hints, event.events(), roles, name);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    hints.push(Hint::Lost);
                    break;
                }
            }
        }
        hints
    }
}

/// From one event to hints. Pure.
fn note(hints: &mut Vec<Hint>, flags: ReadFlags, roles: &[Role], name: Option<&OsStr>) {
    let mut once = |hint: Hint| {
        if hints.last() != Some(&hint) {
            hints.push(hint);
        }
    };
    if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
        return once(Hint::Lost);
    }
    let places = ReadFlags::IGNORED | ReadFlags::UNMOUNT | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF;
    if flags.intersects(places) {
        // Also of watches that we dropped ourselves: then there is nothing to do.
        if !roles.is_empty() {
            once(Hint::Places);
        }
        return;
    }
    let Some(name) = name else {
        // The directory's own mode or owner.
        if !roles.is_empty() {
            once(Hint::Places);
        }
        return;
    };
    for role in roles {
        match role {
            Role::Parent(awaited) if awaited == name => once(Hint::Places),
            Role::Directory(dir) if !flags.contains(ReadFlags::ISDIR) && !is_ours(name) => {
                if let Some(change) = change(flags) {
                    once(Hint::Name(*dir, name.to_owned(), change));
                }
            }
            _ => {}
        }
    }
}

fn change(flags: ReadFlags) -> Option<Change> {
    [
        (ReadFlags::CREATE, Change::Made),
        (ReadFlags::MOVED_TO, Change::Arrived),
        (ReadFlags::DELETE, Change::Gone),
        (ReadFlags::MOVED_FROM, Change::Left),
        (ReadFlags::ATTRIB, Change::Touched),
        (ReadFlags::CLOSE_WRITE, Change::Closed),
    ]
    .into_iter()
    .find_map(|(flag, change)| flags.contains(flag).then_some(change))
}

/// Names that a janitor makes for itself.
fn is_ours(name: &OsStr) -> bool {
    name.as_bytes().starts_with(OWN_PREFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(flags: ReadFlags, roles: &[Role], name: Option<&str>) -> Vec<Hint> {
        let mut hints = Vec::new();
        note(&mut hints, flags, roles, name.map(OsStr::new));
        hints
    }

    #[test]
    fn a_lost_event_or_place_is_noticed_whatever_was_watched() {
        let dir = [Role::Directory(3)];
        assert_eq!(hints(ReadFlags::QUEUE_OVERFLOW, &[], None), [Hint::Lost]);
        for flags in [ReadFlags::DELETE_SELF, ReadFlags::MOVE_SELF, ReadFlags::UNMOUNT, ReadFlags::ATTRIB] {
            assert_eq!(hints(flags, &dir, None), [Hint::Places]);
            assert_eq!(hints(flags, &[Role::Refused], None), [Hint::Places]);
        }
        assert_eq!(hints(ReadFlags::IGNORED, &[], None), [], "a watch that we dropped");
    }

    #[test]
    fn names_are_told_with_their_directory_but_folders_and_our_own() {
        let dir = [Role::Directory(3)];
        let made = hints(ReadFlags::CREATE, &dir, Some("x"));
        assert_eq!(made, [Hint::Name(3, "x".into(), Change::Made)]);
        assert_eq!(hints(ReadFlags::CREATE | ReadFlags::ISDIR, &dir, Some("x")), []);
        assert_eq!(hints(ReadFlags::MOVED_TO, &dir, Some(".tmux-janitor-quarantine.x")), []);
        assert_eq!(hints(ReadFlags::CREATE, &dir, Some(".tmux-janitor-1-1.lock")), []);
    }

    #[test]
    fn a_parent_is_listened_to_for_one_name_only() {
        let roles = [Role::Parent("tmux-7".into())];
        assert_eq!(hints(ReadFlags::CREATE | ReadFlags::ISDIR, &roles, Some("other")), []);
        assert_eq!(hints(ReadFlags::CREATE | ReadFlags::ISDIR, &roles, Some("tmux-7")), [Hint::Places]);
    }
}
