//! Creating, verifying, and once more after a socket error.

use super::answer::{self, Answer, Created};
use super::cgroup;
use super::place::{Place, Standing};
use super::registration;
use super::request::Request;
use super::result::Spawned;
use super::scope::Scope;
use super::session::{self, Printed, Question};
use super::words;
use crate::config::Settings;
use crate::ghost::{self, Anew, Ghost};
use crate::journal;
use crate::outcome::Outcome;
use crate::process::{Processes, Stat, await_end};
use crate::record::{self, Deeds};
use crate::report::Report;
use crate::socket::sight::Witness;
use crate::sweep::{Act, Pass};
use crate::tmux::client::{DEADLINE, Start, Tmux};
use crate::tmux::stuck;

/// How often a session is asked for: once more after a socket error, never more.
const ATTEMPTS: u32 = 2;

/// How often a server that is just ending is waited for.
const MOST_ENDINGS: u32 = 8;

/// All that a spawn goes by, once its place is known.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) settings: &'a Settings,
    pub(super) user: u32,
    pub(super) request: &'a Request,
    pub(super) place: &'a Place,
    pub(super) scope: Scope,
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The socket or the server behind it: worth another attempt.
    Socket(String),
    /// Anything else.
    Other(String),
    /// A session of that name is there.
    Exists,
}

impl Job<'_> {
    /// The program, on the session's socket.
    pub(super) fn tmux(&self) -> Tmux<'_> {
        Tmux {
            program: &self.settings.spawn.tmux,
            socket: &self.place.path,
            utf8: !self.request.name.is_ascii() && !self.settings.spawn.clear_registration,
        }
    }

    /// Makes the session; the result says how it went.
    pub(super) fn run(&self, witness: &mut Witness, spawned: &mut Spawned) {
        if self.settings.spawn.clear_registration {
            return registration::run(self, witness, spawned);
        }
        let mut endings = 0;
        while spawned.attempts < ATTEMPTS {
            let standing = self.place.look(self.settings, self.user, witness);
            if let Standing::Ghost(ghost) = &standing {
                match self.rescue(ghost, witness, spawned) {
                    // Back, or gone, or somebody else's start: look again.
                    Ok(()) if endings < MOST_ENDINGS => endings += 1,
                    Ok(()) => return spawned.fail(words::ghost(ghost, &ghost.plight.to_string())),
                    Err(error) => return spawned.fail(error),
                }
                continue;
            }
            let (start, pid) = match self.how(&standing) {
                Ok(Some(start)) => start,
                // Its server is just ending.
                Ok(None) if endings < MOST_ENDINGS => {
                    endings += 1;
                    wait_for_end(standing.server());
                    continue;
                }
                Ok(None) => return spawned.fail(words::silent(&self.place.path, standing.server())),
                Err(Trouble::Exists) => return spawned.exists(standing.server()),
                Err(Trouble::Socket(error) | Trouble::Other(error)) => return spawned.fail(error),
            };
            spawned.attempts += 1;
            match self.attempt(start, witness, spawned) {
                Ok(()) => return spawned.succeed(),
                Err(Trouble::Exists) => return spawned.exists(self.server(witness)),
                Err(Trouble::Other(error)) => return spawned.fail(error),
                Err(Trouble::Socket(error)) => {
                    spawned.errors.push(error);
                    wait_for_end(pid);
                    self.sweep(witness, spawned);
                }
            }
        }
        spawned.give_up();
    }

    /// How the session may be asked for, seeing what stands at the path, and the server that is to
    /// be asked. `None`: a server that no longer answers; look again when it has ended.
    fn how(&self, standing: &Standing) -> Result<Option<(Start, Option<i32>)>, Trouble> {
        match standing {
            Standing::InTheWay(error) => Err(Trouble::Other(error.clone())),
            Standing::Ghost(ghost) => Err(Trouble::Other(words::ghost(ghost, &ghost.plight.to_string()))),
            Standing::Free | Standing::Starting if self.request.join_only => {
                Err(Trouble::Other(words::not_living(&self.place.path)))
            }
            Standing::Free | Standing::Starting => Ok(Some((Start::Allowed, None))),
            Standing::Live(pid) => {
                if let Some(stopped) = pid.filter(|pid| is_stopped(*pid)) {
                    return Err(Trouble::Other(words::stopped(&self.place.path, stopped)));
                }
                match session::is_there(&self.tmux(), &self.request.name) {
                    Ok(Answer::Yes) => Err(Trouble::Exists),
                    Ok(Answer::No(_)) => Ok(Some((Start::Never, *pid))),
                    Ok(Answer::NoServer(_)) => Ok(None),
                    Ok(Answer::GivenUp) => Err(Trouble::Other(words::silent(&self.place.path, *pid))),
                    Err(error) => Err(self.cannot_run(&error)),
                }
            }
        }
    }

    /// Gives the path's own server its socket back, where that is provably safe.
    fn rescue(&self, ghost: &Ghost, witness: &mut Witness, spawned: &mut Spawned) -> Result<(), String> {
        let rescue = ghost::rescue(self.user, witness, ghost, Anew::Folder);
        let outcome = rescue.outcome;
        let mut report = Report::default();
        ghost::enter_rescue(&mut report, self.user, ghost, rescue);
        let why = report.entries.iter().find(|entry| entry.label == self.place.label);
        let why = why.map(|entry| entry.verdict.reason.to_string()).unwrap_or_default();
        journal::rescue(&report);
        spawned.swept.extend(report.removed());
        match outcome {
            Outcome::Rescued => spawned.rescued.push(self.place.path.clone()),
            Outcome::Busy => std::thread::sleep(self.settings.spawn.verify_delay),
            Outcome::Vanished => {}
            Outcome::Failed(failure) => return Err(words::ghost(ghost, &failure.to_string())),
            _ => return Err(words::ghost(ghost, &why)),
        }
        Ok(())
    }

    pub(super) fn cannot_run(&self, error: &std::io::Error) -> Trouble {
        Trouble::Other(words::cannot_run(&self.settings.spawn.tmux, error))
    }

    /// One `new-session`, verified.
    fn attempt(&self, start: Start, witness: &mut Witness, spawned: &mut Spawned) -> Result<(), Trouble> {
        let ended = self.create(start, true, witness, spawned)?;
        match answer::created(&ended) {
            Created::Duplicate => return Err(Trouble::Exists),
            Created::SocketError(error) => return Err(Trouble::Socket(error)),
            Created::Refused(error) => return Err(Trouble::Other(error)),
            Created::GivenUp => {
                let stuck = self.place.stuck(self.user, stuck::PATIENCE);
                let because = stuck.map(|stuck| format!("; {}", words::stuck(&stuck))).unwrap_or_default();
                return Err(Trouble::Other(words::given_up(&self.place.path) + &because));
            }
            Created::Perhaps => {}
        }
        let printed = Printed::of(&ended);
        let question = Question::new(&self.request.name, printed.as_ref());
        self.verify(&question, witness)?;
        let told = printed.as_ref().and_then(Printed::pid);
        let told = told.filter(|pid| self.place.is_held_by(*pid, witness));
        spawned.server_pid = told.or_else(|| self.server(witness));
        spawned.tmux_name = printed.map(|printed| printed.name());
        // A server that was there already, or came first, lives elsewhere.
        let pid = spawned.server_pid;
        let is_ours = |unit: &String| pid.is_some_and(|pid| cgroup::is_in(pid, unit));
        spawned.scope = spawned.scope.take().filter(is_ours);
        Ok(())
    }

    /// Asks at once and then up to `verify-attempts` times whether the session is there.
    fn verify(&self, question: &Question, witness: &mut Witness) -> Result<(), Trouble> {
        let tmux = self.tmux();
        let mut answer = question.ask(&tmux).map_err(|error| self.cannot_run(&error))?;
        let mut hung = 0;
        for _ in 0..self.settings.spawn.verify_attempts {
            match &answer {
                Answer::Yes => return Ok(()),
                // The kernel says so too: nobody listens, and no start is under way.
                Answer::NoServer(_) if self.is_free(witness) => break,
                // It has had its time twice.
                Answer::GivenUp if hung > 0 => break,
                Answer::GivenUp => hung += 1,
                _ => {}
            }
            std::thread::sleep(self.settings.spawn.verify_delay);
            answer = question.ask(&tmux).map_err(|error| self.cannot_run(&error))?;
        }
        let error = session::unverified(&tmux, &self.request.name, &answer);
        match answer {
            Answer::Yes => Ok(()),
            Answer::NoServer(_) => Err(Trouble::Socket(error)),
            Answer::No(_) | Answer::GivenUp => Err(Trouble::Other(error)),
        }
    }

    pub(super) fn is_free(&self, witness: &mut Witness) -> bool {
        self.place.look(self.settings, self.user, witness) == Standing::Free
    }

    /// The server that listens at the path now.
    fn server(&self, witness: &mut Witness) -> Option<i32> {
        self.place.look(self.settings, self.user, witness).server()
    }

    /// Sweeps the session's own label.
    pub(super) fn sweep(&self, witness: &mut Witness, spawned: &mut Spawned) {
        if !self.request.sweep {
            return;
        }
        let pass = Pass { settings: self.settings, user: self.user, act: Act::Remove };
        let report = pass.run(witness, &[self.place.target()]);
        if report.entries.iter().any(|entry| matches!(entry.outcome, Outcome::Removed | Outcome::Failed(_))) {
            journal::pass(&report);
            if self.request.dirs.is_empty() {
                record::note(self.user, &Deeds::of(&report));
            }
        }
        spawned.swept.extend(report.removed());
    }
}

impl Standing {
    /// The server that listens there.
    fn server(&self) -> Option<i32> {
        match self {
            Self::Live(pid) => *pid,
            _ => None,
        }
    }
}

/// Whether a process is stopped.
pub(super) fn is_stopped(pid: i32) -> bool {
    Processes::open()
        .is_ok_and(|all| all.by_pid(pid).is_some_and(|process| process.stat().is_some_and(Stat::is_stopped)))
}

/// Waits for a server that is just ending, as long as for a client at most.
fn wait_for_end(pid: Option<i32>) {
    if let Some(pid) = pid {
        await_end(pid, DEADLINE);
    }
}
