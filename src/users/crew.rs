//! Starting workers, a few at a time, and hearing them out; none can make root wait.
//!
//! A worker is started as root and gives its privileges up itself: between a setuid(2) and an execve(2)
//! in a child of ours, its user could stop it, and whoever waits for that execve would wait for ever.

use super::Task;
use super::accounts::Account;
use super::order::PassOrder;
use super::queue::Queue;
use super::user::User;
use crate::host::sandbox;
use crate::host::told_to_end::ToldToEnd;
use crate::pass::wire;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Signal;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tmux_sockets::kernel::{PidFd, Uid};
use tmux_sockets::report::Loss;
use tmux_sockets::tmux::paths;

/// How many workers run at once, per processor and in all. A worker waits for its exec and its locks'
/// rest, so two share a processor well.
const PER_PROCESSOR: usize = 2;
const MOST_AT_ONCE: usize = 8;

/// How long one worker may take. 10,000 dead sockets take a third of a second.
const DEADLINE: Duration = Duration::from_secs(10);

/// When no more workers are started. With [`DEADLINE`] it stays under the units' `TimeoutStartSec=`.
const LAST_START: Duration = Duration::from_secs(40);

/// How long a worker that was killed may take to be gone. One that hangs in the kernel never is.
const DEATH: Duration = Duration::from_secs(1);

/// How long a worker that was told to end may take.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How much a worker may have said that root has not heard, in bytes: about one batch of removals.
const ON_ITS_WAY: usize = 4096;

/// How long nothing may be heard before that is said: somebody at a terminal waits.
const QUIET: Duration = Duration::from_millis(500);

/// The longest message, in bytes, and the longest sum of its parts: some 150,000 entries.
const LONGEST: usize = 16 << 20;

/// A worker that runs.
struct Worker<'a> {
    user: User<'a>,
    child: Child,
    pidfd: PidFd,
    /// `None` once there is nothing more to hear.
    pipe: Option<OwnedFd>,
    message: Vec<u8>,
    /// What it has done and nobody has heard of, and how many bytes of that there were in all.
    parts: Vec<Vec<u8>>,
    told: usize,
    deadline: Instant,
    /// Whether it was told that the run is to end.
    is_told_to_end: bool,
    /// Set when it was killed by us, and why.
    condemned: Option<Loss>,
}

/// What is to be done for all.
#[derive(Debug)]
pub(super) struct Work<'w> {
    /// When the run began: looking for users takes time too.
    pub(super) begun: Instant,
    pub(super) task: Task,
    /// Root's own `TMUX_TMPDIR`.
    pub(super) parent: Option<&'w Path>,
    /// What ends the run.
    pub(super) signals: &'w mut Option<ToldToEnd>,
}

/// What is heard of workers.
#[derive(Debug)]
pub(super) enum News<'u> {
    /// What a user's has done so far.
    Part(User<'u>, Vec<u8>),
    /// What became of it.
    End(User<'u>, Result<Vec<u8>, Loss>),
    /// Nothing for [`QUIET`], or whatever comes next.
    Nothing,
}

/// Lets a worker work for each of the users and hands over what is heard of it.
pub(super) fn work<'u>(
    mut waiting: Queue<'u>,
    Work { begun, task, parent, signals }: Work<'_>,
    mut hear: impl FnMut(News<'u>),
) {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let most = (processors * PER_PROCESSOR).min(MOST_AT_ONCE);
    let last_start = begun + LAST_START;
    let mut at_work: Vec<Worker<'_>> = Vec::with_capacity(most);
    loop {
        for (user, loss) in waiting.take_in() {
            hear(News::End(user, Err(loss)));
        }
        if Instant::now() >= last_start {
            for user in waiting.give_up() {
                hear(News::End(user, Err(Loss::NoTime)));
            }
        }
        let is_ended = signals.as_mut().is_some_and(ToldToEnd::is_told);
        if is_ended {
            for user in waiting.give_up() {
                hear(News::End(user, Err(Loss::Ended)));
            }
            at_work.iter_mut().for_each(Worker::tell_to_end);
        }
        let mut is_full = false;
        while at_work.len() < most {
            let Some((user, account)) = waiting.next() else { break };
            match Worker::start(user, &account, task, parent) {
                Ok(worker) => at_work.push(worker),
                // Out of processes, memory or descriptors: tried again when another worker has ended.
                Err(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) if !at_work.is_empty() => {
                    waiting.put_back(user, account);
                    is_full = true;
                    break;
                }
                Err(errno) => hear(News::End(user, Err(Loss::Start(errno)))),
            }
        }
        if at_work.is_empty() && waiting.is_over() {
            return;
        }
        // New users are listened for only while there is room for another worker.
        let comes_in = (!is_full && at_work.len() < most).then_some(&waiting);
        wait(&at_work, comes_in, signals.as_ref().filter(|_| !is_ended));
        let mut index = 0;
        while index < at_work.len() {
            let outcome = at_work[index].hear();
            let user = at_work[index].user;
            at_work[index].parts.drain(..).for_each(|part| hear(News::Part(user, part)));
            match outcome {
                None => index += 1,
                Some(outcome) => hear(News::End(at_work.swap_remove(index).user, outcome)),
            }
        }
        hear(News::Nothing);
    }
}

/// Waits until a worker says something or ends, somebody comes in, or the next deadline, and no longer than [`QUIET`].
fn wait(workers: &[Worker<'_>], waiting: Option<&Queue<'_>>, signals: Option<&ToldToEnd>) {
    let mut fds: Vec<PollFd<'_>> = workers
        .iter()
        .flat_map(|worker| worker.pipe.iter().map(AsFd::as_fd).chain([worker.pidfd.as_fd()]))
        .chain(waiting.and_then(Queue::bell))
        .chain(signals.map(AsFd::as_fd))
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    let comes_in = waiting.and_then(Queue::deadline);
    let next = workers.iter().map(|worker| worker.deadline).chain(comes_in).min();
    let left = next.map_or(Duration::ZERO, |next| next.saturating_duration_since(Instant::now())).min(QUIET);
    // poll(2) counts in milliseconds: one more, or it would end too early again and again.
    let timeout = Timespec::try_from(left + Duration::from_millis(1)).ok();
    // An interruption (EINTR) costs one needless look at the deadlines.
    let _ = rustix::event::poll(&mut fds, timeout.as_ref());
}

/// This program as the worker of a user who has that folder, but for its order. `parent`: root's own `TMUX_TMPDIR`.
pub(super) fn command((uid, folder): (Uid, &Path), account: &Account, parent: Option<&Path>) -> Command {
    // /proc/self/exe is the program that runs now, even if another file is at its path by now.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("tmux-janitor");
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", &account.home);
    if let Some(name) = &account.name {
        command.env("USER", name).env("LOGNAME", name);
    }
    // By which it knows that it is in a unit, where /tmp may be another one.
    command.envs(std::env::var_os(sandbox::UNIT).map(|unit| (sandbox::UNIT, unit)));
    command.env("XDG_RUNTIME_DIR", paths::runtime_dir(uid));
    // Root's own TMUX_TMPDIR may be closed to others; a user with a folder in it can use it.
    if let Some(parent) = parent.filter(|parent| folder.parent() == Some(parent)) {
        command.env("TMUX_TMPDIR", parent);
    }
    command.current_dir("/").process_group(0);
    command
}

/// Starts a worker: its process, a handle on that, and what it says, of which nobody waits for more.
pub(super) fn begin(mut command: Command) -> Result<(Child, PidFd, OwnedFd), Errno> {
    let errno = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(errno)?;
    let pidfd = PidFd::of(&child);
    let pipe = child.stdout.take().map(OwnedFd::from);
    let (Ok(pidfd), Some(pipe)) = (pidfd, pipe) else {
        // It waits for its order: killing it does not hang.
        let _ = child.kill();
        let _ = child.wait();
        return Err(Errno::NOSYS);
    };
    rustix::fs::fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
    Ok((child, pidfd, pipe))
}

impl<'a> Worker<'a> {
    fn start(user: User<'a>, account: &Account, task: Task, parent: Option<&Path>) -> Result<Self, Errno> {
        let mut command = command((user.uid, user.folder), account, parent);
        command.args(PassOrder { task, uid: user.uid, gid: account.gid }.arguments());
        let (child, pidfd, pipe) = begin(command)?;
        // A small pipe, so that little is lost when root is killed. If it cannot be made small, it stays as it is.
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe, ON_ITS_WAY);
        let deadline = Instant::now() + DEADLINE;
        Ok(Self {
            user,
            child,
            pidfd,
            pipe: Some(pipe),
            message: Vec::new(),
            parts: Vec::new(),
            told: 0,
            deadline,
            is_told_to_end: false,
            condemned: None,
        })
    }

    /// Takes in what it says. Its end: the message, or why there is none.
    fn hear(&mut self) -> Option<Result<Vec<u8>, Loss>> {
        self.read();
        if self.has_ended() {
            // What it wrote just before its end.
            self.read();
            let status = self.child.wait().ok();
            return Some(self.outcome(status));
        }
        match self.condemned {
            None if self.message.len().max(self.told) > LONGEST => self.condemn(Loss::TooLong),
            None if Instant::now() >= self.deadline => self.condemn(Loss::Late),
            Some(_) if Instant::now() >= self.deadline => return Some(Err(Loss::Stuck)),
            _ => {}
        }
        None
    }

    /// It has a moment to report what it did.
    fn tell_to_end(&mut self) {
        if !self.is_told_to_end {
            self.is_told_to_end = true;
            self.deadline = self.deadline.min(Instant::now() + LAST_WORDS);
            // It may have ended by itself.
            let _ = self.pidfd.signal(Signal::TERM);
        }
    }

    fn condemn(&mut self, loss: Loss) {
        self.condemned = Some(loss);
        self.pipe = None;
        self.deadline = Instant::now() + DEATH;
        // It may have ended by itself.
        let _ = self.pidfd.signal(Signal::KILL);
    }

    fn outcome(&mut self, status: Option<ExitStatus>) -> Result<Vec<u8>, Loss> {
        if let Some(loss) = self.condemned {
            return Err(loss);
        }
        match status.map(|status| (status.code(), status.signal())) {
            Some((Some(_), _)) if self.message.len() > LONGEST => Err(Loss::TooLong),
            Some((Some(_), _)) if !self.message.is_empty() => Ok(std::mem::take(&mut self.message)),
            Some((Some(code), _)) => Err(Loss::Exit(code)),
            Some((None, Some(signal))) => Err(Loss::Signal(signal)),
            _ => Err(Loss::Garbled),
        }
    }

    fn has_ended(&self) -> bool {
        self.pidfd.has_ended()
    }

    /// Reads what is there, and not endlessly.
    fn read_all(&mut self) {
        let mut buffer = [0; 16 * 1024];
        while self.message.len() <= LONGEST {
            let Some(pipe) = &self.pipe else { return };
            match rustix::io::read(pipe, &mut buffer) {
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => self.pipe = None,
                Ok(length) => self.message.extend_from_slice(&buffer[..length]),
            }
        }
    }

    /// Reads what is there, and finds the parts in it.
    fn read(&mut self) {
        self.read_all();
        for part in wire::take_parts(&mut self.message) {
            self.told = self.told.saturating_add(part.len());
            if self.told <= LONGEST {
                self.parts.push(part);
            }
        }
    }
}
