//! One socket by its path: is it alive? Never starts a server, never changes anything.

use super::paths::ADRIFT;
use crate::cli::{Global, Probe};
use crate::config::Settings;
use crate::exit::output::Output;
use crate::exit::{Error, Exit};
use crate::host::quote::{argument, is_plain_name};
use crate::logging::journal;
use crate::pass::far::Apart;
use crate::pass::see;
use crate::spawn::{self, Request, Whereabouts};
use crate::view::advice::Advised;
use crate::view::json;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use tmux_sockets::ghost::{self, Area, Found, Ghost, Known, Outsider};
use tmux_sockets::judge::{Reason, State, Verdict};
use tmux_sockets::kernel::Label;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::ProcLocks;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::{escaped, shell_word};
use tmux_sockets::kernel::lack;
use tmux_sockets::kernel::text::unread;
use tmux_sockets::kernel::{Mounts, Walk};
use tmux_sockets::report::Why;
use tmux_sockets::report::{LeftAlone, Outcome};
use tmux_sockets::sweep::discover::Surroundings;
use tmux_sockets::sweep::{Act, Pass, Target};
use tmux_sockets::tmux::start_lock;
use tmux_sockets::tmux::stuck::{self, Stuck};
use tmux_sockets::tmux::{DirectoryError, SocketDir, Strictness};
use tmux_sockets::witness::Witness;

pub(super) fn probe(global: &Global, arguments: &Probe, output: &mut Output) -> Result<Exit, Error> {
    let settings = super::load_settings(global)?;
    let user = Uid::ours();
    let (path, found) = match (&arguments.label, &arguments.path, &arguments.session) {
        (Some(label), ..) if label.is_empty() => {
            return Err(Error::Usage(
                "the label is empty, no socket is called so; `tmux-janitor list` shows them".to_owned(),
            ));
        }
        (Some(label), ..) => {
            let path = match global.dir.first() {
                Some(dir) => dir.join(label),
                None => Surroundings::of_this_process().socket_path(user, label),
            };
            let mut found = look(&settings, user, &path, Strictness::Swept)?;
            if global.dir.is_empty() {
                note_namesakes(&mut found, user, &path);
            }
            (path, found)
        }
        (None, Some(path), _) => (path.clone(), look(&settings, user, path, Strictness::LookedAt)?),
        (None, None, Some(name)) => {
            let request = Request { name: name.clone(), dirs: global.dir.clone(), ..Request::default() };
            request.check()?;
            look_for_session(&settings, user, &request)?
        }
        (None, None, None) => {
            return Err(Error::Usage("name a socket with -L, -S or --session".to_owned()));
        }
    };
    let reason = found.reason();
    if arguments.json {
        output.line(&json::probe(&path, found.verdict.as_ref(), &reason, found.server_pid)?)?;
    } else {
        if output.is_muted() {
            let state = found.verdict.map_or("absent", |verdict| verdict.state.word());
            journal::probed(&path, state, &reason, found.server_pid, &found.sentence(&path));
        }
        output.text(&found.sentence(&path))?;
    }
    Ok(found.exit())
}

/// What was found at a path.
#[derive(Debug, Default)]
struct Probed {
    /// What stands there; `None`: nothing.
    pub verdict: Option<Verdict>,
    /// Who listens on it.
    pub server_pid: Option<Pid>,
    /// Why its directory was not looked into.
    directory_error: Option<LeftAlone>,
    /// Its start lock is held, and not let go of.
    held: Option<Stuck>,
    /// Where nothing stands, or a dead socket: live servers that were bound there.
    ghosts: Vec<Ghost>,
    /// And those that are reached there in another mount namespace, not here.
    behind: Vec<Outsider>,
    /// Why what stands at the path is no answer.
    unusable: Option<String>,
    /// What is worth knowing besides: one clause each.
    notes: Vec<String>,
}

/// Looks at the socket on which `spawn` would make a session now, by the request's name and directories. Whether its
/// server has that session only the server can say, and it is not asked.
fn look_for_session(settings: &Settings, user: Uid, request: &Request) -> Result<(PathBuf, Probed), Error> {
    let Whereabouts { socket, first, others, hidden } = spawn::find(settings, user, request);
    let (path, unusable) = match socket {
        Ok(path) => (path, hidden),
        // Not found does not mean not there: some places could not be looked at.
        Err(reason) => (first, Some(reason)),
    };
    if unusable.is_some() {
        let verdict = Some(Verdict::new(State::Unknown, Reason::NoSuchSocket));
        return Ok((path, Probed { verdict, unusable, ..Probed::default() }));
    }
    let mut found = look(settings, user, &path, Strictness::Swept)?;
    match found.verdict.map(|verdict| verdict.state) {
        Some(State::Live) => found.notes.push(ask_it(settings, &path, &request.name)),
        None | Some(State::Dead) => {
            // One that was made when another directory was the first that could be used.
            for other in &others {
                let there = look(settings, user, other, Strictness::Swept)?;
                if there.exit() == Exit::Done {
                    let there = there.sentence(other);
                    found.notes.push(format!(
                        "in a directory that is not the first that can be used now: {}",
                        there.trim_end()
                    ));
                }
            }
        }
        Some(_) => {}
    }
    Ok((path, found))
}

/// That a live server was not asked for its sessions, and how to.
fn ask_it(settings: &Settings, path: &Path, name: &OsStr) -> String {
    let not_asked = "whether it has the session was not asked";
    if !is_plain_name(name) {
        return not_asked.to_owned();
    }
    let mut target = OsString::from("=");
    target.push(name);
    let (program, socket, target) =
        (shell_word(&settings.spawn.tmux), shell_word(path), shell_word(&argument(&target)));
    format!("{not_asked}: {program} -S {socket} has-session -t {target}")
}

/// Looks at the socket of `path`. Links are followed, as tmux follows them.
fn look(settings: &Settings, user: Uid, path: &Path, rule: Strictness) -> Result<Probed, Error> {
    let (found, lack) = lack::during(|| look_once(settings, user, path, rule));
    let mut found = found?;
    if let Some(errno) = lack.filter(|_| found.is_deserted()) {
        // Neither a ghost nor a start was seen to be none.
        found.verdict.get_or_insert(Verdict::new(State::Unknown, Reason::NoSuchSocket));
        found
            .notes
            .push(format!("whether a live server has lost it could not be looked at: {}", unread(errno)));
    }
    Ok(found)
}

fn look_once(settings: &Settings, user: Uid, path: &Path, rule: Strictness) -> Result<Probed, Error> {
    let resolved = match Mounts::read().walk(path) {
        Walk::Near(resolved) | Walk::Far(resolved) => resolved,
        Walk::Broken(_) => path.to_owned(),
    };
    let (Some(dir), Some(name)) = (parent(&resolved), resolved.file_name().and_then(Label::new)) else {
        return Err(Error::Usage(format!("\"{}\" names no file", escaped(path))));
    };
    let target = Target { path: dir.clone(), only: Some(vec![name.clone()]), rule };
    let report =
        Pass { policy: settings, far: &Apart, user, act: Act::Look }.run(&mut Witness::new(user), &[target]);
    let directory_error = report.directories.iter().find_map(|directory| directory.error.clone());
    let entry = report.entries.into_iter().find(|entry| entry.outcome != Outcome::Vanished);
    let server_pid = entry.as_ref().and_then(|entry| entry.server_pid);
    let verdict = match (entry, &directory_error) {
        (Some(entry), _) => Some(entry.verdict),
        (None, Some(_)) => Some(Verdict::new(State::Unknown, Reason::NoSuchSocket)),
        // A server is being started and has not bound its socket yet.
        (None, None) => {
            is_starting(user, &dir, &name).then_some(Verdict::new(State::Starting, Reason::LockHeld))
        }
    };
    let held = match verdict {
        Some(Verdict { state: State::Starting, .. }) => stuck(user, &dir, &name),
        _ => None,
    };
    let mut found = Probed { verdict, server_pid, directory_error, held, ..Probed::default() };
    // Where nobody answers there may be a ghost; a dead socket is left where a start was tried in vain.
    if found.is_deserted() {
        found.note_not_reached(user, &dir.join(name));
    }
    Ok(found)
}

/// Where else live servers of that label are, one clause each: a tmux that has its sockets in another folder, `tmux -S`.
fn note_namesakes(found: &mut Probed, user: Uid, path: &Path) {
    let (None, None, Some(label)) = (&found.verdict, &found.directory_error, path.file_name()) else {
        return;
    };
    let Some(area) = Area::path(path) else { return };
    let mut witness = Witness::new(user);
    witness.refresh();
    let others = ghost::find_outside(user, &witness, &area, &Known::default());
    let namesakes = others.iter().filter(|other| other.path.file_name() == Some(label) && other.path != path);
    found.notes.extend(namesakes.map(|Outsider { path, pid, outside, .. }| {
        let way = match outside.whereabouts((*pid, user), path, user) {
            Some(whereabouts) => whereabouts,
            None => format!("`tmux -S {} attach` reaches it", shell_word(path)),
        };
        format!("pid {pid} listens on {}: {way}", escaped(path))
    }));
}

fn is_starting(user: Uid, dir: &Path, name: &OsStr) -> bool {
    let dir = SocketDir::open(dir, user, Strictness::LookedAt);
    if let Err(DirectoryError::Unreadable(errno)) = dir {
        lack::heed(errno);
    }
    dir.ok().flatten().is_some_and(|dir| {
        let mut locks: Option<ProcLocks> = None;
        start_lock::is_seen_held(&dir, name, &mut locks)
    })
}

fn stuck(user: Uid, dir: &Path, name: &Label) -> Option<Stuck> {
    let dir = SocketDir::open(dir, user, Strictness::LookedAt).ok().flatten()?;
    stuck::of_label(user, &dir, name, stuck::PATIENCE)
}

fn parent(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() })
}

impl Probed {
    /// Whether nobody listens there.
    fn is_deserted(&self) -> bool {
        matches!(self.verdict, None | Some(Verdict { state: State::Dead, .. }))
    }

    /// Enters the live servers that were bound to the path and cannot be reached there, nowhere any more or not from here;
    /// and what keeps them from being seen.
    fn note_not_reached(&mut self, user: Uid, path: &Path) {
        let Ok(path) = std::path::absolute(path) else {
            self.notes.push(ADRIFT.to_owned());
            return;
        };
        let Some(area) = Area::path(&path) else { return };
        let mut witness = Witness::new(user);
        witness.refresh();
        let Found { ghosts, doubtful, .. } = ghost::find(user, &mut witness, &area);
        let known: Vec<Pid> = ghosts.iter().filter_map(|ghost| ghost.pid).collect();
        let behind = ghost::find_behind(user, &witness, &path, &known);
        let mut pids = known.into_iter().chain(behind.iter().map(|server| server.pid));
        self.server_pid = self.server_pid.or(pids.next().filter(|_| self.verdict.is_none()));
        self.notes.extend(doubtful.first().map(|_| Why::Doubtful.with_advice()));
        if self.verdict.is_none() && ghosts.is_empty() && behind.is_empty() {
            let unseen = see::what_hides_servers(&mut witness, path.parent().unwrap_or(Path::new("/")));
            self.notes
                .extend(unseen.map(|why| format!("a live server that has lost it would not be seen: {why}")));
        }
        (self.ghosts, self.behind) = (ghosts, behind);
    }

    /// One sentence.
    pub(super) fn reason(&self) -> String {
        let reason = match (&self.directory_error, &self.verdict) {
            _ if self.unusable.is_some() => self.unusable.clone().unwrap_or_default(),
            (Some(error), _) => format!("its directory was not looked into: {}", error.with_advice()),
            (None, _) if self.held.is_some() => {
                self.held.as_ref().map(|lock| lock.hold.to_string()).unwrap_or_default()
            }
            (None, verdict) => {
                let reason = verdict.map_or(Reason::NoSuchSocket, |verdict| verdict.reason);
                let ghosts = self.ghosts.iter().map(|ghost| {
                    let pid = ghost.pid.map(|pid| format!(" pid {pid}")).unwrap_or_default();
                    format!("; ghost{pid}: {}", ghost.plight.with_advice())
                });
                let behind = self.behind.iter().filter_map(|Outsider { path, pid, outside, .. }| {
                    let whereabouts = outside.whereabouts((*pid, Uid::ours()), path, Uid::ours())?;
                    Some(format!("; pid {pid} listens on it {whereabouts}"))
                });
                ghosts.chain(behind).fold(reason.with_advice(), |text, clause| text + &clause)
            }
        };
        self.notes.iter().fold(reason, |text, note| format!("{text}; {note}"))
    }

    /// One line for people.
    pub(super) fn sentence(&self, path: &Path) -> String {
        let state = self.verdict.map_or("absent", |verdict| verdict.state.word());
        let pid = self.server_pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
        format!("{}: {state}{pid}: {}\n", escaped(path), self.reason())
    }

    /// As LSB's `status` action.
    pub(super) fn exit(&self) -> Exit {
        match self.verdict.map(|verdict| verdict.state) {
            Some(State::Live | State::Starting) => Exit::Done,
            Some(State::Dead) => Exit::Found,
            None | Some(State::Ghost) => Exit::Absent,
            Some(State::Foreign | State::Unknown | State::NotASocket) => Exit::Undecided,
        }
    }
}
