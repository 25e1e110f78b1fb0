//! Asking for the session: one client, in a scope if a server is to be started and one is wanted.

use super::handover::Order;
use super::job::{Job, Trouble, is_stopped};
use super::lasting;
use super::manager::Kind;
use super::place::Standing;
use super::result::Spawned;
use super::scope::{self, Scope};
use super::session;
use crate::child::{self, Ended};
use crate::socket::sight::Witness;
use crate::tmux::client::{self, DEADLINE, Start};
use std::ffi::OsString;

/// How often a client's deadline may pass while the server that it starts is seen to come up.
const MOST_WAITS: u32 = 10;

impl Job<'_> {
    /// Asks for the session. In a scope, if a server is to be started and one is wanted.
    pub(super) fn create(
        &self,
        start: Start,
        prints: bool,
        witness: &mut Witness,
        spawned: &mut Spawned,
    ) -> Result<Ended, Trouble> {
        let mut waits = 0;
        let mut patient = || {
            waits += 1;
            start == Start::Allowed && waits < MOST_WAITS && self.is_coming_up(witness)
        };
        let words = session::new_session(self.request, prints);
        let arguments = self.tmux().arguments(start, &words);
        match &self.scope {
            Scope::Unavailable(why) if start == Start::Allowed => spawned.scope_note = Some(why.clone()),
            Scope::Ours(unit) => spawned.scope = Some(unit.clone()),
            Scope::Wanted { manager, needed } if start == Start::Allowed => {
                let unit = Kind::Scope.unit(&self.place.label, spawned.attempts);
                let pwd = self.request.cwd.clone().map(Into::into);
                let cwd = pwd.clone().map_or_else(here, Ok).map_err(|error| self.cannot_run(&error))?;
                let environment = scope::environment(pwd);
                let order = Order { stay: false, cwd, arguments: arguments.clone(), environment };
                match manager.run(Kind::Scope, &unit, &order, &mut patient) {
                    Ok(ended) => {
                        spawned.scope = Some(unit);
                        return Ok(ended);
                    }
                    Err(error) if *needed => return Err(Trouble::Other(error)),
                    Err(error) => spawned.scope_note = Some(lasting::without_a_scope(&error)),
                }
            }
            _ => {}
        }
        let ended = self.run_client(&arguments, &mut patient)?;
        if start == Start::Never && !self.request.join_only && client::is_usage_error(&ended) {
            // Before 3.2 there is no -N.
            return self.run_client(&self.tmux().arguments(Start::Allowed, &words), &mut patient);
        }
        Ok(ended)
    }

    /// Whether a server is just being started at the path: its lock is held, or it listens already and
    /// reads its configuration, which may run programs. A stopped one is not.
    fn is_coming_up(&self, witness: &mut Witness) -> bool {
        match self.place.look(self.settings, self.user, witness) {
            Standing::Starting => true,
            Standing::Live(pid) => !pid.is_some_and(is_stopped),
            _ => false,
        }
    }

    fn run_client(
        &self,
        arguments: &[OsString],
        patient: &mut dyn FnMut() -> bool,
    ) -> Result<Ended, Trouble> {
        let mut command = client::command(arguments);
        if let Some(cwd) = &self.request.cwd {
            // tmux believes PWD where it leads to the same directory: links keep their names.
            command.current_dir(cwd).env("PWD", cwd);
        }
        child::run_patiently(&mut command, DEADLINE, patient).map_err(|error| self.cannot_run(&error))
    }
}

fn here() -> std::io::Result<OsString> {
    std::env::current_dir().map(Into::into)
}
