//! Creating, verifying, and once more after a socket error.

use super::answer::{self, Answer};
use super::create::Asking;
use super::job::{Asked, Job, Trouble, is_stopped};
use super::place::PlaceState;
use super::registration;
use super::result::{CommandState, Spawned};
use super::session::{self, NewSession, PaneEnd};
use super::watch::Fate;
use super::words;
use crate::host::cgroup;
use crate::host::client::{DEADLINE, Start};
use crate::logging::journal;
use crate::view::advice::Advised;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tmux_sockets::ghost::{self, Anew, Ghost};
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::await_end;
use tmux_sockets::kernel::checkpoint::{self, Step};
use tmux_sockets::report::{Outcome, Report};
use tmux_sockets::witness::Witness;

/// How often a session is asked for: once more where there was nobody to ask, never more.
const ATTEMPTS: u32 = 2;

/// How often a ghost is helped.
const MOST_RESCUES: u32 = 8;

/// How long a server without sessions may take to end.
const ENDING: Duration = Duration::from_millis(500);

/// How long a server that sends everybody away is waited for: it may be just ending.
const REFUSING: Duration = Duration::from_secs(3);

/// What is to be done, seeing what stands at the path.
#[derive(Debug)]
enum NextAttempt {
    Ask(Asked),
    /// Its server sends everybody away, in these words.
    Wait(String),
}

impl Job<'_> {
    /// Makes the session; the result says how it went.
    pub(super) fn run(&self, witness: &mut Witness, spawned: &mut Spawned) {
        if self.settings.spawn.clear_registration {
            return registration::run(self, witness, spawned);
        }
        let (mut rescues, mut refused) = (0, None);
        while spawned.attempts < ATTEMPTS {
            let standing = self.place.look(self.settings, self.user, witness);
            if let PlaceState::Ghost(ghost) = &standing {
                match self.rescue(ghost, witness, spawned) {
                    // It is back, it has gone, or somebody else is starting one: look again.
                    Ok(()) if rescues < MOST_RESCUES => rescues += 1,
                    Ok(()) => return spawned.fail(words::ghost(ghost, &ghost.plight.with_advice())),
                    Err(error) => return spawned.fail(error),
                }
                continue;
            }
            if standing == PlaceState::Doubtful && !self.request.join_only && spawned.attempts == 0 {
                spawned.warnings.push(words::maybe_ghost(&self.place.path));
            }
            let server = standing.server();
            let asked = match self.next(&standing) {
                Ok(NextAttempt::Ask(asked)) => asked,
                Ok(NextAttempt::Wait(said)) => {
                    let since = *refused.get_or_insert_with(Instant::now);
                    let left = REFUSING.saturating_sub(since.elapsed());
                    if left.is_zero() {
                        let refusal = self.refusal(server, said, since.elapsed(), witness);
                        return spawned.fail(refusal.to_string());
                    }
                    wait_for_end(server, left);
                    continue;
                }
                Err(trouble) => return self.give_up(trouble, witness, spawned),
            };
            spawned.attempts += 1;
            match self.attempt(&asked, witness, spawned) {
                Ok(()) => return,
                Err(Trouble::Socket(error)) => {
                    spawned.errors.push(error);
                    wait_for_end(asked.server, DEADLINE);
                    self.sweep(witness, spawned);
                }
                Err(trouble) => return self.give_up(trouble, witness, spawned),
            }
        }
        spawned.give_up();
    }

    fn give_up(&self, trouble: Trouble, witness: &mut Witness, spawned: &mut Spawned) {
        match trouble {
            Trouble::Exists => return spawned.exists(self.server(witness)),
            Trouble::Socket(error) | Trouble::Other(error) => spawned.fail(error),
            Trouble::Unknown(error) => spawned.doubt(error),
            Trouble::Ran(error) => spawned.lose(error),
        }
        if spawned.attempts > 0 {
            // A failed attempt may have left the socket of a server that has ended.
            self.sweep(witness, spawned);
        }
    }

    /// What is to be done, seeing what stands at the path.
    fn next(&self, standing: &PlaceState) -> Result<NextAttempt, Trouble> {
        match standing {
            PlaceState::InTheWay(error) => Err(Trouble::Other(error.clone())),
            PlaceState::Ghost(ghost) => Err(Trouble::Other(words::ghost(ghost, &ghost.plight.with_advice()))),
            PlaceState::Free | PlaceState::Doubtful | PlaceState::Starting if self.request.join_only => {
                Err(Trouble::Other(words::not_living(&self.place.path)))
            }
            PlaceState::Free | PlaceState::Doubtful | PlaceState::Starting => {
                Ok(NextAttempt::Ask(Asked { start: Start::Allowed, server: None, is_mute: false }))
            }
            PlaceState::Live(pid) => {
                if let Some(stopped) = pid.filter(|pid| is_stopped(*pid)) {
                    return Err(Trouble::Other(words::stopped(&self.place.path, stopped)));
                }
                match session::is_there(&self.tmux(), &self.request.name) {
                    Ok(Answer::Yes) => Err(Trouble::Exists),
                    Ok(Answer::No(said)) => {
                        let is_mute = answer::is_mute(&said);
                        Ok(NextAttempt::Ask(Asked { start: Start::Never, server: *pid, is_mute }))
                    }
                    Ok(Answer::NoServer(said)) => Ok(NextAttempt::Wait(said)),
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
        let why = why.map(|entry| entry.verdict.reason.with_advice()).unwrap_or_default();
        journal::rescue(&report);
        spawned.swept.extend(report.removed());
        match outcome {
            Outcome::Rescued => spawned.rescued.push(self.place.path.clone()),
            Outcome::Busy => std::thread::sleep(self.settings.spawn.verify_delay),
            Outcome::Vanished => {}
            Outcome::Failed(failure) => return Err(words::ghost(ghost, &failure.with_advice())),
            _ => return Err(words::ghost(ghost, &why)),
        }
        Ok(())
    }

    /// Makes the session, once; the result says what became of it.
    fn attempt(&self, asked: &Asked, witness: &mut Witness, spawned: &mut Spawned) -> Result<(), Trouble> {
        let (kept, own_sessions) = match asked.start {
            Start::Allowed => {
                let (server, sessions) = self.keep_server(witness, spawned)?;
                (Some(server), sessions)
            }
            Start::Never => (None, 0),
        };
        let asking = match self.ask(asked, kept.is_some() && own_sessions == 0) {
            Ok(Asking::Silent(said)) => {
                self.watch_by_name(&said, witness).map(|fate| (Asking::Silent(said), Some(fate)))
            }
            Ok(told @ Asking::Told(_)) => Ok((told, None)),
            Err(trouble) => Err(trouble),
        };
        let (asking, fate) = match asking {
            Ok(asking) => asking,
            Err(Trouble::Exists) => return Err(Trouble::Exists),
            Err(trouble) => {
                let is_new = kept.is_some();
                drop(kept);
                self.clear(is_new, &trouble, witness);
                return Err(trouble);
            }
        };
        let (made, fate) = match asking {
            Asking::Silent(said) => {
                spawned.note_noise(said.as_bytes());
                spawned.server_pid = self.server(witness);
                (None, fate.unwrap_or(Fate::Ended(None)))
            }
            Asking::Told(making) => {
                spawned.command = CommandState::Ran;
                spawned.note_noise(&making.client.complaints());
                if let Some(server) = &kept {
                    server.let_go();
                }
                checkpoint::step(Step::LetGo);
                let made = making.made.clone();
                if kept.is_some() {
                    spawned.warnings.extend(words::outlives(own_sessions, made.stays));
                }
                let told = Some(made.server).filter(|pid| self.place.is_held_by(*pid, witness));
                spawned.server_pid = told.or_else(|| self.server(witness));
                spawned.tmux_name = Some(made.name.clone());
                let fate = self.watch(making, witness)?;
                (Some(made), fate)
            }
        };
        spawned.command = CommandState::Ran;
        let is_new = kept.is_some();
        drop(kept);
        match fate {
            Fate::Runs => {
                if let (Some(cwd), Some(made)) = (&self.request.cwd, &made) {
                    spawned.warnings.extend(strayed(cwd, made));
                }
                spawned.succeed();
            }
            Fate::Ended(end) => self.conclude(made.as_ref(), end, is_new, witness, spawned)?,
        }
        // Only a server of ours is in the scope; one that was there already, or was quicker, is not.
        let pid = spawned.server_pid;
        let is_ours = |unit: &String| pid.is_some_and(|pid| cgroup::is_in(pid, unit));
        spawned.scope = spawned.scope.take().filter(is_ours);
        Ok(())
    }

    /// What was started in vain goes: a server without a session ends when nobody keeps it, and one that was lost may
    /// be ending.
    fn clear(&self, is_new: bool, trouble: &Trouble, witness: &mut Witness) {
        let is_lost = matches!(trouble, Trouble::Unknown(_));
        if !is_new && !is_lost {
            return;
        }
        // A server that hangs up may be ending, or be alive and of another version. Only of one that has made our
        // session is it known.
        wait_for_end(self.server(witness), ENDING);
    }

    /// Enters that COMMAND has ended, how, and what is left of its session.
    fn conclude(
        &self,
        made: Option<&NewSession>,
        end: Option<PaneEnd>,
        is_new: bool,
        witness: &mut Witness,
        spawned: &mut Spawned,
    ) -> Result<(), Trouble> {
        let stays = match made {
            Some(made) => session::has(&self.tmux(), made.session.as_ref()),
            None => session::is_there(&self.tmux(), &self.request.name),
        };
        let stays = stays.map_err(|error| self.cannot_run(&error))? == Answer::Yes;
        if !stays && is_new {
            // Its last session is gone: it ends, too, unless it was told not to.
            wait_for_end(spawned.server_pid, ENDING);
        }
        spawned.server_pid = self.server(witness);
        spawned.end(words::ended(&self.place.path, self.request, made, end, stays), end);
        if spawned.server_pid.is_none() {
            self.sweep(witness, spawned);
        }
        Ok(())
    }
}

/// Whether a session is elsewhere than it was to be: one sentence. tmux goes elsewhere without a word where it cannot
/// go there, and where its own directory was deleted (3.7c).
fn strayed(cwd: &Path, made: &NewSession) -> Option<String> {
    let process = made.process?;
    let id = |path: &Path| std::fs::metadata(path).map(|facts| (facts.dev(), facts.ino()));
    let link = PathBuf::from(format!("/proc/{process}/cwd"));
    match (id(cwd), id(&link)) {
        (Ok(wanted), Ok(there)) if wanted == there => None,
        _ => Some(words::strayed(cwd, std::fs::read_link(&link).ok().as_deref())),
    }
}

/// Waits for a server that may be just ending.
fn wait_for_end(pid: Option<Pid>, most: Duration) {
    match pid {
        Some(pid) => await_end(pid, most),
        None => std::thread::sleep(most.min(Duration::from_millis(100))),
    }
}
