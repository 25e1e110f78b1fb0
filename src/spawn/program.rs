//! The path of this program, for a manager that is to run it.

use rustix::fs::{AtFlags, CWD, FileType, Mode};
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::text::{errno_text, io_text};

/// The path at which this very program lies. A manager resolves it when it comes to it, so for root it must be one
/// that only root can put something else at (`is_roots`). `is_same`: whether the manager finds the same file at a path;
/// `None`: that cannot be told.
///
/// # Errors
/// One sentence.
pub(super) fn own(is_roots: bool, is_same: impl FnOnce(&Path) -> Option<bool>) -> Result<PathBuf, String> {
    let path = std::env::current_exe()
        .map_err(|error| format!("our own program cannot be found: {}", io_text(&error)))?;
    let id = |path: &Path| rustix::fs::stat(path).map(|stat| (stat.st_dev, stat.st_ino));
    if id(&path) != id(Path::new("/proc/self/exe")) {
        return Err(format!("{} was replaced while this ran; call it again", escaped(&path)));
    }
    let is_same = is_same(&path);
    if is_same == Some(false) {
        return Err(format!(
            "{} is another file, or none, for the service manager that is to run it; install the program where both see it",
            escaped(&path)
        ));
    }
    // The sticky bit counts only if the manager sees the same folder.
    match is_roots.then(|| writable_by_others(&path, is_same.is_some())) {
        Some(Err(errno)) => Err(format!("{}: {}", escaped(&path), errno_text(errno))),
        Some(Ok(Some(open))) => Err(format!(
            "{} is not for root alone to write ({}), and the service manager is to run it as root; install the program where only root can write",
            escaped(&path),
            escaped(&open)
        )),
        Some(Ok(None)) | None => Ok(path),
    }
}

/// The first part of a resolved path that somebody else than root can write or replace.
fn writable_by_others(path: &Path, trusts_sticky: bool) -> Result<Option<PathBuf>, Errno> {
    for part in path.ancestors() {
        let facts = rustix::fs::statat(CWD, part, AtFlags::SYMLINK_NOFOLLOW)?;
        let open = Mode::from_raw_mode(facts.st_mode).intersects(Mode::WGRP | Mode::WOTH);
        // In a sticky folder nobody else renames or removes what is root's; every part of the path must be root's.
        let is_sticky = trusts_sticky
            && FileType::from_raw_mode(facts.st_mode) == FileType::Directory
            && Mode::from_raw_mode(facts.st_mode).contains(Mode::SVTX);
        if facts.st_uid != 0 || (open && !is_sticky) {
            return Ok(Some(part.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_others_can_write_is_named() {
        assert_eq!(
            writable_by_others(&Path::new("/proc/self/../version").canonicalize().unwrap(), true),
            Ok(None)
        );
        assert_eq!(writable_by_others(Path::new("/nothing here"), true), Err(Errno::NOENT));
        let room = tempfile::tempdir_in("/tmp").unwrap();
        let folder = room.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("file");
        std::fs::write(&file, "").unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&file, 0o755);
        mode(&folder, 0o755);
        if rustix::process::geteuid().is_root() {
            assert_eq!(writable_by_others(&file, true), Ok(None), "sticky /tmp does no harm");
            assert_eq!(writable_by_others(&file, false), Ok(Some("/tmp".into())));
            mode(&folder, 0o775);
            assert_eq!(writable_by_others(&file, true), Ok(Some(folder.clone())));
            mode(&folder, 0o1777);
            assert_eq!(writable_by_others(&file, true), Ok(None));
            mode(&folder, 0o755);
            mode(&file, 0o757);
            assert_eq!(writable_by_others(&file, true), Ok(Some(file.clone())));
            mode(&file, 0o755);
            std::os::unix::fs::chown(&folder, Some(1), None).unwrap();
            assert_eq!(writable_by_others(&file, true), Ok(Some(folder)));
        } else {
            assert_eq!(writable_by_others(&file, true), Ok(Some(file)));
        }
    }
}
