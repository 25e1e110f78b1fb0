//! Who may have sockets, and who comes later: found in a thread of its own, since the names of a folder, or a directory
//! service, may take their time.

use crate::users::accounts::{self, Account, Hints};
use crate::users::find;
use inotify::{Inotify, WatchMask};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};
use tmux_sockets::kernel::Uid;
use tmux_sockets::tmux::paths;

/// The shortest time between two searches: anybody can make names that look like a user's.
const BETWEEN: Duration = Duration::from_secs(5);

/// How often everybody is looked for, whatever inotify has told.
const RESCAN: Duration = Duration::from_secs(600);

/// What is asked of inotify, in folders in which everybody makes files.
const WANTED: WatchMask = WatchMask::CREATE.union(WatchMask::MOVED_TO).union(WatchMask::ONLYDIR);

/// A user who was found.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) uid: Uid,
    pub(super) folder: PathBuf,
    pub(super) account: Account,
}

/// What a search tells.
enum SearchWord {
    Found(Newcomer),
    Unknown(Uid, Errno),
    /// It is over.
    Over,
}

/// The search, and what calls for another one.
#[derive(Debug)]
pub(super) struct Newcomers {
    ask: Sender<()>,
    told: Receiver<SearchWord>,
    bell: OwnedFd,
    inotify: Option<Inotify>,
    is_searching: bool,
    /// When to search next.
    due: Option<Instant>,
    last: Instant,
    /// Whether a search has come to its end.
    pub(super) is_complete: bool,
}

impl Newcomers {
    /// Begins to search.
    pub(super) fn begin(parent: Option<PathBuf>) -> Result<Self, Errno> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let ring = rustix::io::dup(&bell)?;
        let ((ask, asked), (tell, told)) = (channel::<()>(), channel());
        let inotify = Inotify::init().ok();
        if let Some(inotify) = &inotify {
            let places = [paths::DEFAULT_PARENT, paths::RUNTIME_DIRS, paths::COMPILED_IN];
            for place in parent.iter().map(PathBuf::as_path).chain(places.map(Path::new)) {
                // A place that does not exist yet is left to the next search.
                let _ = inotify.watches().add(place, WANTED);
            }
        }
        let search = move || {
            let mut known = BTreeSet::new();
            while asked.recv().is_ok() {
                if !search(parent.as_deref(), &mut known, |news| {
                    let is_heard = tell.send(news).is_ok();
                    let _ = rustix::io::write(&ring, &1_u64.to_ne_bytes());
                    is_heard
                }) {
                    return;
                }
            }
        };
        // It ends with the process if it hangs.
        std::thread::Builder::new()
            .spawn(search)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
        let now = Instant::now();
        let mut all = Self {
            ask,
            told,
            bell,
            inotify,
            is_searching: false,
            due: Some(now),
            last: now,
            is_complete: false,
        };
        all.search_if_due(now);
        Ok(all)
    }

    fn search_if_due(&mut self, now: Instant) {
        if !self.is_searching && self.due.is_some_and(|due| due <= now) {
            self.is_searching = self.ask.send(()).is_ok();
            self.last = now;
            self.due = Some(now + RESCAN);
        }
    }

    /// Who was found since this was last asked, and whose account could not be looked up.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Result<Newcomer, (Uid, Errno)>> {
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        let mut found = Vec::new();
        loop {
            match self.told.try_recv() {
                Ok(SearchWord::Found(newcomer)) => found.push(Ok(newcomer)),
                Ok(SearchWord::Unknown(uid, errno)) => found.push(Err((uid, errno))),
                Ok(SearchWord::Over) => (self.is_searching, self.is_complete) = (false, true),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.is_complete = true;
                    break;
                }
            }
        }
        if self.hints() {
            let soon = now.max(self.last + BETWEEN);
            self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        }
        self.search_if_due(now);
        found
    }

    /// Whether a name has come that looks like a user's.
    fn hints(&mut self) -> bool {
        let Some(inotify) = &mut self.inotify else { return false };
        let mut buffer = [0; 16 * 1024];
        let mut is_one = false;
        while let Ok(events) = inotify.read_events(&mut buffer) {
            for event in events {
                is_one |= event.name.is_none_or(|name| {
                    paths::uid_of_directory_name(name).or_else(|| paths::uid_of_number(name)).is_some()
                });
            }
        }
        is_one
    }

    /// What can be read when there is something to take.
    pub(super) fn bells(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.bell.as_fd()).chain(self.inotify.as_ref().map(AsFd::as_fd))
    }

    /// When the next search is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.filter(|_| !self.is_searching)
    }
}

/// Looks for everybody who is not `known`. Whether anybody listens.
fn search(
    parent: Option<&Path>,
    known: &mut BTreeSet<Uid>,
    mut tell: impl FnMut(SearchWord) -> bool,
) -> bool {
    let hints = Hints::read();
    let found = find::find(parent, &hints.passwd);
    let new: Vec<Uid> = found.users.keys().filter(|uid| !known.contains(uid)).copied().collect();
    for uid in accounts::in_turn(&new, &found.logged_in, &hints) {
        let Some(folder) = found.users.get(&uid) else { continue };
        let news = match accounts::account(uid) {
            Ok(account) => {
                known.insert(uid);
                SearchWord::Found(Newcomer { uid, folder: folder.clone(), account })
            }
            // The next search asks again.
            Err(errno) => SearchWord::Unknown(uid, errno),
        };
        if !tell(news) {
            return false;
        }
    }
    tell(SearchWord::Over)
}
