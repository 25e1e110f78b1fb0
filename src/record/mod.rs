//! What a user's janitors did, kept between their runs: how many sockets they removed, how many they could
//! not, and when everything was last swept. A sweep is one process, and has no memory of its own.
//!
//! It stands in `/tmp/tmux-UID/.tmux-janitor-record`, whatever the environment: the only place that can be written by
//! every run that removes anything, with a login or without one, in any of our units, and that no stranger can take
//! without tmux being shut out as well. It lasts as long as `/tmp` does. Runs with `--dir` are not of it. A run that
//! cannot write it is no worse for it; that it cannot be read is said by the metrics and by `doctor`.

mod deeds;
pub(crate) mod metrics;
mod open_metrics;
pub(crate) mod row;

pub(crate) use deeds::{DeathCounts, Deeds, Record};

use crate::host::replace;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tmux_sockets::kernel::Mounts;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::text::errno_text;
use tmux_sockets::tmux::paths;

/// The folder, in the user's `tmux-UID`. Its name begins as all of ours do, so that nobody takes it for a socket's.
const NAME: &str = ".tmux-janitor-record";

/// The file in the folder.
pub(crate) const FILE: &str = "record.json";

/// The longest that is read, in bytes.
const LONGEST: u64 = 4096;

/// How often, and how far apart, a run asks for the record that another one is writing. That takes
/// microseconds, unless somebody has stopped it.
const TRIES: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(5);

/// Where a user's record stands.
#[derive(Debug, Clone)]
struct Location {
    /// tmux's own directory.
    parent: PathBuf,
    /// Where it stood before; everybody could make that name.
    old: PathBuf,
    user: Uid,
}

impl Location {
    fn of(user: Uid) -> Self {
        let tmp = Path::new(paths::DEFAULT_PARENT);
        let parent = tmp.join(paths::directory_name(user));
        Self { parent, old: tmp.join(format!(".tmux-janitor-{user}")), user }
    }
}

/// Where a user's record stands.
pub(crate) fn folder(user: Uid) -> PathBuf {
    Location::of(user).parent.join(NAME)
}

/// Whether an entry of a socket directory is the record's folder: nothing that concerns tmux or anybody who asks.
pub(crate) fn is_folder(name: &OsStr, kind: FileType) -> bool {
    kind == FileType::Directory && name == NAME
}

/// The record of a user; empty if there is none yet.
///
/// # Errors
/// Where it cannot be read, or its folder is not the user's alone.
pub(crate) fn read(user: Uid) -> Result<Record, Errno> {
    read_at(&Location::of(user))
}

/// Adds to the record, which is begun if there is none. `patient`: waits a little for somebody who is at it.
///
/// # Errors
/// Where that cannot be done; nothing was added then.
pub(crate) fn add(user: Uid, deeds: &Deeds, patient: bool) -> Result<Record, Errno> {
    add_at(&Location::of(user), deeds, patient)
}

/// [`add`] for a run that has nothing else to do about it.
pub(crate) fn note(user: Uid, deeds: &Deeds) {
    if let Err(errno) = add(user, deeds, true) {
        tracing::debug!("the record of removals was not written: {}", unread(user, errno));
    }
}

/// Nothing is known of what earlier runs did, for this error; in words: [`unread`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unread(#[serde(with = "tmux_sockets::kernel::as_data::errno")] pub(crate) Errno);

/// Why nothing is known of what earlier runs did.
pub(crate) fn unread(user: Uid, errno: Errno) -> String {
    let why = match errno {
        Errno::PERM => "it, or the folder that it is in, is not the user's alone".to_owned(),
        Errno::NOTDIR | Errno::LOOP => "no folder stands there, or none the folder that it is in".to_owned(),
        Errno::TIMEDOUT => "it lies on a mount that may not answer".to_owned(),
        Errno::AGAIN => "another process holds its lock".to_owned(),
        errno => errno_text(errno),
    };
    let path = folder(user);
    format!("{}: {why}; nothing is known of earlier sweeps and removals", escaped(&path))
}

fn read_at(place: &Location) -> Result<Record, Errno> {
    match open(&place.parent, place.user).and_then(|parent| open_in(&parent, place.user)) {
        Ok(dir) => sums(&dir),
        Err(Errno::NOENT) => Ok(old_sums(place).unwrap_or_default()),
        Err(errno) => Err(errno),
    }
}

/// Where no server ever was and nothing was done, nothing is made: it returns an empty record.
fn add_at(place: &Location, deeds: &Deeds, patient: bool) -> Result<Record, Errno> {
    if deeds.are_worth_a_folder() && Mounts::read().lets_look_at(&place.parent) {
        make(rustix::fs::mkdir(&place.parent, Mode::RWXU))?;
    }
    let parent = match open(&place.parent, place.user) {
        Err(Errno::NOENT) => return Ok(Record::default()),
        parent => parent?,
    };
    make(rustix::fs::mkdirat(&parent, NAME, Mode::RWXU))?;
    let dir = open_in(&parent, place.user)?;
    let mut tries = if patient { TRIES } else { 1 };
    while let Err(errno) = rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        tries -= 1;
        if tries == 0 {
            return Err(errno);
        }
        std::thread::sleep(BETWEEN);
    }
    let mut record = sums(&dir)?;
    let old = if record.since_us == 0 { old_sums(place) } else { None };
    if let Some(old) = old {
        record = old;
    }
    if record.since_us == 0 {
        record.since_us = deeds.began();
    }
    record = record.with(deeds);
    let text = serde_json::to_vec(&record).map_err(|_| Errno::INVAL)?;
    replace::replace_in(dir.as_fd(), OsStr::new(FILE), &text, Mode::RUSR | Mode::WUSR)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    if old.is_some() {
        // Our file was taken over. Other files in there are not ours.
        let _ = std::fs::remove_file(place.old.join(FILE));
        let _ = std::fs::remove_dir(&place.old);
    }
    Ok(record)
}

fn make(made: Result<(), Errno>) -> Result<(), Errno> {
    match made {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// What stands at the old place, if it is the user's alone.
fn old_sums(place: &Location) -> Option<Record> {
    let record = open(&place.old, place.user).and_then(|dir| sums(&dir)).ok()?;
    (record.since_us > 0).then_some(record)
}

/// A directory that somebody else may have made before us: the user's, and writable by nobody else.
fn open(folder: &Path, user: Uid) -> Result<OwnedFd, Errno> {
    if !Mounts::read().lets_look_at(folder) {
        return Err(Errno::TIMEDOUT);
    }
    check(rustix::fs::open(folder, DIRECTORY, Mode::empty())?, user)
}

/// The record's folder in tmux's.
fn open_in(parent: &OwnedFd, user: Uid) -> Result<OwnedFd, Errno> {
    check(rustix::fs::openat(parent, NAME, DIRECTORY, Mode::empty())?, user)
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn check(dir: OwnedFd, user: Uid) -> Result<OwnedFd, Errno> {
    let about = rustix::fs::fstat(&dir)?;
    if about.st_uid == user.raw() && about.st_mode & 0o022 == 0 { Ok(dir) } else { Err(Errno::PERM) }
}

/// What is in it. A text that nobody of us wrote is as none.
fn sums(dir: &OwnedFd) -> Result<Record, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(dir, FILE, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(Record::default()),
        Err(errno) => return Err(errno),
    };
    let mut text = Vec::new();
    file.take(LONGEST)
        .read_to_end(&mut text)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(serde_json::from_slice(&text).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn deeds(removed: u64) -> Deeds {
        Deeds::counted(removed, 1)
    }

    fn place_in(tmp: &Path) -> (Location, PathBuf) {
        let user = Uid::ours();
        let place = Location { parent: tmp.join("tmux-7"), old: tmp.join("old"), user };
        let folder = place.parent.join(NAME);
        (place, folder)
    }

    #[test]
    fn runs_at_the_same_time_lose_nothing_of_each_other() {
        let tmp = tempfile::tempdir().unwrap();
        let (place, folder) = place_in(tmp.path());
        assert_eq!(read_at(&place).unwrap(), Record::default());
        let written = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|_| {
                    let write = || (0..20).filter(|_| add_at(&place, &deeds(3), true).is_ok()).count();
                    scope.spawn(write)
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap() as u64).sum::<u64>()
        });
        let record = read_at(&place).unwrap();
        assert!(written > 0);
        assert_eq!((record.removed, record.failed), (3 * written, written));
        assert!(record.since_us > 0 && record.swept_us == 0, "{record:?}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn whoever_holds_it_is_not_waited_for() {
        let tmp = tempfile::tempdir().unwrap();
        let (place, folder) = place_in(tmp.path());
        let begun = add_at(&place, &deeds(1), false).unwrap();
        let holder = File::open(&folder).unwrap();
        rustix::fs::flock(&holder, FlockOperation::LockExclusive).unwrap();
        for patient in [false, true] {
            assert_eq!(add_at(&place, &deeds(1), patient), Err(Errno::AGAIN));
        }
        assert_eq!(read_at(&place).unwrap(), begun);
    }

    #[test]
    fn a_folder_that_is_not_the_users_alone_is_left_alone() {
        let tmp = tempfile::tempdir().unwrap();
        let (place, folder) = place_in(tmp.path());
        add_at(&place, &deeds(1), true).unwrap();
        let stranger = Location { user: Uid::new(place.user.raw() + 1), ..place.clone() };
        assert_eq!(add_at(&stranger, &deeds(1), true), Err(Errno::PERM));
        assert_eq!(read_at(&stranger), Err(Errno::PERM));
        for open in [&folder, &place.parent] {
            fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
            assert_eq!(add_at(&place, &deeds(1), true), Err(Errno::PERM));
            assert_eq!(read_at(&place), Err(Errno::PERM));
            fs::set_permissions(open, fs::Permissions::from_mode(0o700)).unwrap();
        }
        let elsewhere = tmp.path().join("elsewhere");
        fs::rename(&folder, &elsewhere).unwrap();
        symlink(&elsewhere, &folder).unwrap();
        assert!(add_at(&place, &deeds(1), true).is_err() && read_at(&place).is_err());
        assert!(is_folder(folder.file_name().unwrap(), FileType::Directory));
        assert!(!is_folder(folder.file_name().unwrap(), FileType::Socket), "tmux -L can have that name");
    }

    #[test]
    fn the_one_at_the_old_place_is_taken_over_and_a_strangers_is_not() {
        let tmp = tempfile::tempdir().unwrap();
        let (place, folder) = place_in(tmp.path());
        fs::create_dir(&place.old).unwrap();
        fs::write(place.old.join(FILE), r#"{"since_us":5,"removed":7,"failed":1}"#).unwrap();
        fs::set_permissions(&place.old, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(read_at(&place).unwrap(), Record::default());
        fs::set_permissions(&place.old, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(read_at(&place).unwrap().removed, 7);
        let record = add_at(&place, &deeds(3), true).unwrap();
        assert_eq!((record.since_us, record.removed, record.failed), (5, 10, 2));
        assert_eq!(read_at(&place).unwrap(), record);
        assert!(folder.exists() && !place.old.exists());
        // Once there is a new record, the old one is not needed.
        symlink("/", &place.old).unwrap();
        assert_eq!(add_at(&place, &deeds(3), true).unwrap().removed, 13);
    }

    #[test]
    fn where_nothing_was_done_and_nothing_is_nothing_is_made() {
        let tmp = tempfile::tempdir().unwrap();
        let (place, folder) = place_in(tmp.path());
        let mut swept = Deeds::default();
        swept.swept(Duration::from_micros(7));
        assert_eq!(add_at(&place, &swept, true).unwrap(), Record::default());
        assert!(!place.parent.exists());
        fs::create_dir(&place.parent).unwrap();
        fs::set_permissions(&place.parent, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(add_at(&place, &swept, true).unwrap().sweep_took_us, 7);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, 0o700);
    }

    #[test]
    fn a_text_that_makes_no_sense_is_begun_anew() {
        let tmp = tempfile::tempdir().unwrap();
        let (place, folder) = place_in(tmp.path());
        add_at(&place, &deeds(5), true).unwrap();
        for text in ["", "{", "[]", "{\"removed\":-1}"] {
            fs::write(folder.join(FILE), text).unwrap();
            let mut swept = deeds(2);
            swept.swept(Duration::from_micros(7));
            let record = add_at(&place, &swept, true).unwrap();
            assert_eq!((record.removed, record.sweep_took_us), (2, 7), "{text}");
            assert!(record.swept_us >= record.since_us, "{record:?}");
        }
    }
}
