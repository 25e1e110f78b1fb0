//! Where a session's socket goes: the first socket directory in which one can be, and what stands at
//! its path now.

use super::{label, words};
use crate::config::Settings;
use crate::host::apart;
use crate::pass::far::Apart;
use rustix::fs::{Access, AtFlags, FileType, Mode};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tmux_sockets::ghost::{self, Area, Found, Ghost};
use tmux_sockets::judge::{Blindness, Reason, State, TableSays};
use tmux_sockets::kernel::Label;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::file_system::{self, FileSystem};
use tmux_sockets::kernel::{Processes, await_end};
use tmux_sockets::sweep::{Act, Pass, Target};
use tmux_sockets::tmux::paths;
use tmux_sockets::tmux::start_lock::is_seen_held;
use tmux_sockets::tmux::stuck::{self, Stuck};
use tmux_sockets::tmux::{SocketDir, Strictness};
use tmux_sockets::witness::Witness;

/// How often and how long a server that seems to be ending is waited for.
const MOST_ENDINGS: u32 = 4;
const ENDING: Duration = Duration::from_millis(250);

/// A socket's place.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dir: SocketDir,
    pub(super) label: Label,
    /// The resolved path, which tmux gets.
    pub(super) path: PathBuf,
}

#[derive(Debug)]
enum Look {
    Is(PlaceState),
    /// It may be over with the next look, and is this if not: a server that the table does not show,
    /// so that it cannot be believed, may be just ending, its socket closed already (its pid); a
    /// socket that was bound only may listen since, its start over.
    Passing(Option<Pid>, PlaceState),
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PlaceState {
    /// Nothing, or what is proven dead: a server may be started.
    Free,
    /// The same; a server that is not reached here may have lost its socket, or sees other files.
    Doubtful,
    /// A start is under way.
    Starting,
    /// A server listens: its pid, where it can be told.
    Live(Option<Pid>),
    /// A server listens that has lost its socket.
    Ghost(Ghost),
    /// Something that forbids a start: one sentence with its cure.
    InTheWay(String),
}

impl Place {
    /// The place for a session in a directory, which is made as tmux makes it if it is missing.
    ///
    /// # Errors
    /// One sentence: why no socket of ours can be there.
    pub(super) fn open(
        path: &Path,
        user: Uid,
        name: &OsStr,
        socket_label: Option<&OsStr>,
    ) -> Result<Self, String> {
        apart::vouch(path, user)?;
        let refused = |error| words::refused_dir(path, error);
        let dir = match SocketDir::open(path, user, Strictness::Swept).map_err(refused)? {
            Some(dir) => dir,
            None => make(path, user)?,
        };
        Self::of(dir, name, socket_label)
    }

    /// The place for a session in a directory that is open.
    ///
    /// # Errors
    /// One sentence: its path would be too long.
    pub(super) fn of(dir: SocketDir, name: &OsStr, socket_label: Option<&OsStr>) -> Result<Self, String> {
        let room = room_in(dir.path());
        let label = match socket_label {
            Some(label) => Label::new(label).filter(|label| label.len() <= room),
            None => label::of(name, room),
        };
        let label = label.ok_or_else(|| words::too_long(dir.path()))?;
        let path = dir.path_of(&label);
        Ok(Self { dir, label, path })
    }

    /// A live server that is bound here and has lost its socket, or what else speaks against that there is none.
    fn ghost(&self, user: Uid, witness: &mut Witness) -> Option<PlaceState> {
        let area = Area::path(&self.path)?;
        let Found { ghosts, doubtful, lack } = ghost::find(user, witness, &area);
        let unseen = || lack.map(|errno| PlaceState::InTheWay(words::not_all_seen(&self.path, errno)));
        let ghost = ghosts.into_iter().next().map(PlaceState::Ghost);
        ghost.or_else(unseen).or_else(|| (!doubtful.is_empty()).then_some(PlaceState::Doubtful))
    }

    /// Whether a process holds the socket that listens here. Cheaper than to search all processes.
    pub(super) fn is_held_by(&self, pid: Pid, witness: &mut Witness) -> bool {
        let Ok(facts) = self.dir.look(&self.label) else {
            return false;
        };
        witness.refresh();
        let Some(TableSays::Listed { socket, .. }) = witness.lists(facts.id) else {
            return false;
        };
        let process = Processes::open().ok().and_then(|all| all.by_pid(pid));
        process.is_some_and(|process| process.sockets().is_ok_and(|sockets| sockets.contains(&socket)))
    }

    /// This place alone, for a pass.
    pub(super) fn target(&self) -> Target {
        let only = Some(vec![self.label.clone()]);
        Target { path: self.dir.path().to_owned(), only, rule: Strictness::Swept }
    }

    /// Judges what stands here.
    pub(super) fn look(&self, settings: &Settings, user: Uid, witness: &mut Witness) -> PlaceState {
        for _ in 0..MOST_ENDINGS {
            match self.look_once(settings, user, witness) {
                Look::Passing(pid, _) => {
                    if let Some(pid) = pid {
                        await_end(pid, ENDING);
                    }
                    // A witness looks at its surroundings once: a new one is needed.
                    *witness = Witness::new(user);
                }
                Look::Is(standing) => return standing,
            }
        }
        match self.look_once(settings, user, witness) {
            Look::Is(standing) | Look::Passing(_, standing) => standing,
        }
    }

    fn look_once(&self, settings: &Settings, user: Uid, witness: &mut Witness) -> Look {
        let report =
            Pass { policy: settings, far: &Apart, user, act: Act::Look }.run(witness, &[self.target()]);
        let verdict = report.entries.first().map(|entry| (entry.verdict, entry.server_pid));
        Look::Is(match verdict {
            Some((verdict, pid)) if verdict.state == State::Live => PlaceState::Live(pid),
            Some((verdict, _))
                if verdict.state != State::Starting && !is_free(verdict.state, verdict.reason) =>
            {
                let standing = PlaceState::InTheWay(words::in_the_way(&self.path, verdict.reason));
                match verdict.reason {
                    Reason::Blind(Blindness::ServersMissing(pid)) => {
                        return Look::Passing(Some(pid), standing);
                    }
                    Reason::BoundOnly if is_seen_held(&self.dir, &self.label, &mut None) => {
                        PlaceState::Starting
                    }
                    Reason::BoundOnly => return Look::Passing(None, standing),
                    _ => standing,
                }
            }
            _ => match self.ghost(user, witness) {
                Some(found @ (PlaceState::Ghost(_) | PlaceState::InTheWay(_))) => found,
                _ if verdict.is_some_and(|(verdict, _)| verdict.state == State::Starting) => {
                    PlaceState::Starting
                }
                found => found.unwrap_or(PlaceState::Free),
            },
        })
    }

    /// What `spawn` makes of this place, seeing what stands here. `joins_only`: it starts no server anywhere.
    pub(super) fn fitness(&self, standing: &PlaceState, joins_only: bool) -> Fitness {
        let far = if joins_only { None } else { self.is_far() };
        match (standing, far) {
            (PlaceState::Live(_) | PlaceState::Ghost(_), _) => Fitness::Usable,
            (PlaceState::InTheWay(error), None) => Fitness::Fails(error.clone()),
            (PlaceState::InTheWay(error), Some(far)) => Fitness::FarAndFails(error.clone(), far),
            (PlaceState::Free | PlaceState::Doubtful | PlaceState::Starting, _) if joins_only => {
                Fitness::Usable
            }
            (PlaceState::Free | PlaceState::Doubtful | PlaceState::Starting, far) => {
                match (self.can_start(), far) {
                    (Ok(()), None) => Fitness::Usable,
                    (Ok(()), Some(far)) => Fitness::Far(far),
                    (Err(Hindrance::Lock(error)), None) => Fitness::Fails(error),
                    (Err(Hindrance::Lock(error)), Some(_)) | (Err(Hindrance::Directory(error)), _) => {
                        Fitness::Hindered(error)
                    }
                }
            }
        }
    }

    /// Who holds the start lock here and does not let go of it, if anybody does.
    pub(super) fn stuck(&self, user: Uid, patience: Duration) -> Option<Stuck> {
        stuck::of_label(user, &self.dir, &self.label, patience)
    }

    /// Why a dead socket could never be proven dead here, if so: a server of another machine may listen.
    fn is_far(&self) -> Option<String> {
        match file_system::of(self.dir.as_fd()) {
            Ok(FileSystem::Other(magic)) => Some(words::far(self.dir.path(), Reason::FileSystem(magic))),
            Ok(FileSystem::Local { .. }) | Err(_) => None,
        }
    }

    /// Whether a server can be started here: its socket and its lock can be made.
    ///
    /// # Errors
    /// [`Hindrance`].
    fn can_start(&self) -> Result<(), Hindrance> {
        let may = |name: &OsStr, access| rustix::fs::accessat(&self.dir, name, access, AtFlags::EACCESS);
        may(OsStr::new("."), Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|errno| Hindrance::Directory(words::not_writable(self.dir.path(), errno)))?;
        let lock = paths::lock_name(&self.label);
        let lock_path = self.dir.path_of(&lock);
        match self.dir.look(&lock) {
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Hindrance::Lock(words::lock_unopenable(&lock_path, errno))),
            Ok(facts) if facts.kind != FileType::RegularFile => {
                Err(Hindrance::Lock(words::lock_no_file(&lock_path, facts.kind)))
            }
            Ok(_) => match may(&lock, Access::WRITE_OK) {
                // No lock file: tmux removes it once its server listens.
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(errno) => Err(Hindrance::Lock(words::lock_unopenable(&lock_path, errno))),
            },
        }
    }
}

/// How long a label in a directory may be, in bytes, for tmux to take the socket's path.
pub(super) fn room_in(dir: &Path) -> usize {
    (paths::MAX_SOCKET_PATH - 1).saturating_sub(dir.as_os_str().len())
}

/// Why no server can be started at a place: one sentence each.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hindrance {
    /// The directory cannot be written: another one may do.
    Directory(String),
    /// The start lock cannot be opened: tmux would start without it, and beside another start.
    Lock(String),
}

/// What `spawn` makes of a directory, best first: the first of the best it takes, and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fitness {
    /// The session is made there, or joined.
    Usable,
    /// It fails there and goes nowhere else: one sentence.
    Fails(String),
    /// It can be made there, and no dead socket is ever proven to be dead there: one sentence.
    Far(String),
    /// The same, and it would fail there: this sentence, and that one.
    FarAndFails(String, String),
    /// No server can be started there: one sentence.
    Hindered(String),
}

impl Fitness {
    /// 0: there is no better one.
    pub(super) fn rank(&self) -> u32 {
        match self {
            Self::Usable | Self::Fails(_) => 0,
            Self::Far(_) => 1,
            Self::FarAndFails(..) => 2,
            Self::Hindered(_) => 3,
        }
    }
}

/// Whether tmux may make its socket where this stands. What is no socket tmux would delete.
fn is_free(state: State, reason: Reason) -> bool {
    state == State::Dead || reason == Reason::NoSuchSocket
}

/// Makes a directory as tmux makes its own (tmux.c: `make_label`): 0700, its parent must be there.
fn make(path: &Path, user: Uid) -> Result<SocketDir, String> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(words::cannot_make(path, errno)),
    }
    match SocketDir::open(path, user, Strictness::Swept) {
        Ok(Some(dir)) => Ok(dir),
        Ok(None) => Err(words::cannot_make(path, Errno::NOENT)),
        Err(error) => Err(words::refused_dir(path, error)),
    }
}
