//! Where `spawn NAME` would put a session. Only looks: no directory is made, no server is asked.

use super::outside::{self, View};
use super::place::{Fitness, Place, room_in};
use super::{Request, candidates, label, words};
use crate::config::Settings;
use crate::host::apart;
use crate::host::cgroup;
use crate::host::client::OUTSIDE;
use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use tmux_sockets::judge::Reason;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::file_system::FileSystem;
use tmux_sockets::tmux::{SocketDir, Strictness};
use tmux_sockets::witness::Witness;

/// Where a session's socket would be.
#[derive(Debug)]
pub(crate) struct Whereabouts {
    /// In the first socket directory that can be used now; `Err`: there is none, one sentence.
    pub socket: Result<PathBuf, String>,
    /// Where it would be first of all, whether it can be or not: what to name where there is no other.
    pub first: PathBuf,
    /// In the other ones: a session that was made when the first could not be used is there.
    pub others: Vec<PathBuf>,
    /// Why what stands at that path here may not be what others see there: one sentence.
    pub hidden: Option<String>,
}

/// The socket's path in one directory, and what that is good for.
struct Spot {
    socket: PathBuf,
    fitness: Fitness,
}

/// Finds the place, by the rule of `spawn`, for a request of which only the name and the directories count.
pub(crate) fn find(settings: &Settings, user: Uid, request: &Request) -> Whereabouts {
    let mut witness = Witness::new(user);
    let (mut spots, mut reasons): (Vec<Spot>, _) = (Vec::new(), Vec::new());
    let dirs = candidates(settings, user, request);
    for dir in &dirs {
        match spot(settings, user, &request.name, dir, &mut witness) {
            Err(reason) => reasons.push(reason),
            Ok(spot) if spots.iter().any(|known| known.socket == spot.socket) => {}
            Ok(spot) => {
                if let Fitness::Hindered(reason) = &spot.fitness {
                    reasons.push(reason.clone());
                }
                spots.push(spot);
            }
        }
    }
    // Of equally good ones the first is taken.
    let best = (0..spots.len())
        .filter(|at| !matches!(spots[*at].fitness, Fitness::Hindered(_)))
        .min_by_key(|at| spots[*at].fitness.rank());
    let chosen = best.map(|at| spots.remove(at).socket);
    let others = spots.into_iter().map(|spot| spot.socket).collect();
    let hidden = chosen.as_deref().and_then(Path::parent).and_then(|dir| hides(dir, user));
    let first = dirs.first().map(|dir| {
        label::of(&request.name, room_in(dir)).map_or_else(|| dir.clone(), |label| dir.join(label))
    });
    Whereabouts {
        socket: chosen.ok_or_else(|| words::nowhere(&reasons)),
        first: first.unwrap_or_default(),
        others,
        hidden,
    }
}

/// Why a directory here may be another one than `spawn` would use: it goes outside of the unit that it is called in.
fn hides(dir: &Path, user: Uid) -> Option<String> {
    if std::env::var_os(OUTSIDE).is_some() {
        return None;
    }
    let service = cgroup::own()?;
    // Without a manager: asking one would start a unit.
    match outside::view(dir, &service, user, None) {
        View::Shared | View::Mortal(_) => None,
        View::Hidden(why) => Some(words::hidden(dir, &why)),
        View::Unknown => Some(words::unseen(dir, &service.unit)),
    }
}

/// # Errors
/// One sentence: why no socket of ours can be there.
fn spot(
    settings: &Settings,
    user: Uid,
    name: &OsStr,
    dir: &Path,
    witness: &mut Witness,
) -> Result<Spot, String> {
    apart::vouch(dir, user)?;
    let Some(open) =
        SocketDir::open(dir, user, Strictness::Swept).map_err(|error| words::refused_dir(dir, error))?
    else {
        return missing(user, dir, name);
    };
    let place = Place::of(open, name, None)?;
    let standing = place.look(settings, user, witness);
    let fitness = place.fitness(&standing, false);
    Ok(Spot { socket: place.path, fitness })
}

/// The same where there is no directory yet: `spawn` would make it, as tmux makes its own.
fn missing(user: Uid, dir: &Path, name: &OsStr) -> Result<Spot, String> {
    let cannot = |errno| words::cannot_make(dir, errno);
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    rustix::fs::accessat(CWD, parent, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(cannot)?;
    let parent =
        parent.canonicalize().map_err(|error| cannot(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    let dir = parent.join(dir.file_name().ok_or_else(|| cannot(Errno::INVAL))?);
    let label = label::of(name, room_in(&dir)).ok_or_else(|| words::too_long(&dir))?;
    // A directory that is missing would be made on the file system of its parent.
    let above = SocketDir::open(&parent, user, Strictness::LookedAt).ok().flatten();
    let fitness = match above.map(|above| above.file_system()) {
        Some(FileSystem::Other(magic)) => Fitness::Far(words::far(&dir, Reason::FileSystem(magic))),
        Some(FileSystem::Local { .. }) | None => Fitness::Usable,
    };
    Ok(Spot { socket: dir.join(label), fitness })
}
