//! Asking for the session: a client that starts the server and keeps it, and one that makes the session.
//!
//! The first may be repeated as often as need be: no session is in it. What cannot be repeated is asked of a server
//! that is there, by a client that starts none.

use super::answer::{self, Created, Unknown};
use super::handover::{self, HandoverOrder};
use super::job::{Asked, Job, Trouble, is_runnable, is_stopped};
use super::manager::Kind;
use super::place::PlaceState;
use super::result::Spawned;
use super::scope::{self, Scope};
use super::session::{self, Age, NewSession, PaneTarget};
use super::words;
use crate::host::child::{self, Ended};
use crate::host::client::{self, DEADLINE, Start};
use crate::host::descriptors;
use crate::host::held::{FirstSaid, HeldClient};
use crate::host::lasting;
use std::cell::Cell;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;
use tmux_sockets::kernel::checkpoint::{self, Step};
use tmux_sockets::tmux::stuck;
use tmux_sockets::witness::Witness;

/// How often a client's deadline may pass while the server that it starts is seen to come up, or that it asks has work.
const MOST_WAITS: u32 = 10;

/// A session that was told of, by a client that waits.
#[derive(Debug)]
pub(super) struct Making {
    pub(super) client: HeldClient,
    pub(super) made: NewSession,
    pub(super) age: Age,
    /// Whether that client watches the pane already.
    pub(super) watches: bool,
}

/// What asking for the session came to.
#[derive(Debug)]
pub(super) enum Asking {
    Told(Making),
    /// Exit code 0 and no line: what it said besides.
    Silent(String),
}

impl Job<'_> {
    /// Starts a server, in a scope if one is wanted, and keeps it. It says how many sessions it has by itself.
    pub(super) fn keep_server(
        &self,
        witness: &mut Witness,
        spawned: &mut Spawned,
    ) -> Result<(HeldClient, usize), Trouble> {
        let started = Instant::now();
        // What a client lacks that has not begun yet is its turn, on a machine that has too much to do.
        let (mut waits, client) = (0, Cell::new(None));
        let mut patient = || {
            waits += 1;
            waits < MOST_WAITS && (self.is_coming_up(witness) || client.get().is_some_and(is_runnable))
        };
        let arguments = self.tmux().sequence(Start::Allowed, &session::keep_server());
        let mut held = self.start_server(&arguments, spawned, &mut patient)?;
        client.set(held.pid());
        checkpoint::step(Step::Keeping);
        let mut sessions = 0;
        loop {
            let said = held.line(DEADLINE, &mut patient).map_err(|error| self.cannot_run(&error))?;
            match said {
                FirstSaid::Line(line) if line == b"session" => sessions += 1,
                // tmux prints the number; a wrapper prints other lines.
                FirstSaid::Line(line) if !line.is_empty() && line.iter().all(u8::is_ascii_digit) => {
                    spawned.note_noise(handover::words(&held.complaints()));
                    checkpoint::step(Step::Kept);
                    return Ok((held, sessions));
                }
                FirstSaid::Line(_) => {}
                FirstSaid::Nothing => {
                    let mut ended = held.end().map_err(|error| self.cannot_run(&error))?;
                    ended.err = handover::words(&ended.err).to_vec();
                    return Err(match answer::not_kept(&ended) {
                        Created::NoServer(error) => Trouble::Socket(error),
                        Created::Refused(error) => Trouble::Other(error),
                        other => Trouble::Other(format!("{other:?}")),
                    });
                }
                FirstSaid::GivenUp => {
                    held.kill();
                    if let Some(stuck) = self.place.stuck(self.user, stuck::PATIENCE) {
                        return Err(Trouble::Other(words::stuck(&stuck)));
                    }
                    let pid = self.server(witness).filter(|_| self.is_coming_up(witness));
                    return Err(Trouble::Other(words::not_started(&self.place.path, pid, started.elapsed())));
                }
            }
        }
    }

    /// The client that starts a server. What the server gets from it lasts: its directory is one that stays.
    fn start_server(
        &self,
        arguments: &[OsString],
        spawned: &mut Spawned,
        patient: &mut dyn FnMut() -> bool,
    ) -> Result<HeldClient, Trouble> {
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let stays = home.filter(|home| super::can_enter(home).is_ok()).unwrap_or_else(|| PathBuf::from("/"));
        match &self.scope {
            Scope::Unavailable(why) => spawned.scope_note = Some(why.clone()),
            Scope::Ours(unit) => spawned.scope = Some(unit.clone()),
            Scope::Wanted { manager, needed } => {
                let unit = Kind::Scope.unit(&self.place.label, spawned.attempts);
                let pwd = self.request.cwd.clone().map(Into::into);
                let environment = scope::environment(pwd);
                let cwd = stays.clone().into();
                let order = HandoverOrder { stay: false, cwd, arguments: arguments.to_vec(), environment };
                match manager.hold(&unit, &order, patient) {
                    Ok(held) => {
                        spawned.scope = Some(unit);
                        return Ok(held);
                    }
                    Err(error) if *needed => return Err(Trouble::Other(error)),
                    Err(error) => spawned.scope_note = Some(lasting::without_a_scope(&error)),
                }
            }
            Scope::None => {}
        }
        let mut command = client::command(arguments);
        command.current_dir(stays);
        if let Some(cwd) = &self.request.cwd {
            command.env("PWD", cwd);
        }
        HeldClient::start(&mut command).map_err(|error| self.cannot_run(&error))
    }

    /// Asks a server that is there for the session, once. It is asked anew only where it did not understand.
    /// `is_empty`: no session was ever on it.
    pub(super) fn ask(&self, asked: &Asked, is_empty: bool) -> Result<Asking, Trouble> {
        let cannot = |error: io::Error| self.cannot_run(&error);
        let (mut start, mut age) = (Start::Never, if asked.is_mute { Age::Mute } else { Age::New });
        let target = PaneTarget::of(&self.request.name, is_empty);
        loop {
            let mut commands = vec![session::new_session(self.request, age != Age::Mute)];
            commands.extend(match (&target, age) {
                (_, Age::Mute) => Vec::new(),
                (Some(target), age) => target.watch(age),
                (None, age) => session::keep_newest(age),
            });
            let arguments = self.tmux().sequence(start, &commands);
            let mut client = HeldClient::start(&mut self.in_place(&arguments)).map_err(cannot)?;
            checkpoint::step(Step::Asked);
            let (mut waits, both) = (0, [asked.server, client.pid()]);
            // What they lack is their turn, on a machine that has too much to do.
            let mut patient = || {
                waits += 1;
                waits < MOST_WAITS && both.into_iter().flatten().any(is_runnable)
            };
            let said = loop {
                match client.line(DEADLINE, &mut patient).map_err(cannot)? {
                    FirstSaid::Line(line) => {
                        // Lines of others may come before tmux's.
                        if let Some(made) = NewSession::of(&line) {
                            let watches = target.is_some();
                            checkpoint::step(Step::Told);
                            return Ok(Asking::Told(Making { client, made, age, watches }));
                        }
                    }
                    // Nothing came through of what tmux says (a wrapper may swallow it): it waits until it is let go.
                    FirstSaid::Nothing | FirstSaid::GivenUp => break client.end().map_err(cannot)?,
                }
            };
            match (answer::created(&said), age) {
                (Created::TooOld(Unknown::NoStart), _)
                    if start == Start::Never && !self.request.join_only =>
                {
                    start = Start::Allowed;
                }
                (Created::TooOld(Unknown::Hook), Age::New) => age = Age::Middle,
                (Created::TooOld(Unknown::Option), Age::New | Age::Middle) => age = Age::Old,
                (Created::TooOld(_), _) => return Err(Trouble::Other(answer::text(&said))),
                (Created::Silent(text), _) => return Ok(Asking::Silent(text)),
                (Created::Duplicate, _) => return Err(Trouble::Exists),
                (Created::NoServer(error), _) => return Err(Trouble::Socket(error)),
                (Created::Refused(error), _) => return Err(Trouble::Other(words::refused(&error))),
                (Created::Lost(error), _) => {
                    return Err(Trouble::Unknown(words::lost(&self.place.path, &error)));
                }
                (Created::GivenUp, _) => {
                    return Err(Trouble::Unknown(words::given_up(&self.place.path, DEADLINE * waits.max(1))));
                }
            }
        }
    }

    /// Asks a program that is no tmux for the session.
    pub(super) fn ask_other(&self, spawned: &mut Spawned) -> Result<Ended, Trouble> {
        if let Scope::Unavailable(why) = &self.scope {
            spawned.scope_note = Some(why.clone());
        }
        let words = session::new_session(self.request, false);
        let arguments = self.tmux().arguments(Start::Allowed, &words);
        descriptors::as_found(|| child::run(&mut self.in_place(&arguments), DEADLINE))
            .map_err(|error| self.cannot_run(&error))
    }

    /// Whether a server is just being started at the path: its lock is held, or it listens already and
    /// reads its configuration, which may run programs. A stopped one is not.
    fn is_coming_up(&self, witness: &mut Witness) -> bool {
        match self.place.look(self.settings, self.user, witness) {
            PlaceState::Starting => true,
            PlaceState::Live(pid) => !pid.is_some_and(is_stopped),
            PlaceState::Free | PlaceState::Doubtful | PlaceState::Ghost(_) | PlaceState::InTheWay(_) => false,
        }
    }

    /// A client where the session is to be: a session is where the client is that asks for it.
    fn in_place(&self, arguments: &[OsString]) -> Command {
        let mut command = client::command(arguments);
        if let Some(cwd) = &self.request.cwd {
            // tmux believes PWD where it leads to the same directory: links keep their names.
            command.current_dir(cwd).env("PWD", cwd);
        }
        command
    }
}
