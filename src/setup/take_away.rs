//! Taking away what is on the list.

use super::Failure;
use super::list::{self, Line};
use super::write;
use crate::host::replace;
use rustix::fs::Mode;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::text::io_text;

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// In the order in which they went.
    pub files: Vec<PathBuf>,
    /// What was edited since we wrote it, and where it is kept.
    pub edited: Vec<(PathBuf, PathBuf)>,
    /// What stands there now and is no file: nothing that was made here.
    pub left: Vec<PathBuf>,
    pub failed: Vec<Failure>,
}

/// Goes by the list backwards. What cannot be removed stays on it.
pub(super) fn take_away(list: &Path, lines: &[Line]) -> Gone {
    let mut gone = Gone::default();
    let mut stays: Vec<Line> = Vec::new();
    for line in lines.iter().rev() {
        let Line::File(path) = line else { continue };
        match unlink(path, lines, &mut gone) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound || error.kind() == ErrorKind::NotADirectory => {
            }
            Err(error) => {
                gone.failed.push(Failure {
                    sentence: format!("{} was not removed: {}", escaped(path), io_text(&error)),
                    is_refused: error.kind() == ErrorKind::PermissionDenied,
                });
                stays.push(line.clone());
            }
        }
    }
    let rewritten = if stays.is_empty() {
        fs::remove_file(list)
    } else {
        let stays = |line: &&Line| match line {
            Line::Dir(_) => true,
            Line::File(path) | Line::Sum(path, _) => stays.iter().any(|line| line.path() == path),
        };
        let text = list::text(&lines.iter().filter(stays).cloned().collect::<Vec<_>>());
        replace::replace(list, &text, Mode::from_raw_mode(0o644))
    };
    if let Err(error) = rewritten {
        gone.failed.push(Failure {
            sentence: format!("{} was not removed: {}", escaped(list), io_text(&error)),
            is_refused: error.kind() == ErrorKind::PermissionDenied,
        });
    }
    for line in lines.iter().rev() {
        if let Line::Dir(path) = line {
            // Where others have put something into a folder since, it stays.
            let _ = fs::remove_dir(path);
        }
    }
    gone
}

fn unlink(path: &Path, lines: &[Line], gone: &mut Gone) -> std::io::Result<()> {
    if !fs::symlink_metadata(path)?.is_file() {
        gone.left.push(path.to_owned());
    } else if write::is_edited(path, lines) {
        let copy = write::free_name(path).ok_or_else(|| {
            std::io::Error::other("it was edited, and copies of earlier edits have all the names for it")
        })?;
        fs::rename(path, &copy)?;
        gone.edited.push((path.to_owned(), copy));
    } else {
        fs::remove_file(path)?;
        gone.files.push(path.to_owned());
    }
    Ok(())
}
