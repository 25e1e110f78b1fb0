//! Where ghosts are looked for.

use crate::kernel::Bound;
use crate::kernel::Label;
use crate::kernel::file_system;
use crate::kernel::lack::heeded;
use crate::kernel::{FileFacts, FileId};
use crate::kernel::{Mounts, Walk};
use crate::sweep::Target;
use rustix::fs::{Mode, OFlags};
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where ghosts are looked for: socket directories, there or deleted, and if wanted every path that
/// a tmux server of the user is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    places: Vec<Spot>,
    /// As they were when it was made.
    pub(super) mounts: Arc<Mounts>,
    /// Any path of a tmux server, in none of the places too (`tmux -S`).
    pub(super) anywhere: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Spot {
    /// As it was named, and as it is with links resolved.
    named: PathBuf,
    settled: PathBuf,
    id: Option<FileId>,
    /// Its device, where the kernel's table shows the same.
    device: Option<u32>,
    only: Option<Vec<Label>>,
}

impl Area {
    /// The directories and names of a pass; `anywhere`: every path of a tmux server besides.
    pub fn new(targets: &[Target], anywhere: bool) -> Self {
        let mounts = Mounts::read();
        let mut settled = Settled { known: HashMap::new(), mounts: mounts.clone() };
        let place = |target: &Target| {
            let named: PathBuf = target.path.components().collect();
            let (real, id) = settled.of(&named).clone();
            let device = id.filter(|_| has_true_numbers(&named)).map(FileId::kernel_dev);
            Spot { settled: real, id, device, named, only: target.only.clone() }
        };
        Self { places: targets.iter().map(place).collect(), mounts, anywhere }
    }

    /// One path alone. `None`: it has no name.
    pub fn path(path: &Path) -> Option<Self> {
        let dir = path.parent()?.to_owned();
        let only = Some(vec![Label::new(path.file_name()?)?]);
        let target = Target { path: dir, only, rule: crate::tmux::Strictness::LookedAt };
        Some(Self::new(&[target], false))
    }

    /// For directories to be looked up in.
    pub(super) fn settled(&self) -> Settled {
        Settled { known: HashMap::new(), mounts: self.mounts.clone() }
    }

    /// The directories.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        self.places.iter().map(|place| place.settled.clone()).collect()
    }

    /// Whether all names of some directory are asked for.
    pub(super) fn is_wide(&self) -> bool {
        self.anywhere || self.places.iter().any(|place| place.only.is_none())
    }

    /// Whether a bound path is asked for, by its text alone: nothing is looked up.
    pub(super) fn names(&self, path: &Path) -> bool {
        // Of thousands of sockets: bytes are compared, not components.
        let bytes = path.as_os_str().as_bytes();
        let Some(at) = bytes.iter().rposition(|byte| *byte == b'/') else {
            return false;
        };
        let (dir, name) = (&bytes[..at], &bytes[at + 1..]);
        let is_in = |place: &Spot| {
            dir == place.named.as_os_str().as_bytes() || dir == place.settled.as_os_str().as_bytes()
        };
        // "//" and "/./" are in names that programs put together; tmux 3.1c does so by itself.
        let is_odd =
            bytes.windows(2).any(|pair| pair == b"//") || bytes.windows(3).any(|three| three == b"/./");
        if is_odd {
            return self.places.iter().any(|place| {
                place.has(path, |dir| dir == place.named.as_path() || dir == place.settled.as_path())
            });
        }
        let is_wanted = |only: &Vec<Label>| only.iter().any(|wanted| wanted.as_bytes() == name);
        self.places.iter().any(|place| is_in(place) && place.only.as_ref().is_none_or(is_wanted))
    }

    /// Whether a socket may lie in a place by another path: by its name and by the device of its file. Only those
    /// are looked up, so that a dead network mount of somebody else cannot hold us up.
    pub(super) fn may_hold(&self, bound: &Bound<'_>) -> bool {
        let name = bound.name.file_name();
        let is_wanted = |only: &Vec<Label>| only.iter().any(|wanted| Some(wanted.as_os_str()) == name);
        let is_possible = |place: &Spot| {
            place.id.is_some()
                && place.device.is_none_or(|known| known == bound.dev)
                && place.only.as_ref().is_none_or(is_wanted)
        };
        self.places.iter().any(is_possible)
    }

    /// Whether a bound path is asked for, links resolved.
    pub(super) fn covers(&self, path: &Path, settled: &mut Settled) -> bool {
        self.names(path)
            || path.parent().is_some_and(|dir| {
                let (real, id) = settled.of(dir);
                let (real, id) = (real.clone(), *id);
                self.places.iter().any(|place| {
                    place.has(path, |_| real == place.settled || (id.is_some() && id == place.id))
                })
            })
    }
}

impl Spot {
    fn has(&self, path: &Path, is_dir: impl Fn(&Path) -> bool) -> bool {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return false;
        };
        self.only.as_ref().is_none_or(|only| only.iter().any(|wanted| wanted == name)) && is_dir(dir)
    }
}

/// Directories with their links resolved, each looked up once, and what may not answer not at all.
#[derive(Debug)]
pub(super) struct Settled {
    known: HashMap<PathBuf, (PathBuf, Option<FileId>)>,
    mounts: Arc<Mounts>,
}

impl Settled {
    pub(super) fn of(&mut self, dir: &Path) -> &(PathBuf, Option<FileId>) {
        let mounts = &self.mounts;
        self.known.entry(dir.to_owned()).or_insert_with(|| match mounts.walk(dir) {
            Walk::Far(real) => (real, None),
            Walk::Near(_) | Walk::Broken(_) => (settle(dir), id_of(dir)),
        })
    }
}

/// A directory's path with links resolved; of one that is gone, its parent's.
fn settle(dir: &Path) -> PathBuf {
    dir.canonicalize().unwrap_or_else(|_| match (dir.parent(), dir.file_name()) {
        (Some(parent), Some(name)) => {
            parent.canonicalize().map_or_else(|_| dir.to_owned(), |parent| parent.join(name))
        }
        _ => dir.to_owned(),
    })
}

fn has_true_numbers(dir: &Path) -> bool {
    let dir = heeded(rustix::fs::open(dir, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()));
    dir.is_ok_and(|dir| file_system::has_true_numbers(dir.as_fd()))
}

fn id_of(dir: &Path) -> Option<FileId> {
    rustix::fs::stat(dir).ok().map(|stat| FileFacts::from(stat).id)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    #[test]
    fn a_deleted_directory_is_still_a_place_and_links_lead_to_it() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(&base, base.join("link")).unwrap();
        let area = Area::new(&[Target::whole(base.join("gone"))], false);
        let mut settled = area.settled();
        assert!(area.names(&base.join("gone/x")));
        assert!(!area.names(&base.join("link/gone/x")));
        assert!(area.covers(&base.join("link/gone/x"), &mut settled));
        assert!(!area.covers(&base.join("other/x"), &mut settled));
        assert!(!area.covers(&base.join("gone/deeper/x"), &mut settled));
    }

    #[test]
    fn names_are_compared_as_paths() {
        let area = Area::path(Path::new("/tmp/tmux-7/a")).unwrap();
        for path in ["/tmp//tmux-7/a", "/tmp/tmux-7//a", "/tmp/./tmux-7/./a", "//tmp/tmux-7/a"] {
            assert!(area.names(Path::new(path)), "{path}");
        }
        for path in ["/tmp//tmux-7/b", "/tmp//a", "/tmp/tmux-7//b/a"] {
            assert!(!area.names(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn one_path_is_one_name() {
        let area = Area::path(Path::new("/nowhere/a")).unwrap();
        assert!(area.names(Path::new("/nowhere/a")) && !area.names(Path::new("/nowhere/b")));
        assert!(!area.is_wide());
        assert!(Area::path(Path::new("/")).is_none());
    }
}
