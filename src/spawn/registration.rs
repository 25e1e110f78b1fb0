//! psmux and its kind: a registration can outlive its server, and blocks the name.
//!
//! Such a program clears a stale name about a second after it was asked to (`kill-session`), and until
//! then its `new-session` says 0 and does nothing. It is asked to only when the session positively has
//! no server: `has-session` says no, *and* nothing stands at the socket's path or it is proven dead.

use super::answer::{self, Answer};
use super::job::{Job, Trouble};
use super::result::{CommandState, Spawned};
use super::session;
use super::words;
use std::ffi::{OsStr, OsString};
use tmux_sockets::witness::Witness;

/// Makes the session with such a program; `has-session` alone verifies.
pub(super) fn run(job: &Job<'_>, witness: &mut Witness, spawned: &mut Spawned) {
    match make(job, witness, spawned) {
        Ok(()) => {
            spawned.command = CommandState::Ran;
            spawned.succeed();
        }
        Err(Trouble::Exists) => spawned.exists(None),
        // A program that does nothing and exits with 0 looks the same: what it did is not known.
        Err(Trouble::Unknown(error)) => spawned.doubt(error),
        Err(Trouble::Ran(error)) => spawned.lose(error),
        Err(Trouble::Socket(error) | Trouble::Other(error)) => spawned.fail(error),
    }
}

fn make(job: &Job<'_>, witness: &mut Witness, spawned: &mut Spawned) -> Result<(), Trouble> {
    let name = &job.request.name;
    let mut target = OsString::from("=");
    target.push(name);
    let ask = || session::has(&job.tmux(), &target).map_err(|error| job.cannot_run(&error));
    match ask()? {
        Answer::Yes => return Err(Trouble::Exists),
        Answer::GivenUp => return Err(Trouble::Other(words::silent(&job.place.path, None))),
        Answer::No(_) | Answer::NoServer(_) => {}
    }
    if job.request.join_only {
        return Err(Trouble::Other(words::not_living(&job.place.path)));
    }
    if job.is_free(witness) {
        let words = [OsStr::new("kill-session"), OsStr::new("-t"), &target];
        // It says 1 where nothing was registered: whatever it says, has-session decides.
        job.tmux().ask(&words).map_err(|error| job.cannot_run(&error))?;
    }
    let mut said = String::new();
    for round in 0..job.settings.spawn.verify_attempts {
        if round > 0 {
            std::thread::sleep(job.settings.spawn.verify_delay);
            if ask()? == Answer::Yes {
                return Ok(());
            }
        }
        spawned.attempts += 1;
        let ended = job.ask_other(spawned)?;
        let text = answer::text(&ended);
        if !text.is_empty() {
            said = text;
        }
        if ask()? == Answer::Yes {
            return Ok(());
        }
    }
    Err(Trouble::Unknown(words::no_session(&job.place.path, name, &said)))
}
