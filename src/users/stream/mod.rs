//! `events` for every user of the machine: a worker for each, which has become that user and follows as `events` does. Root
//! reads their lines, puts the uid into each, and passes them on.
//!
//! - [`newcomers`] are found at the beginning and whenever a name comes that looks like a user's.
//! - A [`follower`] is one user's worker. One that ends is started again, and what it then tells anew is told to nobody a
//!   second time ([`servers`], pure).
//! - [`out`] is written without waiting. Where its reader stands still, so do the workers: nobody hears them.

mod follower;
mod newcomers;
mod out;
mod servers;

use super::order::FollowOrder;
use super::worker;
use crate::exit::{Error, Exit};
use crate::view::events::{self, FollowedBy, Following, Notice};
use crate::watch::{self, Wishes};
use follower::{Follower, News};
use newcomers::{Newcomer, Newcomers};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use out::Out;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;
use servers::JsonLine;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;

/// How many users are followed: each costs a process that sleeps. Fewer without an account: whoever may use other uids
/// (subuid(5)) can make directories for thousands, and must not take everybody's place.
const MOST: usize = 512;
const MOST_NAMELESS: usize = 64;

/// The field in which a worker gives a line for people.
const PEOPLE: &str = "people";

/// Follows every user of the machine until it is told to end or its reader goes.
///
/// # Errors
/// Without root, and where the system does not let it wait.
pub(crate) fn follow(wishes: Wishes) -> Result<Exit, Error> {
    super::must_be_root()?;
    let errno = |errno: rustix::io::Errno| Error::System(errno.into());
    let parent = std::env::var_os("TMUX_TMPDIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let mask: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    mask.thread_block().map_err(|error| Error::System(error.into()))?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|error| Error::System(error.into()))?;
    let out = Out::stdout().map_err(Error::Output)?;
    let newcomers = Newcomers::begin(parent.clone()).map_err(errno)?;
    let mut all = All {
        wishes,
        parent,
        newcomers,
        followers: Vec::new(),
        out,
        is_ready: false,
        first: 0,
        stands_still: false,
        left_out: false,
    };
    loop {
        all.turn(Instant::now());
        if signals.read_signal().is_ok_and(|signal| signal.is_some()) || all.out.is_gone() {
            // They would notice that their reader has gone; a signal is quicker.
            all.followers.iter().for_each(Follower::tell_to_end);
            return Ok(Exit::Done);
        }
        all.wait(&signals);
    }
}

/// One user's part of it, as a process of its own that was started as root.
pub(crate) fn work(order: FollowOrder) -> Result<Exit, Error> {
    let FollowOrder { uid, gid, wishes } = order;
    worker::become_user(uid, gid)?;
    watch::events(&[], None, wishes)
}

struct All {
    wishes: Wishes,
    /// Root's own `TMUX_TMPDIR`.
    parent: Option<PathBuf>,
    newcomers: Newcomers,
    followers: Vec<Follower>,
    out: Out,
    is_ready: bool,
    /// Who has the first turn.
    first: usize,
    /// The reader takes nothing, so no worker is heard.
    stands_still: bool,
    /// It was said that there are too many.
    left_out: bool,
}

impl All {
    fn turn(&mut self, now: Instant) {
        for found in self.newcomers.take(now) {
            match found {
                Ok(user) if !self.has_room(&user) => {
                    if !std::mem::replace(&mut self.left_out, true) {
                        tracing::warn!(
                            "uid {} and maybe others are not followed: {MOST} are at most, {MOST_NAMELESS} of them without an account",
                            user.uid
                        );
                    }
                }
                Ok(user) => self.followers.push(Follower::new(user)),
                Err((uid, errno)) => {
                    tracing::warn!("{}", tmux_sockets::report::Loss::Account(errno).why(uid));
                }
            }
        }
        self.out.flush();
        if self.stands_still {
            self.followers.iter_mut().for_each(|follower| follower.forgive(now));
        }
        // In turn: a worker that tells much does not take all the room.
        let count = self.followers.len();
        self.first = (self.first + 1) % count.max(1);
        for index in (self.first..count).chain(0..self.first) {
            if self.out.is_full() {
                break;
            }
            let follower = &mut self.followers[index];
            let uid = follower.uid();
            for news in follower.turn(&self.wishes, self.parent.as_deref(), now) {
                self.tell(uid, news);
            }
        }
        let has_begun =
            self.newcomers.is_complete && self.followers.iter().all(|follower| follower.has_begun);
        if has_begun && !self.is_ready {
            self.is_ready = true;
            self.notice(Notice::Ready, self.following(), None);
        }
        self.out.flush();
        self.stands_still = self.out.is_full();
    }

    fn has_room(&self, user: &Newcomer) -> bool {
        let nameless = || self.followers.iter().filter(|follower| !follower.has_account()).count();
        self.followers.len() < MOST && (user.account.name.is_some() || nameless() < MOST_NAMELESS)
    }

    fn tell(&mut self, uid: Uid, news: News) {
        match news {
            News::Line(line) if line.get("followed_by").is_some() => {
                self.notice(Notice::Following, following(&line), Some(uid));
            }
            News::Line(line) => self.line(line),
            // Before all are ready nothing is told of one: a single `ready` stands for all. After that only what
            // differs is.
            News::Ready { line, was_lost } => {
                let following = following(&line);
                if self.is_ready && (was_lost || following.by != FollowedBy::Inotify) {
                    self.notice(Notice::Following, following, Some(uid));
                }
            }
            News::Slow | News::Lost(_) => {
                if let News::Lost(loss) = news {
                    tracing::warn!("{}", loss.why(uid));
                }
                let nobody = Following { by: FollowedBy::Nothing, rescan: None };
                self.notice(Notice::Following, nobody, Some(uid));
            }
        }
    }

    fn line(&mut self, mut line: JsonLine) {
        let people = line.remove(PEOPLE);
        if self.wishes.json {
            if let Ok(line) = serde_json::to_string(&line) {
                self.out.line(&line);
            }
            return;
        }
        let uid = line.get("uid").and_then(Value::as_u64).unwrap_or_default();
        let text = |field: &str| line.get(field).and_then(Value::as_str).unwrap_or_default();
        // A line that was made here has no text of a worker's.
        let made = || format!("{} {:14} {}", text("time"), text("event"), text("path"));
        let people = people.as_ref().and_then(Value::as_str).map_or_else(made, str::to_owned);
        // A stranger's process wrote it: a terminal is to show it, and not to obey it.
        let people = if people.chars().any(char::is_control) { escaped(&people).to_string() } else { people };
        self.out.line(&format!("{people} of uid {uid}"));
    }

    fn notice(&mut self, notice: Notice, following: Following, uid: Option<Uid>) {
        let now = SystemTime::now();
        let line =
            if self.wishes.json { events::notice_json(notice, following, uid, now).ok() } else { None };
        self.out.line(&line.unwrap_or_else(|| events::notice_people(notice, following, uid, now)));
    }

    /// How all are followed: as the worst is of those that are.
    fn following(&self) -> Following {
        let each: Vec<Following> =
            self.followers.iter().filter_map(|follower| follower.follows.as_ref()).map(following).collect();
        let by = if each.iter().all(|one| one.by == FollowedBy::Inotify) {
            FollowedBy::Inotify
        } else {
            FollowedBy::Rescan
        };
        let rescan = each.iter().map(|one| one.rescan.unwrap_or(Duration::MAX)).max();
        Following { by, rescan: rescan.filter(|span| *span < Duration::MAX) }
    }

    fn wait(&self, signals: &SignalFd) {
        let heard = if self.out.is_full() { &[] } else { self.followers.as_slice() };
        let mut fds: Vec<PollFd<'_>> = self
            .newcomers
            .bells()
            .map(|bell| PollFd::from_borrowed_fd(bell, PollFlags::IN))
            .chain([PollFd::new(signals, PollFlags::IN), self.out.awaited()])
            .chain(heard.iter().flat_map(Follower::awaited))
            .collect();
        let due = heard.iter().filter_map(Follower::deadline).chain(self.newcomers.deadline()).min();
        // poll(2) counts in milliseconds: one more, or it would end too early again and again.
        let left = due.map(|due| due.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        // An interruption (EINTR) costs one needless turn.
        let _: Result<usize, _> = poll(&mut fds, timeout.as_ref()).map_err(io::Error::from);
    }
}

/// How a worker follows, as its line says.
fn following(line: &JsonLine) -> Following {
    let is_at_once = line.get("followed_by").and_then(Value::as_str) == Some("inotify");
    let by = if is_at_once { FollowedBy::Inotify } else { FollowedBy::Rescan };
    Following { by, rescan: line.get("rescan_seconds").and_then(Value::as_u64).map(Duration::from_secs) }
}
