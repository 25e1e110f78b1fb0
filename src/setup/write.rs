//! Writing what is to be there, and the list of it. What somebody else has put there stays.

use super::Failure;
use super::files::Wanted;
use super::list::{self, Line};
use crate::host::{read, replace};
use rustix::fs::{FileType, Mode};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::text::{io_text, kind_name};

/// Everybody may read what man(1) and shells read.
const READABLE: Mode = Mode::from_raw_mode(0o644);

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is there as it is to be.
    Same,
    Written,
    /// An older version's.
    Replaced,
    /// One that was edited since we wrote it: what it was is kept there.
    Edited(PathBuf),
    Failed(Failure),
}

/// What became of all files.
#[derive(Debug, Default)]
pub(super) struct Put(pub Vec<(PathBuf, Fate)>);

impl Put {
    pub(super) fn failed(&self) -> Vec<Failure> {
        let failure = |(_, fate): &(PathBuf, Fate)| match fate {
            Fate::Failed(failure) => Some(failure.clone()),
            Fate::Same | Fate::Written | Fate::Replaced | Fate::Edited(_) => None,
        };
        self.0.iter().filter_map(failure).collect()
    }

    pub(super) fn changed(&self) -> bool {
        self.0.iter().any(|(_, fate)| is_new(fate))
    }

    /// Whether a file of that name was written.
    pub(super) fn has_changed(&self, name: &str) -> bool {
        self.0.iter().any(|(path, fate)| path.ends_with(name) && is_new(fate))
    }
}

fn is_new(fate: &Fate) -> bool {
    matches!(fate, Fate::Written | Fate::Replaced | Fate::Edited(_))
}

/// Takes away a file of ours that is not to be there any more, and its folder if that is empty then. Whether it was
/// there; one that was edited stays.
///
/// # Errors
/// It cannot be removed, or the list cannot be written.
pub(super) fn retire(list: &Path, path: &Path) -> Result<bool, Failure> {
    let known = list::read(list)?;
    if !known.contains(&Line::File(path.to_owned())) || is_edited(path, &known) {
        return Ok(false);
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failure(path, &error)),
        Ok(()) | Err(_) => {}
    }
    let folder = path.parent().filter(|folder| fs::remove_dir(folder).is_ok());
    let is_left = |line: &&Line| line.path() != path && Some(line.path()) != folder;
    let left: Vec<Line> = known.iter().filter(is_left).cloned().collect();
    write(list, &list::text(&left)).map_err(|error| failure(list, &error))?;
    Ok(true)
}

/// Whether a file has another text than the one that was written. Of an older list that is not known.
pub(super) fn is_edited(path: &Path, known: &[Line]) -> bool {
    let is_its = |line: &&Line| matches!(line, Line::Sum(its, _) if its == path);
    let Some(sum) = known.iter().find(is_its) else { return false };
    match Line::sum_now(path) {
        Ok(now) => now != *sum,
        // What cannot be read is not known to be ours.
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// Writes each file that is not there yet, and replaces those that are on the list.
pub(super) fn put(list: &Path, wanted: &[Wanted]) -> Put {
    let known = match list::read(list) {
        Ok(known) => known,
        Err(sentence) => return Put(vec![(list.to_owned(), Fate::Failed(sentence.into()))]),
    };
    let mut fates: Vec<(PathBuf, Fate)> =
        wanted.iter().map(|wanted| (wanted.path.clone(), look(wanted, &known))).collect();
    // What is to be made stands on the list before it is: a run that is killed leaves nothing that nobody knows of.
    let all =
        listed(list, &known, fates.iter().filter(|(_, fate)| is_new(fate)).map(|(path, _)| path.as_path()));
    if all != known {
        if let Err(error) = write(list, &list::text(&all)) {
            return Put(vec![(list.to_owned(), Fate::Failed(failure(list, &error)))]);
        }
    }
    for (wanted, (path, fate)) in wanted.iter().zip(&mut fates) {
        if let Fate::Edited(copy) = fate {
            if let Err(error) = read::read_bytes(path, false).and_then(|bytes| write(copy, &bytes)) {
                *fate = Fate::Failed(failure(copy, &error));
            }
        }
        if is_new(fate) {
            if let Err(error) = write(path, wanted.text.as_bytes()) {
                *fate = Fate::Failed(failure(path, &error));
            }
        }
    }
    // A file that could not be made is nobody's to remove.
    let is_there = |line: &Line| {
        known.contains(line)
            || match line {
                Line::File(path) => {
                    !fates.iter().any(|(own, fate)| own == path && matches!(fate, Fate::Failed(_)))
                }
                Line::Dir(path) => path.is_dir(),
                Line::Sum(..) => false,
            }
    };
    let mut made: Vec<Line> = all.iter().filter(|line| is_there(line)).cloned().collect();
    for (wanted, (path, fate)) in wanted.iter().zip(&fates) {
        let sum = Line::sum(path, wanted.text.as_bytes());
        let is_ours = made.contains(&Line::File(path.clone())) && !matches!(fate, Fate::Failed(_));
        if is_ours && !made.contains(&sum) {
            made.retain(|line| !matches!(line, Line::Sum(its, _) if its == path));
            made.push(sum);
        }
    }
    if made != all {
        if let Err(error) = write(list, &list::text(&made)) {
            fates.push((list.to_owned(), Fate::Failed(failure(list, &error))));
        }
    }
    Put(fates)
}

/// What is to be done with a file.
fn look(wanted: &Wanted, known: &[Line]) -> Fate {
    let path = &wanted.path;
    let kind = match fs::symlink_metadata(path) {
        Ok(about) => about.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Fate::Written,
        Err(error) => return Fate::Failed(failure(path, &error)),
    };
    let in_the_way = |what: &str| {
        Fate::Failed(
            format!(
                "{} was not written: {what} stands there, and not by us; move it away, and set up again",
                escaped(path)
            )
            .into(),
        )
    };
    if !kind.is_file() {
        return in_the_way(kind_name(kind_of(kind)));
    }
    match read::read_bytes(path, false) {
        Ok(bytes) if bytes == wanted.text.as_bytes() => Fate::Same,
        _ if !known.contains(&Line::File(path.clone())) => in_the_way("another file"),
        Ok(_) if is_edited(path, known) => match free_name(path) {
            Some(copy) => Fate::Edited(copy),
            None => Fate::Failed(
                format!(
                    "{} was not written: it was edited, and copies of earlier edits have all the names for it; move them away, and set up again",
                    escaped(path)
                )
                .into(),
            ),
        },
        Ok(_) => Fate::Replaced,
        Err(error) => Fate::Failed(failure(path, &error)),
    }
}

/// Where an edited file is kept: systemd, man and shells do not take it for one of theirs.
pub(super) fn free_name(path: &Path) -> Option<PathBuf> {
    let name = |number: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 1 { ".edited".to_owned() } else { format!(".edited-{number}") });
        PathBuf::from(name)
    };
    (1..=9).map(name).find(|copy| fs::symlink_metadata(copy).is_err())
}

fn kind_of(kind: fs::FileType) -> FileType {
    if kind.is_symlink() {
        FileType::Symlink
    } else if kind.is_dir() {
        FileType::Directory
    } else if kind.is_fifo() {
        FileType::Fifo
    } else if kind.is_socket() {
        FileType::Socket
    } else {
        FileType::Unknown
    }
}

/// The list with what is new: each folder that has to be made, and then the file in it.
fn listed<'a>(list: &Path, known: &[Line], new: impl Iterator<Item = &'a Path>) -> Vec<Line> {
    let mut lines = known.to_vec();
    let mut add = |line: Line| {
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    let mut new = new.peekable();
    if new.peek().is_some() {
        for dir in missing(list) {
            add(Line::Dir(dir));
        }
    }
    for path in new {
        for dir in missing(path) {
            add(Line::Dir(dir));
        }
        add(Line::File(path.to_owned()));
    }
    lines
}

/// The folders above a path that are not there, the highest first.
fn missing(path: &Path) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        path.ancestors().skip(1).take_while(|dir| !dir.exists()).map(Path::to_owned).collect();
    dirs.reverse();
    dirs
}

/// By rename, so that a sweep that starts meanwhile finds the old unit or the new one.
fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    replace::replace(path, text, READABLE)
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure {
        sentence: format!("{} was not written: {}", escaped(path), io_text(error)),
        is_refused: error.kind() == ErrorKind::PermissionDenied,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    #[test]
    fn what_is_not_needed_any_more_goes_with_its_folder_and_what_was_edited_stays() {
        let room = tempfile::tempdir().unwrap();
        let (list, path) = (room.path().join("list"), room.path().join("x.service.d/drop-in.conf"));
        let other = room.path().join("other");
        let wanted = |path: &Path| Wanted { path: path.to_owned(), text: "ours".to_owned() };
        assert_eq!(retire(&list, &path), Ok(false), "it was never there");
        let both = [wanted(&path), wanted(&other)];
        assert!(put(&list, &both).failed().is_empty());
        fs::write(&path, "theirs").unwrap();
        assert_eq!((retire(&list, &path), path.exists()), (Ok(false), true));
        fs::write(&path, "ours").unwrap();
        assert_eq!((retire(&list, &path), path.parent().unwrap().exists()), (Ok(true), false));
        assert!(put(&list, &both[1..]).0.iter().all(|(_, fate)| *fate == Fate::Same));
        let left = list::read(&list).unwrap();
        assert_eq!(left, [Line::File(other.clone()), Line::sum(&other, b"ours")]);
    }
}
