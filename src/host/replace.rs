//! Files that are replaced as a whole: whoever reads one sees the old text or the new, never a part.

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::rights;

/// Writes `text` to a file beside `path` and puts it in the place of `path`, with `mode` whatever the umask.
///
/// A new file takes the place of an old one and of nothing else: of a link, a device or a folder it would
/// be the end. Nothing is waited for to reach the disk: after a crash the next text comes soon.
///
/// # Errors
/// Where the file cannot be written, and where something else than a file stands there.
pub(crate) fn replace(path: &Path, text: &[u8], mode: Mode) -> std::io::Result<()> {
    let name = path.file_name().ok_or(Errno::ISDIR)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(parent, flags, Mode::empty())?;
    replace_in(dir.as_fd(), name, text, mode)
}

/// [`replace`] for a name in a directory that is open.
///
/// # Errors
/// Those of [`replace`].
pub(crate) fn replace_in(dir: BorrowedFd<'_>, name: &OsStr, text: &[u8], mode: Mode) -> std::io::Result<()> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) => match FileType::from_raw_mode(there.st_mode) {
            FileType::RegularFile => {}
            kind => {
                let kind = tmux_sockets::kernel::text::kind_name(kind);
                return Err(std::io::Error::other(format!("{kind} stands there, and it would be replaced")));
            }
        },
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    // A file that is made there can be neither moved nor taken away.
    if rights::is_append_only(dir) {
        return Err(Errno::PERM.into());
    }
    // The directory itself, wherever its path leads by now. No name that a collector of `*.prom` would read.
    let dir = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
    // Opened here, as the library's own errors have lost the kernel's number.
    let open = |path: &Path| File::options().write(true).create_new(true).mode(0o600).open(path);
    let new = tempfile::Builder::new().prefix(".tmux-janitor-new.").make_in(&dir, open)?;
    new.as_file().write_all(text)?;
    rustix::fs::fchmod(new.as_file(), mode)?;
    new.persist(dir.join(name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn names(dir: &Path) -> Vec<OsString> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn whoever_has_the_old_one_open_keeps_it_and_nothing_is_left_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.prom");
        let readable = Mode::from_raw_mode(0o644);
        replace(&path, b"old", readable).unwrap();
        let old = File::open(&path).unwrap();
        replace(&path, b"new text", readable).unwrap();
        assert_eq!(std::io::read_to_string(old).unwrap(), "old");
        assert_eq!(fs::read(&path).unwrap(), b"new text");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
        assert_eq!(names(dir.path()), ["x.prom"]);
    }

    #[test]
    fn where_no_file_can_be_made_the_kernels_reason_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        dir.close().unwrap();
        let error = replace_in(folder.as_fd(), OsStr::new("x"), b"text", Mode::RUSR).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::NOENT), "{error}");
    }

    #[test]
    fn nothing_but_a_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        symlink("/dev/null", &path).unwrap();
        let error = replace(&path, b"text", Mode::RUSR).unwrap_err();
        assert_eq!(error.to_string(), "a symbolic link stands there, and it would be replaced");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"text", Mode::RUSR).is_err());
        assert!(replace(Path::new("/"), b"text", Mode::RUSR).is_err());
        assert!(replace(&dir.path().join("no/x"), b"text", Mode::RUSR).is_err());
        assert_eq!(names(dir.path()), ["x"]);
    }
}
