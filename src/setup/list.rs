//! The list of what was made. `packaging/install` writes and reads the same.

use crate::host::read;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::text::io_text;

/// A line: something that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    File(PathBuf),
    Dir(PathBuf),
}

impl Line {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Dir(path) => path,
        }
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
        let path = PathBuf::from(OsStr::from_bytes(&line[at + 1..]));
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
        assert_eq!(parse(b"file relative\nlink /x\nfile\n\n/x\n"), []);
        assert_eq!(lines.iter().map(Line::is_a_unit).collect::<Vec<_>>(), [false, true]);
    }
}
