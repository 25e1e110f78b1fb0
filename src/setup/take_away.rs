//! Taking away what is on the list.

use super::Failure;
use super::list::{self, Line};
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
        match unlink(path, &mut gone) {
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
        let stays = |line: &&Line| matches!(line, Line::Dir(_)) || stays.contains(line);
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

fn unlink(path: &Path, gone: &mut Gone) -> std::io::Result<()> {
    if fs::symlink_metadata(path)?.is_file() {
        fs::remove_file(path)?;
        gone.files.push(path.to_owned());
    } else {
        gone.left.push(path.to_owned());
    }
    Ok(())
}
