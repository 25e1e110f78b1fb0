//! Single sockets in a folder that everybody may write: `sweep -S PATH`.

use crate::common::arena::{self, start};
use crate::common::janitor::{Run, bare, fate, with};
use crate::common::skip::skip;
use crate::common::wait;
use rustix::process::Signal;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use tmux_sockets::kernel::Label;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::checkpoint::{self, Checkpoint};
use tmux_sockets::report::{Failure, Outcome};
use tmux_sockets::sweep::{Act, Pass, RefuseFar, SpareNothing, Target};
use tmux_sockets::tmux::Strictness;
use tmux_sockets::tmux::quarantine;
use tmux_sockets::witness::Witness;

const STRANGER: u32 = 4720;

/// A folder as `/tmp` is: root's, sticky, everybody's to write.
struct Folder(tempfile::TempDir);

impl Folder {
    /// `None`, after a loud skip, without root.
    fn new() -> Option<Self> {
        if !rustix::process::getuid().is_root() {
            skip("needs root: it makes a folder of root's");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("shared-").tempdir_in("/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        Some(Self(folder))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn aside(&self, name: &str) -> PathBuf {
        self.0.path().join(quarantine::name_of(OsStr::new(name)).unwrap())
    }

    fn dead(&self, name: &str, user: u32) -> PathBuf {
        let path = self.path(name);
        drop(UnixListener::bind(&path).unwrap());
        wait::until("it is closed everywhere", || UnixStream::connect(&path).is_err());
        chown(&path, Some(user), Some(user)).unwrap();
        path
    }

    fn names(&self) -> BTreeSet<String> {
        let names = fs::read_dir(self.0.path()).unwrap();
        names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }
}

/// The directory that keeps a socket's place.
fn placeholder(path: &Path) {
    fs::create_dir(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o100)).unwrap();
}

fn sweep(arguments: &[&OsStr]) -> Run {
    let mut command = with(bare(), ["sweep", "--json"]);
    for path in arguments {
        command.arg("-S").arg(path);
    }
    Run::of(&mut command)
}

/// One pass in this process, stopped at each of its places; what became of `x`.
fn stopped(folder: &Folder, act: impl FnMut(Checkpoint) + 'static) -> Outcome {
    stopped_at(folder, OsStr::new("x"), act)
}

/// The same for any name.
fn stopped_at(folder: &Folder, name: &OsStr, act: impl FnMut(Checkpoint) + 'static) -> Outcome {
    checkpoint::install(Some(Box::new(act)));
    let only = Some(vec![Label::new(name).unwrap()]);
    let target = Target { path: folder.0.path().to_owned(), only, rule: Strictness::Named };
    let pass = Pass { policy: &SpareNothing, far: &RefuseFar, user: Uid::ROOT, act: Act::Remove };
    let report = pass.run(&mut Witness::new(Uid::ROOT), &[target]);
    checkpoint::install(None);
    report.entries[0].outcome
}

#[test]
fn only_what_is_named_ones_own_and_dead_goes() {
    let Some(folder) = Folder::new() else { return };
    let (mine, other, theirs) = (folder.dead("x", 0), folder.dead("y", 0), folder.dead("z", STRANGER));
    let live = folder.path("live");
    let server = start(&live);
    let run = sweep(&[mine.as_os_str(), theirs.as_os_str(), live.as_os_str()]);
    let json = run.json();
    assert_eq!(run.code, Some(0), "{json:#}");
    assert_eq!(fate(&json, "x"), ("dead", "removed"));
    assert_eq!(fate(&json, "z"), ("foreign", "kept"));
    assert_eq!((&json["counts"]["live"], &json["counts"]["removed"]), (&1.into(), &1.into()), "{json:#}");
    assert_eq!(folder.names(), ["live", "y", "z"].map(str::to_owned).into(), "and nothing is left");
    assert_eq!(arena::pid_of(&live), server.pid);
    // A second time there is nothing, and it is said.
    let again = sweep(&[mine.as_os_str()]);
    assert_eq!(again.code, Some(0));
    assert!(again.stderr.contains("there is no such socket"), "{}", again.stderr);
    // The folder itself is swept by nobody.
    let whole = Run::of(bare().arg("--dir").arg(folder.0.path()).arg("sweep"));
    assert_eq!(whole.code, Some(1));
    let call = format!("`tmux-janitor sweep -S {}`", other.display());
    assert!(whole.stderr.contains(&call) && !whole.stderr.contains("chmod"), "{}", whole.stderr);
    assert!(other.exists());
}

#[test]
fn anybody_can_have_his_own_removed_there() {
    let Some(folder) = Folder::new() else { return };
    let (mine, roots) = (folder.dead("x", STRANGER), folder.dead("y", 0));
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "4720", "--regid", "4720", "--clear-groups"])
        .env("XDG_CONFIG_HOME", "/nonexistent");
    command
        .arg(env!("CARGO_BIN_EXE_tmux-janitor"))
        .args(["sweep", "--json", "-S"])
        .arg(&mine)
        .arg("-S")
        .arg(&roots);
    let run = Run::of(&mut command);
    if run.stdout.is_empty() {
        return skip("another user cannot run what was built here");
    }
    let json = run.json();
    assert_eq!((fate(&json, "x"), fate(&json, "y")), (("dead", "removed"), ("foreign", "kept")), "{json:#}");
    assert_eq!(folder.names(), ["y".to_owned()].into());
}

#[test]
fn a_name_that_a_stranger_has_taken_is_declined_and_said() {
    for taken in ["x.lock", ".tmux-janitor-quarantine.x"] {
        let Some(folder) = Folder::new() else { return };
        let mine = folder.dead("x", 0);
        fs::write(folder.path(taken), "").unwrap();
        chown(folder.path(taken), Some(STRANGER), None).unwrap();
        let run = sweep(&[mine.as_os_str()]);
        let json = run.json();
        assert_eq!((run.code, fate(&json, "x")), (Some(1), ("dead", "failed")), "{taken}: {json:#}");
        let said = if taken.ends_with("lock") { "belongs to uid 4720" } else { "by somebody else" };
        assert!(run.stderr.contains(said), "{taken}: {}", run.stderr);
        assert_eq!(folder.names(), ["x", taken].map(str::to_owned).into(), "both stay");
    }
}

#[test]
fn a_folder_that_is_not_sticky_or_not_roots_is_refused() {
    let Some(folder) = Folder::new() else { return };
    let mine = folder.dead("x", 0);
    for (mode, owner) in [(0o777, 0), (0o1777, STRANGER)] {
        fs::set_permissions(folder.0.path(), fs::Permissions::from_mode(mode)).unwrap();
        chown(folder.0.path(), Some(owner), None).unwrap();
        let run = sweep(&[mine.as_os_str()]);
        assert_eq!(run.code, Some(1), "{mode:o} {owner}: {}", run.stdout);
        assert!(mine.exists());
    }
}

/// While the removal is under way nobody else can have the socket's name, and a socket that was bound there
/// without any lock stands there again.
#[test]
fn whoever_binds_the_name_meanwhile_has_it_again_and_no_stranger_can_have_it() {
    let Some(folder) = Folder::new() else { return };
    let path = folder.dead("x", 0);
    let (servers, strangers) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(0)));
    let (keep, count) = (Rc::clone(&servers), Rc::clone(&strangers));
    let at_path = path.clone();
    let outcome = stopped(&folder, move |at| match at {
        Checkpoint::Move => {
            fs::remove_file(&at_path).unwrap();
            keep.borrow_mut().push(UnixListener::bind(&at_path).unwrap());
        }
        Checkpoint::Moved | Checkpoint::PutBack => {
            *count.borrow_mut() += 1;
            assert!(UnixListener::bind(&at_path).is_err(), "{at:?}: the name is free");
            // As a server does that makes its socket anew.
            assert!(fs::remove_file(&at_path).is_err(), "{at:?}: the place can be taken");
        }
        _ => {}
    });
    assert_eq!((outcome, *strangers.borrow()), (Outcome::Resurrected, 2));
    assert!(UnixStream::connect(&path).is_ok(), "it is not reached any more");
    assert_eq!(folder.names(), ["x".to_owned()].into());
}

/// Killed at any place: the next run ends it, and a live server is reached again.
#[test]
fn what_a_killed_run_left_is_ended_by_the_next() {
    let Some(folder) = Folder::new() else { return };
    let (path, aside) = (folder.path("x"), folder.aside("x"));
    for what in ["before the exchange", "after it", "after the place was given free"] {
        folder.dead("x", 0);
        if what == "before the exchange" {
            placeholder(&aside);
        } else {
            fs::rename(&path, &aside).unwrap();
        }
        if what == "after it" {
            placeholder(&path);
        }
        let run = sweep(&[path.as_os_str()]);
        assert_eq!(run.code, Some(0), "{what}: {} {}", run.stdout, run.stderr);
        assert_eq!(folder.names(), BTreeSet::new(), "{what}: {}", run.stdout);
    }
    // A run that was kept out of the lock by one that was killed then: it comes to the socket, and finds the directory.
    fs::rename(folder.dead("x", 0), &aside).unwrap();
    let (at_path, mut is_first) = (path.clone(), true);
    let outcome = stopped_at(&folder, aside.file_name().unwrap(), move |at| {
        if at == Checkpoint::Pinned && std::mem::take(&mut is_first) {
            placeholder(&at_path);
        }
    });
    assert_eq!((outcome, folder.names()), (Outcome::Removed, BTreeSet::new()));
    // What such a run left before it knew of that.
    placeholder(&path);
    sweep(&[path.as_os_str()]);
    assert_eq!(folder.names(), BTreeSet::new());
    // What was caught was alive.
    let server = start(&path);
    fs::rename(&path, &aside).unwrap();
    placeholder(&path);
    let run = sweep(&[path.as_os_str()]);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    assert_eq!(arena::pid_of(&path), server.pid);
    assert_eq!(folder.names(), ["x".to_owned()].into());
    // A directory of somebody's that is called like that is no matter of ours.
    server.signal(Signal::KILL);
    server.wait_for_end();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    folder.dead("y", 0);
    fs::rename(folder.path("y"), &aside).unwrap();
    sweep(&[path.as_os_str()]);
    assert!(path.is_dir(), "a directory is no socket");
}

/// The moment between two looks is the adversary's: whoever has put something else there keeps it.
#[test]
fn a_removal_that_cannot_be_ended_says_so() {
    let Some(folder) = Folder::new() else { return };
    let path = folder.dead("x", 0);
    let at_path = path.clone();
    let outcome = stopped(&folder, move |at| {
        if at == Checkpoint::Moved {
            fs::write(at_path.join("full"), "").unwrap();
        }
    });
    assert!(matches!(outcome, Outcome::Failed(Failure::Remove(_))), "{outcome:?}");
    fs::remove_dir_all(&path).unwrap();
}
