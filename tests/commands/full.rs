//! A file system without an inode left: here by the dead sockets themselves, as on a tmpfs in `/tmp`.

use crate::common::arena::Arena;
use crate::common::inodes;
use crate::common::janitor::{Run, janitor};
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs of few inodes on a folder, taken off when it is dropped.
struct Full {
    folder: tempfile::TempDir,
    dir: PathBuf,
}

impl Full {
    fn new() -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("janitor-").tempdir_in("/tmp").unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "mode=0700,nr_inodes=80", "tmpfs"])
            .arg(folder.path())
            .output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let dir = folder.path().join("d");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        inodes::use_up(&dir);
        Some(Self { folder, dir })
    }

    /// Binds dead sockets until no inode is left; how many.
    fn fill(&self) -> usize {
        (0..200).take_while(|number| UnixListener::bind(self.dir.join(number.to_string())).is_ok()).count()
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path()).status();
    }
}

fn names(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

fn skipped() {
    crate::common::skip::skip("only root can mount a small tmpfs");
}

#[test]
fn where_no_inode_is_left_one_warning_says_so() {
    let Some(full) = Full::new() else { return skipped() };
    // Its server keeps the table believed.
    let _company = Arena::new().live("x");
    let count = full.fill();
    let run = Run::of(janitor(&full.dir).arg("sweep"));
    let dry = Run::of(janitor(&full.dir).args(["sweep", "--dry-run"]));
    assert_eq!((dry.code, &dry.stderr), (run.code, &run.stderr), "a dry run foresees it");
    assert_eq!(run.code, Some(1), "{}", run.stdout);
    assert_eq!(run.stderr.matches("warning").count(), 1, "{}", run.stderr);
    assert!(
        run.stderr.contains(&format!("{count} dead sockets")) && run.stderr.contains("inode"),
        "{}",
        run.stderr
    );
    let doctor = Run::of(janitor(&full.dir).arg("doctor"));
    assert!(doctor.code == Some(1) && doctor.stdout.contains("no inode is left"), "{}", doctor.stdout);
    assert_eq!(names(&full.dir), count);
}

/// A socket that is removed leaves its inode to the next lock.
#[test]
fn with_one_inode_left_everything_goes() {
    let Some(full) = Full::new() else { return skipped() };
    let _company = Arena::new().live("x");
    fs::write(full.folder.path().join("other"), "").unwrap();
    full.fill();
    fs::remove_file(full.folder.path().join("other")).unwrap();
    let run = Run::of(janitor(&full.dir).arg("sweep"));
    assert_eq!((run.code, names(&full.dir)), (Some(0), 0), "{}{}", run.stdout, run.stderr);
}

/// So does a lock file that stands there already: it travels on.
#[test]
fn without_an_inode_a_lock_that_stands_there_serves_all() {
    let Some(full) = Full::new() else { return skipped() };
    let _company = Arena::new().live("x");
    let lock = full.dir.join("0.lock");
    fs::write(&lock, "").unwrap();
    fs::set_permissions(&lock, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    full.fill();
    let dry = Run::of(janitor(&full.dir).args(["sweep", "--dry-run"]));
    assert_eq!((dry.code, dry.stdout.contains("failed")), (Some(0), false), "{}{}", dry.stdout, dry.stderr);
    let run = Run::of(janitor(&full.dir).arg("sweep"));
    assert_eq!((run.code, names(&full.dir)), (Some(0), 0), "{}{}", run.stdout, run.stderr);
}
