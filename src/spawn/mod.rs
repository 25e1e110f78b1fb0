//! A session that starts whatever the socket directory looks like.
//!
//! ```text
//! choose a place → sweep it → look what stands there → create → verify → (once more, after a sweep)
//! ```
//!
//! Everything else in the user's directories is swept beside that: none of it is in this session's way, and
//! tmux is waited for anyway.
//!
//! Each session has a socket of its own ([`label`]), in the first directory in which one can be
//! ([`place`]). What is handed over is data: [`crate::host::quote`] says how it gets through. An exit
//! code proves nothing: [`answer`] reads what tmux said, [`session`] asks whether the session is there.
//! In a systemd service the server gets a scope of its own ([`scope`]), or is started outside where the
//! service's files are its own ([`outside`]).

mod answer;
mod attempts;
pub(crate) mod carry_out;
mod create;
mod ending;
mod find;
pub(crate) mod handover;
mod job;
mod label;
mod manager;
pub(crate) mod outside;
mod place;
mod program;
mod refusal;
mod registration;
mod request;
pub(crate) mod result;
mod scope;
mod session;
mod watch;
mod words;

pub(crate) use find::{Whereabouts, find};
pub use label::of as label_of;
pub(crate) use request::{Request, ScopeWish};
pub(crate) use result::{Ending, Spawned};

use crate::config::Settings;
use crate::host::{apart, lasting};
use crate::pass::{self, Places};
use place::{Fitness, Place, PlaceState};
use rustix::fs::{Access, AtFlags, Mode, OFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::checkpoint::{self, Step};
use tmux_sockets::sweep::discover::{self, Surroundings};
use tmux_sockets::sweep::{Act, Pass};
use tmux_sockets::witness::Witness;

/// What a whole run of `spawn` came to.
#[derive(Debug)]
pub(crate) enum Done {
    /// It was done here.
    Here(Box<Spawned>),
    /// It was done outside of the unit that we run in; this is what that run said.
    Outside(crate::host::child::Ended),
}

/// Makes the session. Never panics and never gives up silently: whatever happens is in the result.
pub(crate) fn run(settings: &Settings, user: Uid, request: &Request) -> Done {
    crate::host::inherited::keep_from_children();
    let mut spawned = Spawned::new(&request.name, settings.spawn.tmux.as_os_str());
    let mut witness = Witness::new(user);
    // On a file system that hangs tmux would wait for ever, and hold its start lock.
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let (home, runtime) = (absolute("HOME"), absolute("XDG_RUNTIME_DIR"));
    let needed = [
        ("--cwd", request.cwd.as_ref()),
        ("HOME", home.as_ref()),
        // A tmux that was built with systemd asks the service manager there for a scope for each pane.
        ("XDG_RUNTIME_DIR", runtime.as_ref()),
        ("spawn.tmux", Some(&settings.spawn.tmux)),
    ];
    for (name, path) in needed.into_iter().filter_map(|(name, path)| Some((name, path?))) {
        if path.components().count() > 1 {
            if let Err(error) = apart::reach(path) {
                spawned.fail(words::out_of_reach(name, path, &error));
                return Done::Here(Box::new(spawned));
            }
        }
    }
    if let Some(cwd) = &request.cwd {
        if let Err(error) = can_enter(cwd) {
            spawned.fail(words::no_directory(cwd, &error));
            return Done::Here(Box::new(spawned));
        }
    }
    if !request.sweep {
        return start(settings, user, request, &mut witness, spawned);
    }
    std::thread::scope(|scope| {
        let everything = || sweep_all(settings, user, request);
        let beside = std::thread::Builder::new().name("sweep".to_owned()).spawn_scoped(scope, everything);
        let mut done = start(settings, user, request, &mut witness, spawned);
        // The sweep's thread cannot have panicked: a panic ends the program.
        let swept = beside.map_or_else(|_| everything(), |sweep| sweep.join().unwrap_or_default());
        if let Done::Here(spawned) = &mut done {
            spawned.swept.extend(swept);
        }
        done
    })
}

/// Makes the session, with whatever else stands in the directories.
fn start(
    settings: &Settings,
    user: Uid,
    request: &Request,
    witness: &mut Witness,
    mut spawned: Spawned,
) -> Done {
    let place = match choose(settings, user, request, witness, &mut spawned) {
        Ok(place) => place,
        Err(error) => {
            spawned.fail(error);
            return Done::Here(Box::new(spawned));
        }
    };
    spawned.socket.clone_from(&place.path);
    spawned.label = Some(place.label.clone());
    let scope = match scope::plan(request, user, &place) {
        scope::Plan::Here(scope) => scope,
        scope::Plan::Impossible(error) => {
            spawned.fail(error);
            return Done::Here(Box::new(spawned));
        }
        scope::Plan::Outside(manager, why) => match outside::run_there(manager, &place.label) {
            Ok(ended) => return Done::Outside(ended),
            Err(error) => {
                spawned.fail(format!("{why}; {error}"));
                return Done::Here(Box::new(spawned));
            }
        },
    };
    let job = job::Job { settings, user, request, place: &place, scope };
    checkpoint::step(Step::Placed);
    job.sweep(witness, &mut spawned);
    checkpoint::step(Step::Swept);
    job.run(witness, &mut spawned);
    if let (Ending::Made, Some(pid)) = (spawned.ending, spawned.server_pid) {
        spawned.warnings.extend(lasting::ends_with(pid, user));
    }
    Done::Here(Box::new(spawned))
}

/// Whether a directory is there and can be entered; it need not be readable.
fn can_enter(dir: &Path) -> std::io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = rustix::fs::open(dir, flags, Mode::empty())?;
    Ok(rustix::fs::accessat(&handle, ".", Access::EXEC_OK, AtFlags::EACCESS)?)
}

/// One pass over the user's socket directories, the same as `sweep` makes; what it removed.
fn sweep_all(settings: &Settings, user: Uid, request: &Request) -> Vec<PathBuf> {
    let mut witness = Witness::new(user);
    let targets = if request.dirs.is_empty() {
        witness.refresh();
        Places::of(settings, witness.table(), user).targets
    } else {
        Places::named(&request.dirs).targets
    };
    let sweep = Pass { policy: settings, far: &pass::far::Apart, user, act: Act::Remove };
    pass::remove(&sweep, &mut witness, &targets, request.dirs.is_empty()).removed().collect()
}

/// The directories in which a socket may be made, best first: those that tmux would use, then the
/// user's runtime directory, then those of the configuration.
fn candidates(settings: &Settings, user: Uid, request: &Request) -> Vec<PathBuf> {
    if !request.dirs.is_empty() {
        return request.dirs.clone();
    }
    let mut around = Surroundings::of_this_process();
    around.runtime_dir = around.runtime_dir.or_else(|| Some(lasting::runtime_dir(user)));
    discover::tmuxs_own(&settings.extra_socket_dirs, &around, user)
}

/// The first place that can be used.
///
/// # Errors
/// One sentence: what is in the way, or why there is no place at all.
fn choose(
    settings: &Settings,
    user: Uid,
    request: &Request,
    witness: &mut Witness,
    spawned: &mut Spawned,
) -> Result<Place, String> {
    let mut reasons = Vec::new();
    // The best so far; the search goes on until one is good enough.
    let mut best: Option<(Fitness, Place, String)> = None;
    for dir in candidates(settings, user, request) {
        let place = match Place::open(&dir, user, &request.name, request.socket_label.as_deref()) {
            Ok(place) => place,
            Err(reason) => {
                reasons.push(reason);
                continue;
            }
        };
        // A multiplexer of another kind (psmux) may have its sockets elsewhere.
        let standing = place.look(settings, user, witness);
        if matches!(standing, PlaceState::Free | PlaceState::Doubtful | PlaceState::Starting) {
            if let Some(stuck) = place.stuck(user, Duration::ZERO) {
                return Err(words::stuck(&stuck));
            }
        }
        let fitness = place.fitness(&standing, request.join_only);
        let before = reasons.join("; ");
        match &fitness {
            Fitness::Usable => return Ok(taken(place, before, spawned)),
            Fitness::Fails(error) => return Err(error.clone()),
            Fitness::Far(reason) | Fitness::FarAndFails(_, reason) | Fitness::Hindered(reason) => {
                reasons.push(reason.clone());
            }
        }
        if best.as_ref().is_none_or(|(known, ..)| fitness.rank() < known.rank()) {
            best = Some((fitness, place, before));
        }
    }
    match best {
        Some((Fitness::Far(_), place, before)) => Ok(taken(place, before, spawned)),
        Some((Fitness::FarAndFails(error, _), ..)) => Err(error),
        _ => Err(words::nowhere(&reasons)),
    }
}

/// Enters why the directories before a place were passed over, if any was.
fn taken(place: Place, reasons: String, spawned: &mut Spawned) -> Place {
    if !reasons.is_empty() {
        spawned.fallback = Some((place.dir.path().to_owned(), reasons));
    }
    place
}
