//! One user's worker, which follows as that user for as long as it lives, and is started again when it ends.

use super::newcomers::Newcomer;
use super::servers::{JsonLine, LineHeard, ToldServers};
use crate::users::crew;
use crate::users::order::FollowOrder;
use crate::watch::Wishes;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::Signal;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};
use tmux_sockets::kernel::{PidFd, Uid};
use tmux_sockets::report::Loss;

/// How long a worker may take to be ready before the others do not wait for it any longer, and before it is ended: on a
/// busy machine it takes its time.
const PATIENCE: Duration = Duration::from_secs(20);
const BEGINNING: Duration = Duration::from_secs(120);

/// How long nothing is started after a worker has ended: longer each time, until one is ready.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How much is read of one worker before the others have their turn, and the longest line, in bytes.
const TURN: usize = 16 * 1024;
const LONGEST: usize = 64 * 1024;

/// A worker that runs.
#[derive(Debug)]
struct FollowWorker {
    child: Child,
    pidfd: PidFd,
    pipe: OwnedFd,
    heard: Vec<u8>,
    /// When it is ended unless it is ready by then.
    deadline: Option<Instant>,
    /// When the others do not wait for it any longer.
    waited_for: Instant,
}

#[derive(Debug)]
enum FollowState {
    Runs(FollowWorker),
    /// None runs until then.
    Pauses(Instant),
}

/// What is heard of it.
#[derive(Debug)]
pub(super) enum News {
    Line(JsonLine),
    /// It is ready, as this line of its own says. Whether one was lost before it.
    Ready {
        line: JsonLine,
        was_lost: bool,
    },
    /// It is not ready, and nobody waits for it any longer.
    Slow,
    /// It has ended, and is started again later.
    Lost(Loss),
}

/// A user who is followed.
#[derive(Debug)]
pub(super) struct Follower {
    user: Newcomer,
    state: FollowState,
    /// Workers that were killed and have not gone yet.
    dying: Vec<Child>,
    servers: ToldServers,
    pause: Duration,
    /// Whether one was lost, and none was ready since.
    is_lost: bool,
    /// How it follows, as it says itself; `None`: it does not.
    pub(super) follows: Option<JsonLine>,
    /// Whether it was ready once, or was lost: nobody waits for it at the beginning.
    pub(super) has_begun: bool,
}

impl Follower {
    /// One who is not followed yet.
    pub(super) fn new(user: Newcomer) -> Self {
        Self {
            servers: ToldServers::new(user.uid),
            user,
            state: FollowState::Pauses(Instant::now()),
            dying: Vec::new(),
            pause: FIRST_PAUSE,
            is_lost: false,
            follows: None,
            has_begun: false,
        }
    }

    pub(super) fn uid(&self) -> Uid {
        self.user.uid
    }

    pub(super) fn has_account(&self) -> bool {
        self.user.account.name.is_some()
    }

    /// What is to be waited for while it can be heard: what it says, and its end.
    pub(super) fn awaited<'f>(&'f self) -> impl Iterator<Item = PollFd<'f>> {
        let worker = match &self.state {
            FollowState::Runs(worker) => Some(worker),
            FollowState::Pauses(_) => None,
        };
        let both = |worker: &'f FollowWorker| {
            let FollowWorker { pipe, pidfd, .. } = worker;
            [PollFd::new(pipe, PollFlags::IN), PollFd::new(pidfd, PollFlags::IN)]
        };
        worker.into_iter().flat_map(both)
    }

    /// When something is due although nothing was heard.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            FollowState::Runs(worker) if self.has_begun => worker.deadline,
            FollowState::Runs(worker) => Some(worker.waited_for),
            FollowState::Pauses(until) => Some(*until),
        }
    }

    /// It was not heard for a while: that it is not ready is no fault of its own.
    pub(super) fn forgive(&mut self, now: Instant) {
        if let FollowState::Runs(worker) = &mut self.state {
            worker.deadline = worker.deadline.map(|_| now + BEGINNING);
            worker.waited_for = now + PATIENCE;
        }
    }

    /// One turn: starts a worker that is due, or takes in what the one that runs has said.
    pub(super) fn turn(&mut self, wishes: &Wishes, parent: Option<&Path>, now: Instant) -> Vec<News> {
        let mut news = Vec::new();
        self.dying.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let worker = match &mut self.state {
            FollowState::Pauses(until) if *until > now => return news,
            FollowState::Pauses(_) => {
                match start(&self.user, wishes, parent) {
                    Ok(worker) => {
                        self.servers.begin();
                        self.state = FollowState::Runs(worker);
                    }
                    Err(errno) => self.lose(Loss::Start(errno), now, &mut news),
                }
                return news;
            }
            FollowState::Runs(worker) => worker,
        };
        // Asked before the last read, so that nothing it wrote before its end is missed.
        let has_ended = worker.pidfd.has_ended();
        let is_dry = worker.read() == Read::Nothing;
        let makes_sense = self.take_lines(&mut news);
        let FollowState::Runs(worker) = &mut self.state else { return news };
        let is_late = worker.deadline.is_some_and(|deadline| deadline <= now);
        let loss = if !makes_sense {
            Some(Loss::Garbled)
        } else if has_ended && is_dry {
            Some(match worker.child.wait().map(|status| (status.code(), status.signal())) {
                Ok((Some(code), _)) => Loss::Exit(code),
                Ok((None, Some(signal))) => Loss::Signal(signal),
                _ => Loss::Garbled,
            })
        } else {
            (is_late && is_dry).then_some(Loss::Late)
        };
        if !self.has_begun && worker.waited_for <= now && is_dry {
            (self.has_begun, self.is_lost) = (true, true);
            news.push(News::Slow);
        }
        if let Some(loss) = loss {
            self.lose(loss, now, &mut news);
        }
        news
    }

    /// Whether what it has said makes sense.
    fn take_lines(&mut self, news: &mut Vec<News>) -> bool {
        let FollowState::Runs(worker) = &mut self.state else { return true };
        let time = humantime::format_rfc3339_micros(std::time::SystemTime::now()).to_string();
        let mut at = 0;
        while let Some(length) = worker.heard[at..].iter().position(|byte| *byte == b'\n') {
            let line = &worker.heard[at..at + length];
            at += length + 1;
            let lines = match self.servers.hear(line, &time) {
                LineHeard::Lines(lines) => lines,
                LineHeard::Ready(line, lines) => {
                    worker.deadline = None;
                    let was_lost = std::mem::take(&mut self.is_lost);
                    (self.pause, self.has_begun) = (FIRST_PAUSE, true);
                    self.follows = Some(line.clone());
                    news.extend(lines.into_iter().map(News::Line));
                    news.push(News::Ready { line, was_lost });
                    continue;
                }
                LineHeard::Garbled => return false,
            };
            if let Some(line) = lines.iter().find(|line| line.get("followed_by").is_some()) {
                self.follows = Some(line.clone());
            }
            news.extend(lines.into_iter().map(News::Line));
        }
        worker.heard.drain(..at);
        worker.heard.len() <= LONGEST
    }

    fn lose(&mut self, loss: Loss, now: Instant, news: &mut Vec<News>) {
        if let FollowState::Runs(worker) =
            std::mem::replace(&mut self.state, FollowState::Pauses(now + self.pause))
        {
            // It may have ended by itself.
            let _ = worker.pidfd.signal(Signal::KILL);
            self.dying.push(worker.child);
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        (self.follows, self.has_begun) = (None, true);
        // Told once, not again for each start that fails.
        if !std::mem::replace(&mut self.is_lost, true) {
            news.push(News::Lost(loss));
        }
    }

    /// Nobody hears it any more.
    pub(super) fn tell_to_end(&self) {
        if let FollowState::Runs(worker) = &self.state {
            let _ = worker.pidfd.signal(Signal::TERM);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Read {
    Something,
    Nothing,
}

impl FollowWorker {
    fn read(&mut self) -> Read {
        let mut buffer = [0; TURN];
        match rustix::io::read(&self.pipe, &mut buffer) {
            Ok(0) | Err(_) => Read::Nothing,
            Ok(length) => {
                self.heard.extend_from_slice(&buffer[..length]);
                Read::Something
            }
        }
    }
}

fn start(user: &Newcomer, wishes: &Wishes, parent: Option<&Path>) -> Result<FollowWorker, Errno> {
    let order = FollowOrder { uid: user.uid, gid: user.account.gid, wishes: wishes.clone() };
    let mut command = crew::command((user.uid, &user.folder), &user.account, parent);
    command.args(order.arguments());
    let (child, pidfd, pipe) = crew::begin(command)?;
    let now = Instant::now();
    let (deadline, waited_for) = (Some(now + BEGINNING), now + PATIENCE);
    Ok(FollowWorker { child, pidfd, pipe, heard: Vec::new(), deadline, waited_for })
}
