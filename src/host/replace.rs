//! Files that are replaced as a whole: whoever reads one sees the old text or the new, never a part.

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::SystemTime;

/// Writes `text` to a file beside `path` and puts it in the place of `path`, with `mode` whatever the umask.
///
/// A new file takes the place of an old one and of nothing else: of a link, a device or a folder it would
/// be the end. Nothing is waited for to reach the disk: after a crash the next text comes soon.
///
/// # Errors
/// Where the file cannot be written, and where something else than a file stands there.
pub fn replace(path: &Path, text: &[u8], mode: Mode) -> std::io::Result<()> {
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
pub fn replace_in(dir: BorrowedFd<'_>, name: &OsStr, text: &[u8], mode: Mode) -> std::io::Result<()> {
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
    let beside = name_beside();
    let written =
        write_new(dir, &beside, text, mode).and_then(|()| Ok(rustix::fs::renameat(dir, &beside, dir, name)?));
    if written.is_err() {
        // It may not even be there.
        let _ = rustix::fs::unlinkat(dir, &beside, AtFlags::empty());
    }
    written
}

/// No name that a collector of `*.prom` would read, nor one that anybody else uses at this moment.
fn name_beside() -> OsString {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!(".tmux-janitor-new.{}.{}", std::process::id(), now.as_nanos()).into()
}

fn write_new(dir: BorrowedFd<'_>, name: &OsStr, text: &[u8], mode: Mode) -> std::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(text)?;
    rustix::fs::fchmod(&file, mode)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
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
    fn the_name_beside_is_made_and_nothing_that_stands_there_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (precious, nothing) = (dir.path().join("precious"), dir.path().join("nothing"));
        fs::write(&precious, "precious").unwrap();
        symlink(&precious, dir.path().join("link")).unwrap();
        symlink(&nothing, dir.path().join("dangling")).unwrap();
        let folder = File::open(dir.path()).unwrap();
        for name in ["precious", "link", "dangling"] {
            let error = write_new(folder.as_fd(), OsStr::new(name), b"text", Mode::RUSR).unwrap_err();
            assert_eq!(Errno::from_io_error(&error), Some(Errno::EXIST), "{name}");
        }
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
        assert!(!nothing.exists());
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
