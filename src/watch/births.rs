//! What inotify tells of names: a hint where to look, never a proof.

use super::engine::{Dir, Name};
use super::readiness::Descriptor;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{CStr, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::task::{Context, Poll, ready};
use tmux_sockets::tmux::start_lock::OWN_PREFIX;
use tokio::io::Interest;

/// What is wanted of a socket directory. `ATTRIB` tells that a server has made its socket ready
/// (chmod(2) follows listen(2)), and that the directory itself may be used again; `CLOSE_WRITE` that
/// a start lock was let go.
const OF_DIRECTORY: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CLOSE_WRITE)
    .union(OF_ITSELF);

/// What is wanted of a directory in which another one may come into being.
const OF_PARENT: WatchFlags = WatchFlags::CREATE.union(WatchFlags::MOVED_TO).union(OF_ITSELF);

/// What is wanted of a directory that tmux would refuse: that somebody mends it.
const OF_REFUSED: WatchFlags = WatchFlags::ATTRIB.union(OF_ITSELF);

const OF_ITSELF: WatchFlags = WatchFlags::DELETE_SELF
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::MASK_ADD);

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
pub(super) enum Role {
    /// Sockets.
    Directory(Dir),
    /// A directory of this name, to come.
    Parent(OsString),
    /// Being mended.
    Refused,
}

/// What each watch is for, by its number.
pub(super) type Roles = HashMap<i32, Vec<Role>>;

/// The inotify instance and its watches.
#[derive(Debug)]
pub(super) struct Births {
    inotify: Option<Descriptor>,
    watches: Roles,
    buffer: Vec<MaybeUninit<u8>>,
    /// There were more than [`AT_ONCE`].
    has_more: bool,
}

impl Default for Births {
    /// Without an instance; see [`Self::open`].
    fn default() -> Self {
        Self {
            inotify: None,
            watches: HashMap::new(),
            buffer: vec![MaybeUninit::uninit(); BUFFER],
            has_more: false,
        }
    }
}

impl Births {
    /// Makes the instance, unless there is one.
    ///
    /// # Errors
    /// `EMFILE`: `fs.inotify.max_user_instances` is used up. The next rescan tries again.
    pub(super) fn open(&mut self) -> Result<(), Errno> {
        if self.inotify.is_none() {
            let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            let inotify = Descriptor::new(inotify, Interest::READABLE)
                .map_err(|refused| Errno::from_io_error(&io::Error::from(refused)).unwrap_or(Errno::INVAL))?;
            self.inotify = Some(inotify);
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
    pub(super) fn watch(&mut self, directory: BorrowedFd<'_>, role: Role) -> Result<Option<i32>, Errno> {
        let Some(inotify) = &self.inotify else {
            return Ok(None);
        };
        let mask = match role {
            Role::Directory(_) => OF_DIRECTORY,
            Role::Parent(_) => OF_PARENT,
            Role::Refused => OF_REFUSED,
        };
        // Exactly the directory that was looked at, whatever stands at its path by now.
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let number = inotify::add_watch(inotify.get_ref(), path, mask)?;
        let roles = self.watches.entry(number).or_default();
        if !roles.contains(&role) {
            roles.push(role);
        }
        Ok(Some(number))
    }

    /// Drops the watches of `before` that were not asked for again.
    pub(super) fn finish(&self, before: Roles) {
        let Some(inotify) = &self.inotify else { return };
        let dropped = before.into_iter().filter(|(number, _)| !self.watches.contains_key(number));
        for (number, _) in dropped {
            // Gone already, if its directory is.
            let _ = inotify::remove_watch(inotify.get_ref(), number);
        }
    }

    /// Ready when there is something to read.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.inotify {
            Some(inotify) if ready!(inotify.poll_read_ready(cx)).is_ok() => Poll::Ready(()),
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
        let Some(inotify) = &self.inotify else { return hints };
        let mut events = Reader::new(inotify.get_ref(), &mut self.buffer);
        // What is left then is read at the next turn: nobody has said that nothing is left.
        self.has_more = true;
        while hints.len() < AT_ONCE || !events.is_buffer_empty() {
            match events.next() {
                Ok(event) => {
                    let roles = self.watches.get(&event.wd()).map(Vec::as_slice).unwrap_or_default();
                    let name = event.file_name().map(CStr::to_bytes).map(OsStr::from_bytes);
                    note(&mut hints, event.events(), roles, name);
                }
                Err(Errno::INTR) => {}
                Err(errno) => {
                    if errno != Errno::AGAIN {
                        hints.push(Hint::Lost);
                    }
                    inotify.nothing_left(Interest::READABLE);
                    self.has_more = false;
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
            Role::Parent(awaited) => {
                if awaited == name {
                    once(Hint::Directories);
                }
            }
            Role::Directory(dir) => {
                let change = change(flags).filter(|_| !flags.contains(ReadFlags::ISDIR) && !is_ours(name));
                if let Some(change) = change {
                    once(Hint::Name(Name { dir: *dir, label: name.to_owned() }, change));
                }
            }
            Role::Refused => {}
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
        let dir = [Role::Directory(Dir(3))];
        assert_eq!(hints(ReadFlags::QUEUE_OVERFLOW, &[], None), [Hint::Lost]);
        for flags in [ReadFlags::DELETE_SELF, ReadFlags::MOVE_SELF, ReadFlags::UNMOUNT, ReadFlags::ATTRIB] {
            assert_eq!(hints(flags, &dir, None), [Hint::Directories]);
            assert_eq!(hints(flags, &[Role::Refused], None), [Hint::Directories]);
        }
        assert_eq!(hints(ReadFlags::IGNORED, &[], None), [], "a watch that we dropped");
    }

    #[test]
    fn names_are_told_with_their_directory_but_folders_and_our_own() {
        let dir = [Role::Directory(Dir(3))];
        let made = hints(ReadFlags::CREATE, &dir, Some("x"));
        assert_eq!(made, [Hint::Name(Name { dir: Dir(3), label: "x".into() }, Change::Made)]);
        assert_eq!(hints(ReadFlags::CREATE | ReadFlags::ISDIR, &dir, Some("x")), []);
        assert_eq!(hints(ReadFlags::MOVED_TO, &dir, Some(".tmux-janitor-quarantine.x")), []);
        assert_eq!(hints(ReadFlags::CREATE, &dir, Some(".tmux-janitor-1-1.lock")), []);
    }

    #[test]
    fn a_parent_is_listened_to_for_one_name_only() {
        let roles = [Role::Parent("tmux-7".into())];
        assert_eq!(hints(ReadFlags::CREATE | ReadFlags::ISDIR, &roles, Some("other")), []);
        assert_eq!(hints(ReadFlags::CREATE | ReadFlags::ISDIR, &roles, Some("tmux-7")), [Hint::Directories]);
    }
}
