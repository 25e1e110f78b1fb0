//! The directory of a ghost's socket: whether it can be used, and making it anew where it is gone.

use super::Ghost;
use crate::judge::RescueFailure;
use crate::kernel::FileFacts;
use crate::kernel::Pid;
use crate::kernel::Uid;
use crate::kernel::rights;
use crate::tmux::paths::{Refusal, Rule};
use crate::tmux::start_lock::OWN_PREFIX;
use crate::tmux::{DirectoryError, SocketDir, Strictness};
use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// What of a ghost's directory may be made anew where it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anew {
    /// The `tmux-UID` alone, in a folder that is there, as tmux makes it.
    Folder,
    /// The folders above it, too: a deleted `TMUX_TMPDIR`. Only where a person asks for the rescue: a watcher
    /// would bring back the temporary folder of every test that left its server running.
    Parents,
}

/// Why a directory cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FolderTrouble {
    /// The folder above it is gone, and was not to be made.
    NoParent,
    /// A rescue fails.
    Failure(RescueFailure),
}

impl From<RescueFailure> for FolderTrouble {
    fn from(failure: RescueFailure) -> Self {
        Self::Failure(failure)
    }
}

/// The folders that were made for a rescue, with what they were made in.
#[derive(Debug, Default)]
pub(super) struct MadeFolder(Vec<(OwnedFd, OsString)>);

impl MadeFolder {
    /// Takes them away again. What holds something by now stays.
    pub(super) fn undo(self) {
        for (parent, name) in self.0.into_iter().rev() {
            // A failure leaves an empty folder that the user may well have had before.
            let _ = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
        }
    }
}

/// Opens the ghost's directory, making it anew as far as `anew` goes. What was made is noted in `made`.
pub(super) fn open_or_make(
    ghost: &Ghost,
    user: Uid,
    anew: Anew,
    made: &mut MadeFolder,
) -> Result<SocketDir, FolderTrouble> {
    let (path, pid) = place(ghost)?;
    if let Some(dir) = open(path, user)? {
        return Ok(dir);
    }
    let gap = Gap::of(path, user, pid)?;
    if anew == Anew::Folder && gap.missing.len() > 1 {
        return Err(FolderTrouble::NoParent);
    }
    gap.fill(user, made).map_err(|errno| RescueFailure::MakeDirectory(errno, pid))?;
    Ok(open(path, user)?.ok_or(RescueFailure::MakeDirectory(Errno::NOENT, pid))?)
}

/// What [`open_or_make`] and [`can_bind`] would fail at as things stand. Nothing is changed.
pub(super) fn trouble(ghost: &Ghost, user: Uid, anew: Anew) -> Option<FolderTrouble> {
    let look = || {
        let (path, pid) = place(ghost)?;
        if let Some(dir) = open(path, user)? {
            return Ok(rights::may_change(&dir).map_err(RescueFailure::NotWritable)?);
        }
        let gap = Gap::of(path, user, pid)?;
        if anew == Anew::Folder && gap.missing.len() > 1 {
            return Err(FolderTrouble::NoParent);
        }
        Ok(may_write(gap.above.as_fd()).map_err(|errno| RescueFailure::MakeDirectory(errno, pid))?)
    };
    look().err()
}

fn place(ghost: &Ghost) -> Result<(&Path, Pid), RescueFailure> {
    match (ghost.path.parent(), ghost.pid) {
        (Some(path), Some(pid)) => Ok((path, pid)),
        (_, pid) => Err(RescueFailure::MakeDirectory(Errno::INVAL, pid.unwrap_or(Pid::new(0)))),
    }
}

/// What is missing of a directory's path.
struct Gap {
    /// The last folder that is there.
    above: OwnedFd,
    /// The names below it, the deepest first.
    missing: Vec<OsString>,
}

impl Gap {
    /// Of a `tmux-UID`, which tmux makes anew (tmux.c: `make_label`); any other folder had its owner's reasons.
    fn of(path: &Path, user: Uid, pid: Pid) -> Result<Self, RescueFailure> {
        if Rule::of(path, user) != Rule::Tmux {
            return Err(RescueFailure::OwnFolder(pid));
        }
        let failed = |errno| RescueFailure::MakeDirectory(errno, pid);
        let mut missing = Vec::new();
        let mut at = path;
        let above = loop {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            match rustix::fs::open(at, flags, Mode::empty()) {
                Ok(above) => break above,
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed(errno)),
            }
            let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else {
                return Err(failed(Errno::NOENT));
            };
            missing.push(name.to_owned());
            at = parent;
        };
        // A link that leads nowhere.
        if missing.last().is_some_and(|name| FileFacts::at(above.as_fd(), name).is_ok()) {
            return Err(failed(Errno::NOTDIR));
        }
        let facts = FileFacts::of(above.as_fd()).map_err(failed)?;
        // Whoever can rename in there could put another folder in the place of ours.
        let is_safe =
            [Uid::ROOT, user].contains(&facts.uid) && (facts.mode & 0o002 == 0 || facts.mode & 0o1000 != 0);
        if missing.len() > 1 && !is_safe {
            return Err(RescueFailure::Untrusted(pid));
        }
        Ok(Self { above, missing })
    }

    /// Makes what is missing, each folder for the user alone, and through the handle of the one above.
    fn fill(self, user: Uid, made: &mut MadeFolder) -> Result<(), Errno> {
        let Self { mut above, missing } = self;
        for name in missing.into_iter().rev() {
            let is_made = match rustix::fs::mkdirat(&above, &name, Mode::RWXU) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(errno) => return Err(errno),
            };
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let below = rustix::fs::openat(&above, &name, flags, Mode::empty())?;
            if FileFacts::of(below.as_fd())?.uid != user {
                return Err(Errno::PERM);
            }
            if is_made {
                made.0.push((above, name));
            }
            above = below;
        }
        Ok(())
    }
}

fn open(path: &Path, user: Uid) -> Result<Option<SocketDir>, RescueFailure> {
    match SocketDir::open(path, user, Strictness::Swept) {
        // `tmux -S /tmp/x`: in a sticky folder nobody else can take away what is the user's.
        Err(DirectoryError::Refused(Refusal::WritableByOthers(mode))) if mode & 0o1000 != 0 => {
            SocketDir::open(path, user, Strictness::LookedAt)
        }
        other => other,
    }
    .map_err(RescueFailure::Directory)
}

/// Whether the user may make files in a directory: its mode, a read-only mount, an immutable folder.
pub(super) fn may_write(dir: impl AsFd) -> Result<(), Errno> {
    rustix::fs::accessat(dir, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty())
}

/// Makes a socket file in the directory and takes it away again: what bind(2) would need.
pub(super) fn can_bind(dir: &SocketDir) -> Result<(), Errno> {
    let name = format!("{OWN_PREFIX}{}-try", rustix::process::getpid().as_raw_nonzero());
    match rustix::fs::mknodat(dir, &name, FileType::Socket, Mode::RUSR | Mode::WUSR, 0) {
        // Left by a killed run that had our pid.
        Ok(()) | Err(Errno::EXIST) => match rustix::fs::unlinkat(dir, &name, AtFlags::empty()) {
            // A sweep has removed it: it is a dead socket.
            Err(Errno::NOENT) => Ok(()),
            other => other,
        },
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use crate::judge::{Plight, Standing};
    use crate::kernel::SocketNumber;
    use crate::tmux::paths;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    fn user() -> Uid {
        Uid::ours()
    }

    /// A ghost at `NAME/tmux-UID/x` in a folder.
    fn ghost(base: &Path, name: &str) -> Ghost {
        let path = base.join(name).join(paths::directory_name(user())).join("x");
        let plight = Plight { pid: Some(Pid::new(1)), standing: Standing::NoDirectory, bar: None };
        Ghost { path, socket: SocketNumber::new(1), pid: Some(Pid::new(1)), plight }
    }

    fn made(ghost: &Ghost, anew: Anew) -> Result<MadeFolder, FolderTrouble> {
        let mut made = MadeFolder::default();
        open_or_make(ghost, user(), anew, &mut made).map(|_| made)
    }

    #[test]
    fn parents_are_made_where_that_is_asked_for_and_taken_away_again() {
        let base = tempfile::tempdir().unwrap();
        let ghost = ghost(base.path(), "a/b");
        for anew in [Anew::Folder, Anew::Parents] {
            let foreseen = trouble(&ghost, user(), anew);
            let made = made(&ghost, anew);
            assert_eq!(foreseen, made.as_ref().err().copied());
            assert_eq!(made.is_ok(), anew == Anew::Parents);
            let permissions = |path: PathBuf| std::fs::metadata(path).unwrap().mode() & 0o7777;
            if let Ok(made) = made {
                assert_eq!(
                    (permissions(base.path().join("a")), permissions(base.path().join("a/b"))),
                    (0o700, 0o700)
                );
                assert_eq!(permissions(ghost.path.parent().unwrap().to_owned()), 0o700);
                made.undo();
            }
            assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_folder_in_use_is_not_taken_away_again() {
        let base = tempfile::tempdir().unwrap();
        let ghost = ghost(base.path(), "a");
        let made = made(&ghost, Anew::Parents).unwrap();
        std::fs::write(&ghost.path, "").unwrap();
        made.undo();
        assert!(ghost.path.exists());
    }

    #[test]
    fn nothing_is_made_where_others_could_swap_it_or_a_link_leads_nowhere() {
        let base = tempfile::tempdir().unwrap();
        let mode =
            |mode| std::fs::set_permissions(base.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let same = |name| {
            let foreseen = trouble(&ghost(base.path(), name), user(), Anew::Parents);
            assert_eq!(made(&ghost(base.path(), name), Anew::Parents).err(), foreseen);
            foreseen
        };
        mode(0o777);
        assert_eq!(same("a"), Some(RescueFailure::Untrusted(Pid::new(1)).into()));
        mode(0o700);
        symlink("nowhere", base.path().join("link")).unwrap();
        assert_eq!(same("link"), Some(RescueFailure::MakeDirectory(Errno::NOTDIR, Pid::new(1)).into()));
        mode(0o1777);
        assert_eq!(trouble(&ghost(base.path(), "a"), user(), Anew::Parents), None);
    }

    #[test]
    fn a_try_that_a_sweep_removes_is_no_failure() {
        // Whatever the umask is.
        let owners = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let folder = tempfile::Builder::new().permissions(owners).tempdir().unwrap();
        let dir = SocketDir::open(folder.path(), user(), Strictness::Swept).unwrap().unwrap();
        let path = folder.path().join(format!("{OWN_PREFIX}{}-try", std::process::id()));
        let (over, taken) = (AtomicBool::new(false), AtomicU32::new(0));
        let deadline = Instant::now() + Duration::from_secs(20);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    taken.fetch_add(u32::from(std::fs::remove_file(&path).is_ok()), Ordering::Relaxed);
                }
            });
            let mut tried = Ok(());
            while tried.is_ok() && taken.load(Ordering::Relaxed) < 10 && Instant::now() < deadline {
                tried = can_bind(&dir);
            }
            over.store(true, Ordering::Relaxed);
            assert_eq!(tried, Ok(()));
        });
        assert!(taken.into_inner() >= 10, "nothing was taken away");
    }
}
