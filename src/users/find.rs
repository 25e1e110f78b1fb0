//! Which users may have sockets: whose `tmux-UID` folders and runtime directories are there.
//!
//! Names are read and looked at, nothing is opened or entered: what stands in `/tmp` was put there by
//! anybody, and may be swapped for something else the moment after. Who is found here gets a worker, which
//! looks for itself; the worst that a swap can do is to start one in vain.

use crate::discover::RUNTIME_DIRS;
use crate::report::DirectoryReport;
use crate::tmux::paths;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

/// How many names that lie are reported one by one. Anybody can make any number of them.
const STRAYS_TOLD: usize = 32;

/// How long the names of one folder may take. `/tmp` cannot hang; a `TMUX_TMPDIR` in the wrong hands can.
const DEADLINE: Duration = Duration::from_secs(5);

/// A name that lies: it is called like a user's folder and is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// It is no directory: a link, a FIFO, a file.
    NoDirectory(FileType),
    /// It is somebody else's than its name says: the owner's uid.
    Owner(u32),
    /// It cannot be looked at.
    Unreadable(Errno),
    /// So many more in this folder.
    Others(usize),
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Whom, and the folder that told; in the order of their numbers.
    pub(super) users: BTreeMap<u32, PathBuf>,
    /// What must be reported and left alone.
    pub(super) strays: Vec<DirectoryReport>,
}

/// Looks into `extra`, `/tmp` and `/run/user`.
pub(super) fn find(extra: Option<&Path>) -> Found {
    let mut found = Found::default();
    for parent in extra.into_iter().chain([Path::new(paths::DEFAULT_PARENT)]) {
        found.take(parent, paths::uid_of_directory_name, true);
    }
    let plain_number = |name: &OsStr| name.to_str()?.parse().ok();
    found.take(Path::new(RUNTIME_DIRS), plain_number, false);
    found
}

impl Found {
    /// Enters whoever has a folder in `parent`, and the names that lie where that matters.
    fn take(&mut self, parent: &Path, uid_of: fn(&OsStr) -> Option<u32>, strays_matter: bool) {
        let (tell, told) = channel();
        let folder = parent.to_owned();
        // It ends with the process if it hangs.
        std::thread::spawn(move || tell.send(read(&folder, uid_of)));
        let (users, mut strays) = match told.recv_timeout(DEADLINE).unwrap_or(Err(Errno::TIMEDOUT)) {
            Ok(read) => read,
            Err(Errno::NOENT) => return,
            Err(errno) => return self.report(parent.to_owned(), Stray::Unreadable(errno)),
        };
        for (uid, path) in users {
            self.users.entry(uid).or_insert(path);
        }
        if !strays_matter {
            return;
        }
        strays.sort_unstable_by_key(|(uid, _)| *uid);
        let others = strays.len().saturating_sub(STRAYS_TOLD);
        for (uid, stray) in strays.into_iter().take(STRAYS_TOLD) {
            self.report(parent.join(paths::directory_name(uid)), stray);
        }
        if others > 0 {
            self.report(parent.to_owned(), Stray::Others(others));
        }
    }

    fn report(&mut self, path: PathBuf, stray: Stray) {
        self.strays.push(DirectoryReport { path, error: Some(stray.to_string()) });
    }
}

/// The users of a folder, and the names that lie.
type Read = (Vec<(u32, PathBuf)>, Vec<(u32, Stray)>);

fn read(parent: &Path, uid_of: fn(&OsStr) -> Option<u32>) -> Result<Read, Errno> {
    let (mut users, mut strays) = (Vec::new(), Vec::new());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(CWD, parent, flags, Mode::empty())?;
    for entry in rustix::fs::Dir::read_from(&dir)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        let Some(uid) = uid_of(name) else { continue };
        match look(&dir, name, uid) {
            Ok(()) => users.push((uid, parent.join(name))),
            // Gone since.
            Err(Stray::Unreadable(Errno::NOENT)) => {}
            Err(stray) => strays.push((uid, stray)),
        }
    }
    Ok((users, strays))
}

/// Whether a name is a real directory of `uid`.
///
/// Answered from what the kernel has at hand: a file system that a user serves (FUSE) is not asked, since
/// it could let us wait for ever. It then shows an old owner, and at worst nobody is found.
fn look(dir: &OwnedFd, name: &OsStr, uid: u32) -> Result<(), Stray> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let wanted = StatxFlags::TYPE | StatxFlags::UID;
    let facts = rustix::fs::statx(dir, name, flags, wanted).map_err(Stray::Unreadable)?;
    let kind = FileType::from_raw_mode(facts.stx_mode.into());
    if kind != FileType::Directory {
        Err(Stray::NoDirectory(kind))
    } else if facts.stx_uid != uid {
        Err(Stray::Owner(facts.stx_uid))
    } else {
        Ok(())
    }
}
