//! The list of what was made. `packaging/install` writes and reads the same.

use crate::host::read;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::text::io_text;

/// Of SHA-256, in hexadecimal.
const DIGITS: usize = 64;

/// A line: something that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    File(PathBuf),
    Dir(PathBuf),
    /// What was written into a file: SHA-256, in hexadecimal digits.
    Sum(PathBuf, String),
}

impl Line {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Dir(path) | Self::Sum(path, _) => path,
        }
    }

    /// What a text is known by.
    pub(super) fn sum(path: &Path, text: &[u8]) -> Self {
        Self::of_digest(path, &Sha256::digest(text))
    }

    /// The same of what is in a file now: a program is longer than any text of ours.
    ///
    /// # Errors
    /// It cannot be read, or is no file.
    pub(super) fn sum_now(path: &Path) -> io::Result<Self> {
        let mut file =
            File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (mut digest, mut part) = (Sha256::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut part) {
                Ok(0) => return Ok(Self::of_digest(path, &digest.finalize())),
                Ok(length) => digest.update(&part[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn of_digest(path: &Path, digest: &[u8]) -> Self {
        let digits = digest.iter().fold(String::new(), |mut digits, byte| {
            let _ = write!(digits, "{byte:02x}");
            digits
        });
        Self::Sum(path.to_owned(), digits)
    }

    /// Whether it is a unit that can be enabled.
    pub(super) fn is_a_unit(&self) -> bool {
        let Self::File(path) = self else { return false };
        path.extension().is_some_and(|kind| kind == "service" || kind == "timer")
    }
}

/// The list; empty where there is none.
///
/// # Errors
/// One sentence: it cannot be read.
pub(super) fn read(path: &Path) -> Result<Vec<Line>, String> {
    match read::read_bytes(path, false) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("{} cannot be read: {}", escaped(path), io_text(&error))),
    }
}

/// What is no line of ours is nothing that we made.
fn parse(bytes: &[u8]) -> Vec<Line> {
    let line = |line: &[u8]| {
        let at = line.iter().position(|byte| *byte == b' ')?;
        let rest = &line[at + 1..];
        if &line[..at] == b"sum" {
            let (digits, path) = rest.split_at_checked(DIGITS)?;
            let path = PathBuf::from(OsStr::from_bytes(path.strip_prefix(b" ")?));
            let digits = String::from_utf8(digits.to_vec()).ok()?;
            return path.is_absolute().then_some(Line::Sum(path, digits));
        }
        let path = PathBuf::from(OsStr::from_bytes(rest));
        match &line[..at] {
            _ if !path.is_absolute() => None,
            b"file" => Some(Line::File(path)),
            b"dir" => Some(Line::Dir(path)),
            _ => None,
        }
    };
    bytes.split(|byte| *byte == b'\n').filter_map(line).collect()
}

pub(super) fn text(lines: &[Line]) -> Vec<u8> {
    let line = |line: &Line| {
        let (word, path) = match line {
            Line::File(path) => ("file ", path),
            Line::Dir(path) => ("dir ", path),
            Line::Sum(path, digits) => {
                return [b"sum ", digits.as_bytes(), b" ", path.as_os_str().as_bytes(), b"\n"].concat();
            }
        };
        [word.as_bytes(), path.as_os_str().as_bytes(), b"\n"].concat()
    };
    lines.iter().flat_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let lines = vec![Line::Dir("/a".into()), Line::File("/a/b c.timer".into())];
        assert_eq!(text(&lines), b"dir /a\nfile /a/b c.timer\n");
        assert_eq!(parse(&text(&lines)), lines);
        let sum = Line::sum(Path::new("/a/b c"), b"");
        assert!(
            text(std::slice::from_ref(&sum)).starts_with(b"sum e3b0c44298fc1c14"),
            "as sha256sum(1) says"
        );
        assert_eq!(parse(&text(std::slice::from_ref(&sum))), [sum]);
        assert_eq!(parse(b"sum 0 /x\nsum\n"), []);
        assert_eq!(parse(b"file relative\nlink /x\nfile\n\n/x\n"), []);
        assert_eq!(lines.iter().map(Line::is_a_unit).collect::<Vec<_>>(), [false, true]);
    }
}
