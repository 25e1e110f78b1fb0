//! What becomes of a session while COMMAND settles.
//!
//! A COMMAND that cannot run ends within milliseconds: no such program, a shell that refuses logins, an option that it
//! does not know. Meanwhile its pane is kept when it ends (`remain-on-exit`, set on that pane alone), so that tmux can
//! tell its exit code; a client waits in the server to put that back, also if we are killed.

use super::answer::{self, Answer};
use super::create::Making;
use super::job::{Job, Trouble};
use super::session::{self, Age, NewSession, PaneEnd, PaneStatus};
use super::words;
use crate::host::child::Ended;
use crate::host::client::{self, Start};
use crate::host::held::{HeldClient, Woken};
use crate::host::quote;
use rustix::process::Signal;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::checkpoint::{self, Step};
use tmux_sockets::kernel::{PidFd, Processes};
use tmux_sockets::witness::Witness;

/// How long a server may take to notice that a process of its own has ended.
const NOTICING: Duration = Duration::from_secs(1);

/// When it is told once more. While libutempter runs its helper, a tmux that is built with it does not hear SIGCHLD: a
/// process that ends meanwhile stays a zombie until the next one ends.
const REMINDING: Duration = Duration::from_millis(20);

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It runs.
    Runs,
    /// COMMAND has ended. How, where that is known.
    Ended(Option<PaneEnd>),
}

impl Job<'_> {
    /// Watches a session for as long as COMMAND may take to settle.
    pub(super) fn watch(&self, making: Making, witness: &mut Witness) -> Result<Fate, Trouble> {
        let cannot = |error: io::Error| self.cannot_run(&error);
        let Making { mut client, made, age, watches: mut by_name } = making;
        let deadline = Instant::now() + self.settings.spawn.settle;
        let process = Watched::of(&made);
        if !by_name {
            self.check_kept(&client.end().map_err(cannot)?, &made, age)?;
            client = self.watcher(&made, age).map_err(cannot)?;
        }
        let mut asked = 1;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = if matches!(process, Watched::Over) { Duration::ZERO } else { left };
            if client.watch(process.pidfd(), left) == Woken::Process {
                process.await_noticed(made.server);
            }
            checkpoint::step(Step::Settled);
            let ended = client.end().map_err(cannot)?;
            checkpoint::step(Step::PutBack);
            if let Some(told) = PaneStatus::of(&ended.out, &made) {
                if by_name && told.end.is_some() {
                    // A session's name may not be fit for a command: the one that cleans up goes by the session's
                    // number.
                    self.tmux().ask(&made.target().clean()).map_err(cannot)?;
                }
                return Ok(told.end.map_or(Fate::Runs, |end| Fate::Ended(Some(end))));
            }
            let answer = answer::asked(&ended);
            if by_name {
                // A hook has renamed the session, or it is gone: ask by number.
                by_name = false;
            } else {
                match &answer {
                    Answer::No(text) if text.contains("can't find") => return Ok(Fate::Ended(None)),
                    // The kernel agrees: no listener, and no start under way.
                    Answer::NoServer(_) if self.is_free(witness) => return Ok(Fate::Ended(None)),
                    Answer::NoServer(_) if asked > 1 && self.end_stuck(made.server, witness) => {
                        return Ok(Fate::Ended(None));
                    }
                    _ if asked >= self.settings.spawn.verify_attempts => {
                        return Err(Trouble::Ran(words::unverified(&self.place.path, &made.name, &answer)));
                    }
                    _ => {}
                }
                asked += 1;
                std::thread::sleep(self.settings.spawn.verify_delay);
            }
            client = self.watcher(&made, age).map_err(cannot)?;
        }
    }

    /// The newest session's pane is kept, which was to be the one that was made: a hook may have made another. What
    /// was kept by mistake is let go.
    fn check_kept(&self, ended: &Ended, made: &NewSession, age: Age) -> Result<(), Trouble> {
        if let Some(other) = PaneStatus::other(&ended.out, made) {
            let words = session::let_go(&other, age);
            self.tmux().ask(&words).map_err(|error| self.cannot_run(&error))?;
        }
        Ok(())
    }

    /// What becomes of a session of which tmux told nothing; it is asked for by its name alone.
    pub(super) fn watch_by_name(&self, said: &str, witness: &mut Witness) -> Result<Fate, Trouble> {
        let name = &self.request.name;
        if !quote::is_plain_name(name) {
            return Err(Trouble::Unknown(words::untold(&self.place.path, name, said)));
        }
        let ask = || session::is_there(&self.tmux(), name).map_err(|error| self.cannot_run(&error));
        for round in 0..=self.settings.spawn.verify_attempts {
            if round > 0 {
                std::thread::sleep(self.settings.spawn.verify_delay);
            }
            match ask()? {
                Answer::Yes => {
                    std::thread::sleep(self.settings.spawn.settle);
                    return Ok(if ask()? == Answer::Yes { Fate::Runs } else { Fate::Ended(None) });
                }
                // The server has ended meanwhile.
                Answer::NoServer(_) if self.is_free(witness) => break,
                Answer::No(_) | Answer::NoServer(_) | Answer::GivenUp => {}
            }
        }
        Err(Trouble::Unknown(words::untold(&self.place.path, name, said)))
    }

    /// A client that watches a session's pane by its id.
    fn watcher(&self, made: &NewSession, age: Age) -> io::Result<HeldClient> {
        let arguments = self.tmux().sequence(Start::Never, &made.target().watch(age));
        HeldClient::start(&mut client::command(&arguments))
    }
}

/// The process in a pane.
enum Watched {
    /// It runs, or has ended and its server has not noticed yet.
    Here(Pid, PidFd),
    /// It is over already.
    Over,
    /// It cannot be seen from here: in another process namespace the number is somebody else's.
    Unseen,
}

impl Watched {
    fn of(made: &NewSession) -> Self {
        let (Some(pid), Ok(all)) = (made.process, Processes::open()) else {
            return Self::Unseen;
        };
        let pidfd = PidFd::open(pid);
        let parent = all.by_pid(pid).and_then(|process| process.stat()).map(|stat| stat.parent);
        match (pidfd, parent) {
            (Ok(pidfd), Some(parent)) if parent == made.server => Self::Here(pid, pidfd),
            (_, None) if all.by_pid(made.server).is_some_and(|server| server.is_tmux_server()) => Self::Over,
            _ => Self::Unseen,
        }
    }

    fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Here(_, pidfd) => Some(pidfd.as_fd()),
            Self::Over | Self::Unseen => None,
        }
    }

    /// It has ended: waits until its server has noticed, and knows how.
    fn await_noticed(&self, server: Pid) {
        let Self::Here(pid, _) = self else {
            return;
        };
        let Ok(all) = Processes::open() else { return };
        let (started, mut reminders) = (Instant::now(), 0);
        while all.by_pid(*pid).is_some() && started.elapsed() < NOTICING {
            std::thread::sleep(Duration::from_millis(1));
            if started.elapsed() > REMINDING * (reminders + 1) {
                remind(&all, server, *pid);
                reminders += 1;
            }
        }
    }
}

/// Tells a server that a child of its own has ended, as the kernel did. Whoever does not wait for it ignores SIGCHLD.
fn remind(all: &Processes, server: Pid, child: Pid) {
    let Ok(pidfd) = PidFd::open(server) else { return };
    // While its child is there the server is, too, so its pid cannot have been given to another process.
    let stat = all.by_pid(child).and_then(|process| process.stat());
    if stat.is_some_and(|stat| stat.parent == server) {
        let _ = pidfd.signal(Signal::CHILD);
    }
}
