//! The travelling lock, look by look: whoever opens a lock file keeps it under the lock's name, whenever he comes.
//!
//! `checkpoints` plays these steps with the real tmux, where one look makes good what another has missed. Here each
//! look stands alone: it is the only one that can see the client.

mod displaced;
mod openers;

use crate::common::janitor::{Run, fate};
use crate::common::{locks, wait};
use rustix::fs::{FileType, FlockOperation};
use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::checkpoint::{self, Checkpoint};
use tmux_sockets::tmux::start_lock::{Guard, LockFailure, LockRack, Released, Taken};
use tmux_sockets::tmux::{SocketDir, Strictness};

/// A folder of sockets, without any.
struct Folder {
    _parent: tempfile::TempDir,
    path: PathBuf,
    dir: SocketDir,
}

impl Folder {
    fn new() -> Self {
        let parent = tempfile::Builder::new().prefix("janitor-").tempdir_in("/tmp").unwrap();
        let path = parent.path().join("d");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        let dir = SocketDir::open(&path, Uid::new(user()), Strictness::Swept).unwrap().unwrap();
        Self { _parent: parent, path, dir }
    }

    fn rack(&self) -> LockRack<'_> {
        LockRack::new(&self.dir, Uid::new(user()))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The only lock at rest.
    fn rest(&self) -> PathBuf {
        at_rest(&self.path)
    }

    fn lock(&self) -> PathBuf {
        self.path.join("x.lock")
    }
}

fn at_rest(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let resting: Vec<_> = entries.filter(|path| path.to_string_lossy().contains("/.tmux-janitor-")).collect();
    assert_eq!(resting.len(), 1, "{resting:?}");
    resting.into_iter().next().unwrap()
}

fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

fn ino(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

fn take(rack: &mut LockRack<'_>, label: &str) -> Guard {
    match rack.take(OsStr::new(label)) {
        Taken::Ours(guard) => guard,
        other => panic!("{label}: {other:?}"),
    }
}

/// Has `act` done at a place in the removals of this thread, once.
fn when(here: Checkpoint, act: impl FnOnce() + 'static) {
    let mut act = Some(act);
    checkpoint::install(Some(Box::new(move |at| {
        if at == here {
            if let Some(act) = act.take() {
                act();
            }
        }
    })));
}

/// A client inside open(2), where the lease keeps it.
struct Client {
    ino: u64,
    thread: JoinHandle<File>,
}

impl Client {
    fn opens(path: &Path) -> Self {
        let (ino, opened) = (ino(path), path.to_owned());
        let thread = std::thread::spawn(move || File::options().read(true).write(true).open(opened).unwrap());
        wait::until("a client waits for the lease", || {
            locks::on(path).concat().contains(&"BREAKING".to_owned())
        });
        Self { ino, thread }
    }

    /// It has the file, and the file has the lock's name.
    #[track_caller]
    fn has(self, lock: &Path) {
        let file = self.thread.join().unwrap();
        assert_eq!(file.metadata().unwrap().ino(), self.ino);
        assert_eq!(ino(lock), self.ino, "its lock has lost its name");
    }
}

/// Where a client that comes at a place in the removal is kept meanwhile.
fn client_at(here: Checkpoint, path: impl FnOnce() -> PathBuf + 'static) -> Rc<RefCell<Option<Client>>> {
    let place = Rc::new(RefCell::new(None));
    let come = Rc::clone(&place);
    when(here, move || *come.borrow_mut() = Some(Client::opens(&path())));
    place
}

/// Opens the lock's name as tmux does and holds it.
fn hold(lock: &Path) -> File {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock).unwrap();
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    file
}

/// A program that stays alive for days uses few files, and one that is let go leaves none.
#[test]
fn locks_that_have_rested_are_used_again_and_few_are_kept() {
    let folder = Folder::new();
    let mut rack = folder.rack();
    let guard = take(&mut rack, "x");
    let first = ino(&folder.lock());
    rack.release(guard);
    rack.rest();
    let guard = take(&mut rack, "y");
    assert_eq!(ino(&folder.path.join("y.lock")), first);
    let mut guards = vec![guard];
    guards.extend((0..70).map(|n| take(&mut rack, &n.to_string())));
    for guard in guards {
        assert_eq!(rack.release(guard), Released::Gone);
    }
    assert_eq!(folder.names().len(), 71);
    rack.trim();
    assert_eq!(folder.names().len(), 64);
    drop(rack);
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn it_rests_before_it_goes() {
    let folder = Folder::new();
    let mut rack = folder.rack();
    let guard = take(&mut rack, "x");
    let (out, rested) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(None)));
    let (set_out, set_rested) = (Rc::clone(&out), Rc::clone(&rested));
    checkpoint::install(Some(Box::new(move |at| match at {
        Checkpoint::LockOut => set_out.set(Some(Instant::now())),
        Checkpoint::Rested => set_rested.set(Some(Instant::now())),
        _ => {}
    })));
    rack.release(guard);
    drop(rack);
    checkpoint::install(None);
    let rest = rested.get().unwrap() - out.get().unwrap();
    assert!(rest >= Duration::from_millis(1), "it rested for {rest:?}");
}

#[test]
fn what_took_its_rest_name_is_not_unlinked() {
    let folder = Folder::new();
    let mut rack = folder.rack();
    let guard = take(&mut rack, "x");
    rack.release(guard);
    let (rest, put) = (folder.rest(), folder.rest());
    when(Checkpoint::LockGone, move || {
        fs::remove_file(&put).unwrap();
        fs::write(&put, "somebody's").unwrap();
    });
    drop(rack);
    assert_eq!(fs::read_to_string(rest).unwrap(), "somebody's");
}

#[test]
fn one_whose_rest_name_was_removed_is_let_go_and_another_taken() {
    let folder = Folder::new();
    let mut rack = folder.rack();
    let path = folder.path.clone();
    when(Checkpoint::LockIn, move || fs::remove_file(at_rest(&path)).unwrap());
    let guard = take(&mut rack, "x");
    assert_eq!(folder.names(), ["x.lock"]);
    rack.release(guard);
    drop(rack);
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn what_is_no_lock_of_ours_is_not_taken() {
    let folder = Folder::new();
    let mut rack = folder.rack();
    let failure = |rack: &mut LockRack<'_>, label: &str| match rack.take(OsStr::new(label)) {
        Taken::Failed(failure) => failure,
        other => panic!("{label}: {other:?}"),
    };
    fs::create_dir(folder.path.join("folder.lock")).unwrap();
    assert_eq!(failure(&mut rack, "folder"), LockFailure::NotAFile(FileType::Directory));
    std::os::unix::fs::symlink("elsewhere", folder.path.join("link.lock")).unwrap();
    assert_eq!(failure(&mut rack, "link"), LockFailure::NotAFile(FileType::Symlink));
    let held = hold(&folder.path.join("held.lock"));
    assert!(matches!(rack.take(OsStr::new("held")), Taken::Busy));
    drop(held);
    // A child of another test may have it open until it execs.
    wait::until("the lock is free", || match rack.take(OsStr::new("held")) {
        Taken::Ours(guard) => {
            rack.release(guard);
            true
        }
        Taken::Busy => false,
        other @ Taken::Failed(_) => panic!("{other:?}"),
    });
    if user() == 0 {
        fs::write(folder.path.join("theirs.lock"), "").unwrap();
        std::os::unix::fs::chown(folder.path.join("theirs.lock"), Some(1), None).unwrap();
        assert_eq!(failure(&mut rack, "theirs"), LockFailure::NotOurs(Uid::new(1)));
    } else {
        crate::common::skip::skip("only root can make a lock of somebody else's");
    }
}

/// A lock that is not as tmux makes it, or that somebody has open, is locked and stays.
#[test]
fn only_a_plain_lock_that_nobody_has_is_removed() {
    let folder = Folder::new();
    let path = folder.lock();
    let make = |content: &str, mode| {
        let _ = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let is_adopted = || folder.rack().adopt(OsStr::new("x.lock")).is_some();
    make("", 0o600);
    assert!(is_adopted());
    for (content, mode) in [("written", 0o600), ("", 0o644)] {
        make(content, mode);
        assert!(!is_adopted(), "{content:?} {mode:o}");
        let mut rack = folder.rack();
        let guard = take(&mut rack, "x");
        assert_eq!(rack.release(guard), Released::Left);
    }
    make("", 0o600);
    let reader = File::open(&path).unwrap();
    assert!(!is_adopted());
    drop(reader);
    assert!(is_adopted());
    fs::remove_file(&path).unwrap();
    assert!(!is_adopted());
    assert_eq!(folder.names(), [""; 0], "adopting makes none");
}

/// Opening it would break the lease: the other run would have to give the lock its name back.
#[test]
fn the_lock_of_another_run_is_seen_without_opening_it() {
    let folder = Folder::new();
    let mut theirs = folder.rack();
    let guard = take(&mut theirs, "x");
    assert!(matches!(folder.rack().take(OsStr::new("x")), Taken::Busy));
    assert!(folder.rack().adopt(OsStr::new("x.lock")).is_none());
    assert_eq!(theirs.release(guard), Released::Gone, "its lease was broken");
}

/// In a container `/proc/locks` hides who holds a lock outside. Its lease makes whoever opens it wait for 45 s, a start.
#[test]
fn a_lock_that_proc_hides_is_not_waited_for() {
    if user() != 0 {
        return crate::common::skip::skip("only root can make a pid namespace here");
    }
    let folder = Folder::new();
    drop(UnixListener::bind(folder.path.join("x")).unwrap());
    let mut rack = folder.rack();
    let guard = take(&mut rack, "x");
    let clock = crate::common::wait::Clock::start();
    let mut container = Command::new("unshare");
    container
        .args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-euc"])
        .arg(crate::common::WITHOUT_A_MANAGER)
        .arg(env!("CARGO_BIN_EXE_tmux-janitor"));
    let run = Run::of(container.arg("--dir").arg(&folder.path).args(["sweep", "--json"]));
    assert_eq!(fate(&run.json(), "x"), ("starting", "busy"), "{}", run.stderr);
    clock.assert_within(Duration::from_secs(20));
    assert_eq!(rack.release(guard), Released::Left, "somebody tried to open it");
    assert_eq!(folder.names(), ["x", "x.lock"]);
}
