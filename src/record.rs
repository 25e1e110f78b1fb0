//! What a user's janitors did, kept between their runs: how many sockets they removed, how many they could
//! not, and when everything was last swept. A sweep is one process, and has no memory of its own.
//!
//! It stands in `/tmp/.tmux-janitor-UID`, a folder of the user's own: the only place that is there and can be
//! written by every run that removes anything, with a login or without one, in any of our units. It lasts as long
//! as `/tmp` does. Runs with `--dir` are not of it. A run that cannot write it is no worse for it.

use crate::outcome::Outcome;
use crate::report::Report;
use crate::socket::verdict::State;
use crate::tmux::paths;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The file in the folder.
const FILE: &str = "record.json";

/// The longest that is read, in bytes.
const LONGEST: u64 = 4096;

/// How often, and how far apart, a run asks for the record that another one is writing. That takes
/// microseconds, unless somebody has stopped it.
const TRIES: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(5);

/// The sums since the record was begun. Times are microseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// When it was begun; 0: it was not.
    pub since_us: u64,
    /// Dead sockets that were removed.
    pub removed: u64,
    /// Times that one could not be removed.
    pub failed: u64,
    /// When everything was last swept; 0: not since it was begun.
    pub swept_us: u64,
    /// How long that took, in microseconds.
    pub sweep_took_us: u64,
}

/// What is to be added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deeds {
    removed: u64,
    failed: u64,
    /// When a sweep of everything ended, and how long it took.
    swept: Option<(u64, u64)>,
}

impl Deeds {
    /// What a run did. That it swept everything is said by [`Deeds::swept`].
    pub fn of(report: &Report) -> Self {
        let failed = report.entries.iter().filter(|entry| {
            entry.verdict.state != State::Ghost && matches!(entry.outcome, Outcome::Failed(_))
        });
        Self { removed: report.counts().removed as u64, failed: failed.count() as u64, swept: None }
    }

    /// Everything was swept just now.
    pub fn swept(&mut self, took: Duration) {
        self.swept = Some((now(), micros(took)));
    }

    /// More of it.
    pub fn add(&mut self, more: Self) {
        self.removed += more.removed;
        self.failed += more.failed;
        self.swept = more.swept.or(self.swept);
    }

    /// When the first of it may have been done.
    fn began(&self) -> u64 {
        self.swept.map_or_else(now, |(ended, took)| ended.saturating_sub(took))
    }

    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Record {
    /// One that begins now.
    pub fn new() -> Self {
        Self { since_us: now(), ..Self::default() }
    }

    /// The sums with what was done meanwhile.
    #[must_use]
    pub fn with(mut self, deeds: &Deeds) -> Self {
        self.removed = self.removed.saturating_add(deeds.removed);
        self.failed = self.failed.saturating_add(deeds.failed);
        if let Some((ended, took)) = deeds.swept {
            (self.swept_us, self.sweep_took_us) = (ended, took);
        }
        self
    }
}

/// Where a user's record stands.
pub fn folder(user: u32) -> PathBuf {
    Path::new(paths::DEFAULT_PARENT).join(format!(".tmux-janitor-{user}"))
}

/// The record of a user; empty if there is none yet.
///
/// # Errors
/// Where it cannot be read, or its folder is not the user's alone.
pub fn read(user: u32) -> Result<Record, Errno> {
    read_at(&folder(user), user)
}

/// Adds to the record, which is begun if there is none. `patient`: waits a little for somebody who is at it.
///
/// # Errors
/// Where that cannot be done; nothing was added then.
pub fn add(user: u32, deeds: &Deeds, patient: bool) -> Result<Record, Errno> {
    add_at(&folder(user), user, deeds, patient)
}

/// [`add`] for a run that has nothing else to do about it.
pub fn note(user: u32, deeds: &Deeds) {
    if let Err(errno) = add(user, deeds, true) {
        tracing::debug!("the record of removals was not written: {errno}");
    }
}

fn read_at(folder: &Path, user: u32) -> Result<Record, Errno> {
    match open(folder, user) {
        Ok(dir) => sums(&dir),
        Err(Errno::NOENT) => Ok(Record::default()),
        Err(errno) => Err(errno),
    }
}

fn add_at(folder: &Path, user: u32, deeds: &Deeds, patient: bool) -> Result<Record, Errno> {
    match rustix::fs::mkdir(folder, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let dir = open(folder, user)?;
    let mut tries = if patient { TRIES } else { 1 };
    while let Err(errno) = rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        tries -= 1;
        if tries == 0 {
            return Err(errno);
        }
        std::thread::sleep(BETWEEN);
    }
    let mut record = sums(&dir)?;
    if record.since_us == 0 {
        record.since_us = deeds.began();
    }
    record = record.with(deeds);
    let text = serde_json::to_vec(&record).map_err(|_| Errno::INVAL)?;
    crate::replace::replace_in(dir.as_fd(), OsStr::new(FILE), &text, Mode::RUSR | Mode::WUSR)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(record)
}

/// The folder, which anybody may have made before us: the user's, and writable by nobody else.
fn open(folder: &Path, user: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::open(folder, flags, Mode::empty())?;
    let about = rustix::fs::fstat(&dir)?;
    if about.st_uid == user && about.st_mode & 0o022 == 0 { Ok(dir) } else { Err(Errno::PERM) }
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

fn now() -> u64 {
    micros(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn deeds(removed: u64) -> Deeds {
        Deeds { removed, failed: 1, swept: None }
    }

    #[test]
    fn runs_at_the_same_time_lose_nothing_of_each_other() {
        let parent = tempfile::tempdir().unwrap();
        let (folder, user) = (parent.path().join("x"), rustix::process::getuid().as_raw());
        assert_eq!(read_at(&folder, user).unwrap(), Record::default());
        let written = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|_| {
                    let write = || (0..20).filter(|_| add_at(&folder, user, &deeds(3), true).is_ok()).count();
                    scope.spawn(write)
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap() as u64).sum::<u64>()
        });
        let record = read_at(&folder, user).unwrap();
        assert!(written > 0);
        assert_eq!((record.removed, record.failed), (3 * written, written));
        assert!(record.since_us > 0 && record.swept_us == 0, "{record:?}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn whoever_holds_it_is_not_waited_for() {
        let parent = tempfile::tempdir().unwrap();
        let (folder, user) = (parent.path().join("x"), rustix::process::getuid().as_raw());
        let begun = add_at(&folder, user, &deeds(1), false).unwrap();
        let holder = File::open(&folder).unwrap();
        rustix::fs::flock(&holder, FlockOperation::LockExclusive).unwrap();
        for patient in [false, true] {
            assert_eq!(add_at(&folder, user, &deeds(1), patient), Err(Errno::AGAIN));
        }
        assert_eq!(read_at(&folder, user).unwrap(), begun);
    }

    #[test]
    fn a_folder_that_is_not_the_users_alone_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let (folder, user) = (parent.path().join("x"), rustix::process::getuid().as_raw());
        add_at(&folder, user, &deeds(1), true).unwrap();
        assert_eq!(add_at(&folder, user + 1, &deeds(1), true), Err(Errno::PERM));
        let link = parent.path().join("link");
        symlink(&folder, &link).unwrap();
        assert!(add_at(&link, user, &deeds(1), true).is_err());
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(add_at(&folder, user, &deeds(1), true), Err(Errno::PERM));
        assert_eq!(read_at(&folder, user), Err(Errno::PERM));
    }

    #[test]
    fn a_text_that_makes_no_sense_is_begun_anew() {
        let parent = tempfile::tempdir().unwrap();
        let (folder, user) = (parent.path().join("x"), rustix::process::getuid().as_raw());
        add_at(&folder, user, &deeds(5), true).unwrap();
        for text in ["", "{", "[]", "{\"removed\":-1}"] {
            fs::write(folder.join(FILE), text).unwrap();
            let mut swept = deeds(2);
            swept.swept(Duration::from_micros(7));
            let record = add_at(&folder, user, &swept, true).unwrap();
            assert_eq!((record.removed, record.sweep_took_us), (2, 7), "{text}");
            assert!(record.swept_us >= record.since_us, "{record:?}");
        }
    }
}
