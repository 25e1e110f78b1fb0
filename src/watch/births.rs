//! What inotify tells of names: a hint where to look, never a proof.

use super::engine::{Dir, Name};
use super::readiness::Descriptor;
use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::task::{Context, Poll, ready};
use tmux_sockets::kernel::Label;
use tmux_sockets::kernel::lack::is_lack;
use tmux_sockets::tmux::start_lock::OWN_PREFIX;
use tokio::io::Interest;

/// What is wanted of a socket directory. `ATTRIB` tells that a server has made its socket ready
/// (chmod(2) follows listen(2)), and that the directory itself may be used again; `CLOSE_WRITE` that
/// a start lock was let go.
const OF_DIRECTORY: WatchMask = WatchMask::CREATE
    .union(WatchMask::MOVED_TO)
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::ATTRIB)
    .union(WatchMask::CLOSE_WRITE)
    .union(OF_ITSELF);

/// What is wanted of a directory in which another one may come into being.
const OF_PARENT: WatchMask = WatchMask::CREATE.union(WatchMask::MOVED_TO).union(OF_ITSELF);

/// The same where it is to be told that the other one goes.
const OF_HOLDER: WatchMask = OF_PARENT.union(WatchMask::DELETE).union(WatchMask::MOVED_FROM);

/// The same where it is there and cannot be looked into: that somebody mends it, too.
const OF_BLOCKED: WatchMask = OF_HOLDER.union(WatchMask::ATTRIB);

/// What is wanted of a directory that tmux would refuse: that somebody mends it.
const OF_REFUSED: WatchMask = WatchMask::ATTRIB.union(OF_ITSELF);

const OF_ITSELF: WatchMask =
    WatchMask::DELETE_SELF.union(WatchMask::MOVE_SELF).union(WatchMask::ONLYDIR).union(WatchMask::MASK_ADD);

/// Room for what is read at once.
const BUFFER: usize = 16 * 1024;

/// How many hints are enough before somebody may look at them.
const AT_ONCE: usize = 8192;

/// What happened to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
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
pub(super) enum Hint {
    /// At a name in a socket directory.
    Name(Name, Change),
    /// At the directories themselves: one may have come, gone, or been replaced.
    Directories,
    /// Everywhere: events were lost.
    Lost,
}

/// What a directory is watched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WatchRole {
    /// Sockets.
    Directory(Dir),
    /// A directory of this name, to come.
    Parent(OsString),
    /// A directory of this name, which the socket of a server holds: that it goes is told by the one above alone.
    Holder(OsString),
    /// A directory of this name, which cannot be looked into: being mended, or replaced.
    Blocked(OsString),
    /// Being mended.
    Refused,
}

/// What each watch is for, by its number.
pub(super) type Roles = HashMap<i32, (WatchDescriptor, Vec<WatchRole>)>;

/// The inotify instance, and what tells that it has something to read.
#[derive(Debug)]
struct InotifyInstance {
    inotify: Inotify,
    /// A second descriptor of the same open file, and so ready when the first is: `inotify` has its own to itself,
    /// and tokio needs one that stays open and the same.
    readiness: Descriptor,
}

/// What could not be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Unwatched {
    /// The user has no inotify instance left.
    NoInstance(Errno),
    /// The system gives this process no descriptor, or no memory.
    Lacking(Errno),
    /// No further watch can be had.
    NoWatch(Errno),
}

impl Unwatched {
    /// Of an instance. `inotify_init1(2)` says `EMFILE` of the user's instances and of the descriptors of the process alike,
    /// so it is asked whether one of these can still be had.
    fn instance(error: &io::Error) -> Self {
        let errno = errno(error);
        let another = || rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        match errno {
            Errno::MFILE if another().is_ok() => Self::NoInstance(errno),
            _ if is_lack(errno) => Self::Lacking(errno),
            _ => Self::NoInstance(errno),
        }
    }
}

impl InotifyInstance {
    fn new() -> Result<Self, Unwatched> {
        let inotify = Inotify::init().map_err(|error| Unwatched::instance(&error))?;
        let second = inotify.as_fd().try_clone_to_owned();
        let readiness = second.and_then(|second| Ok(Descriptor::new(second, Interest::READABLE)?));
        let readiness = readiness.map_err(|error| Unwatched::instance(&error))?;
        Ok(Self { inotify, readiness })
    }
}

/// The inotify instance and its watches.
#[derive(Debug)]
pub(super) struct Births {
    instance: Option<InotifyInstance>,
    watches: Roles,
    buffer: Vec<u8>,
    /// There were more than [`AT_ONCE`].
    has_more: bool,
}

impl Default for Births {
    /// Without an instance; see [`Self::open`].
    fn default() -> Self {
        Self { instance: None, watches: HashMap::new(), buffer: vec![0; BUFFER], has_more: false }
    }
}

impl Births {
    /// Makes the instance, unless there is one.
    ///
    /// # Errors
    /// `fs.inotify.max_user_instances`, or what this process may open, is used up. The next rescan tries again.
    pub(super) fn open(&mut self) -> Result<(), Unwatched> {
        if self.instance.is_none() {
            self.instance = Some(InotifyInstance::new()?);
        }
        Ok(())
    }

    /// Begins a new set of watches; [`Self::finish`] drops those that were not asked for again.
    pub(super) fn begin(&mut self) -> Roles {
        std::mem::take(&mut self.watches)
    }

    /// Watches an open directory. The watch's number: another one for another directory, even where
    /// that has the same inode number.
    ///
    /// # Errors
    /// `ENOSPC`: `fs.inotify.max_user_watches` is used up.
    pub(super) fn watch(&mut self, directory: BorrowedFd<'_>, role: WatchRole) -> Result<Option<i32>, Errno> {
        let Some(instance) = &self.instance else {
            return Ok(None);
        };
        let mask = match role {
            WatchRole::Directory(_) => OF_DIRECTORY,
            WatchRole::Parent(_) => OF_PARENT,
            WatchRole::Holder(_) => OF_HOLDER,
            WatchRole::Blocked(_) => OF_BLOCKED,
            WatchRole::Refused => OF_REFUSED,
        };
        // Exactly the directory that was looked at, whatever stands at its path by now.
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let watch = instance.inotify.watches().add(path, mask).map_err(|error| errno(&error))?;
        let number = watch.get_watch_descriptor_id();
        let (_, roles) = self.watches.entry(number).or_insert((watch, Vec::new()));
        if !roles.contains(&role) {
            roles.push(role);
        }
        Ok(Some(number))
    }

    /// Drops the watches of `before` that were not asked for again.
    pub(super) fn finish(&self, before: Roles) {
        let Some(instance) = &self.instance else { return };
        let dropped = before.into_iter().filter(|(number, _)| !self.watches.contains_key(number));
        for (_, (watch, _)) in dropped {
            // Gone already, if its directory is.
            let _ = instance.inotify.watches().remove(watch);
        }
    }

    /// Ready when there is something to read.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.instance {
            Some(instance) if ready!(instance.readiness.poll_read_ready(cx)).is_ok() => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// Whether [`Self::read`] has left something.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Reads everything that was told, also what the event loop has not noticed yet.
    pub(super) fn read(&mut self) -> Vec<Hint> {
        let mut hints = Vec::new();
        let Some(InotifyInstance { inotify, readiness }) = &mut self.instance else { return hints };
        // Until the kernel says that nothing is left there may be more, which the next turn reads.
        self.has_more = true;
        while hints.len() < AT_ONCE {
            match inotify.read_events(&mut self.buffer) {
                // All of them: what has been read is told by nobody again. The crate panics at a bit that it does not
                // know, but the kernel's `inotify_mask_to_arg` lets through only those of inotify(7).
                Ok(events) => {
                    for event in events {
                        let watch = self.watches.get(&event.wd.get_watch_descriptor_id());
                        let roles = watch.map(|(_, roles)| roles.as_slice()).unwrap_or_default();
                        note(&mut hints, event.mask, roles, event.name);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        hints.push(Hint::Lost);
                    }
                    readiness.nothing_left(Interest::READABLE);
                    self.has_more = false;
                    break;
                }
            }
        }
        hints
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::INVAL)
}

/// From one event to hints. Pure.
fn note(hints: &mut Vec<Hint>, flags: EventMask, roles: &[WatchRole], name: Option<&OsStr>) {
    let mut once = |hint: Hint| {
        if hints.last() != Some(&hint) {
            hints.push(hint);
        }
    };
    if flags.contains(EventMask::Q_OVERFLOW) {
        return once(Hint::Lost);
    }
    let places = EventMask::IGNORED | EventMask::UNMOUNT | EventMask::DELETE_SELF | EventMask::MOVE_SELF;
    if flags.intersects(places) {
        // The kernel tells this of watches that we dropped ourselves, too: those have no roles.
        if !roles.is_empty() {
            once(Hint::Directories);
        }
        return;
    }
    let Some(name) = name else {
        // The directory's own mode or owner.
        if !roles.is_empty() {
            once(Hint::Directories);
        }
        return;
    };
    for role in roles {
        match role {
            WatchRole::Parent(awaited) | WatchRole::Holder(awaited) | WatchRole::Blocked(awaited) => {
                if awaited == name {
                    once(Hint::Directories);
                }
            }
            WatchRole::Directory(dir) => {
                let change = change(flags).filter(|_| !flags.contains(EventMask::ISDIR) && !is_ours(name));
                if let (Some(change), Some(label)) = (change, Label::new(name)) {
                    once(Hint::Name(Name { dir: *dir, label }, change));
                }
            }
            WatchRole::Refused => {}
        }
    }
}

fn change(flags: EventMask) -> Option<Change> {
    [
        (EventMask::CREATE, Change::Made),
        (EventMask::MOVED_TO, Change::Arrived),
        (EventMask::DELETE, Change::Gone),
        (EventMask::MOVED_FROM, Change::Left),
        (EventMask::ATTRIB, Change::Touched),
        (EventMask::CLOSE_WRITE, Change::Closed),
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
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    fn hints(flags: EventMask, roles: &[WatchRole], name: Option<&str>) -> Vec<Hint> {
        let mut hints = Vec::new();
        note(&mut hints, flags, roles, name.map(OsStr::new));
        hints
    }

    #[test]
    fn a_lost_event_or_place_is_noticed_whatever_was_watched() {
        let dir = [WatchRole::Directory(Dir(3))];
        assert_eq!(hints(EventMask::Q_OVERFLOW, &[], None), [Hint::Lost]);
        for flags in [EventMask::DELETE_SELF, EventMask::MOVE_SELF, EventMask::UNMOUNT, EventMask::ATTRIB] {
            assert_eq!(hints(flags, &dir, None), [Hint::Directories]);
            assert_eq!(hints(flags, &[WatchRole::Refused], None), [Hint::Directories]);
        }
        assert_eq!(hints(EventMask::IGNORED, &[], None), [], "a watch that we dropped");
    }

    #[test]
    fn names_are_told_with_their_directory_but_folders_and_our_own() {
        let dir = [WatchRole::Directory(Dir(3))];
        let made = hints(EventMask::CREATE, &dir, Some("x"));
        assert_eq!(made, [Hint::Name(Name { dir: Dir(3), label: Label::new("x").unwrap() }, Change::Made)]);
        assert_eq!(hints(EventMask::CREATE | EventMask::ISDIR, &dir, Some("x")), []);
        assert_eq!(hints(EventMask::MOVED_TO, &dir, Some(".tmux-janitor-quarantine.x")), []);
        assert_eq!(hints(EventMask::CREATE, &dir, Some(".tmux-janitor-1-1.lock")), []);
    }

    #[test]
    fn a_parent_is_listened_to_for_one_name_only() {
        let roles = [WatchRole::Parent("tmux-7".into())];
        assert_eq!(hints(EventMask::CREATE | EventMask::ISDIR, &roles, Some("other")), []);
        assert_eq!(hints(EventMask::CREATE | EventMask::ISDIR, &roles, Some("tmux-7")), [Hint::Directories]);
    }
}
