//! The removal, step by step: what it looks at last, and what it says of each end.
//!
//! `checkpoints` asks whether servers are lost; here the steps that keep them from being lost are seen one by one.

use crate::common::arena::Arena;
use crate::common::wait;
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use std::cell::{Cell, RefCell};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tmux_sockets::judge::State;
use tmux_sockets::kernel::Label;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::checkpoint::{self, Checkpoint};
use tmux_sockets::remove::{Reaped, Reaper};
use tmux_sockets::report::{Failure, Outcome};
use tmux_sockets::tmux::{SocketDir, Strictness};
use tmux_sockets::witness::Witness;

/// Has `act` done at each place that the removal of these names comes to; what it ended with, and the places.
fn reap(
    dir: &Path,
    names: &[&str],
    mut act: impl FnMut(Checkpoint) + 'static,
) -> (Vec<Reaped>, Vec<Checkpoint>) {
    let places = Rc::new(RefCell::new(Vec::new()));
    let list = Rc::clone(&places);
    checkpoint::install(Some(Box::new(move |at| {
        list.borrow_mut().push(at);
        act(at);
    })));
    let user = rustix::process::getuid().as_raw();
    let dir = SocketDir::open(dir, Uid::new(user), Strictness::Swept).unwrap().unwrap();
    let names: Vec<Label> = names.iter().map(|name| Label::new(*name).unwrap()).collect();
    let reaped = Reaper::new(&dir, Uid::new(user)).reap(&mut Witness::new(Uid::new(user)), &names);
    checkpoint::install(None);
    (reaped, places.take())
}

/// The one end of the removal of `x`.
fn outcome(dir: &Path, act: impl FnMut(Checkpoint) + 'static) -> (Outcome, Vec<Checkpoint>) {
    let (reaped, places) = reap(dir, &["x"], act);
    assert_eq!(reaped.len(), 1);
    (reaped[0].outcome, places)
}

/// Somebody's server, put where `path` is without any lock.
fn replace(path: &Path) -> UnixListener {
    fs::remove_file(path).unwrap();
    UnixListener::bind(path).unwrap()
}

#[test]
fn every_name_has_its_end_in_its_place() {
    // Two looks at the table serve all of them: while they are held open, and when those are locked that it does
    // not show. Where the machine is busy just then they are fewer at once.
    wait::until("two looks serve all", || {
        let looks = five_names();
        assert_eq!(looks.0, looks.1);
        looks.0 == 1
    });
}

/// How often the table was read while they were held open, and under the locks.
fn five_names() -> (usize, usize) {
    let arena = Arena::new().dead("a").dead("c").dead("d");
    let _live = UnixListener::bind(arena.path("b")).unwrap();
    let (reaped, places) = reap(arena.dir(), &["a", "b", "nothing", "c", "d"], |_| {});
    let outcomes: Vec<Outcome> = reaped.iter().map(|reaped| reaped.outcome).collect();
    let (removed, vanished) = (Outcome::Removed, Outcome::Vanished);
    assert_eq!(outcomes, [removed, Outcome::Resurrected, vanished, removed, removed]);
    let states: Vec<Option<State>> =
        reaped.iter().map(|reaped| reaped.verdict.map(|verdict| verdict.state)).collect();
    let (dead, live) = (Some(State::Dead), Some(State::Live));
    assert_eq!(states, [dead, live, None, dead, dead]);
    let times = |at| places.iter().filter(|place| **place == at).count();
    assert_eq!(times(Checkpoint::LockIn), 3, "a live server's lock was taken");
    assert_eq!(arena.names(), ["b"]);
    (times(Checkpoint::Listed), times(Checkpoint::TableRead))
}

/// On a machine that is too busy, each start that meets us has to wait for one removal only.
#[test]
fn where_the_table_takes_long_few_are_locked_together() {
    let arena = Arena::new().dead("a").dead("b").dead("c");
    let (reaped, places) = reap(arena.dir(), &["a", "b", "c"], |at| {
        if at == Checkpoint::Pinned {
            std::thread::sleep(std::time::Duration::from_millis(400));
        }
    });
    assert!(reaped.iter().all(|reaped| reaped.outcome == Outcome::Removed), "{reaped:?}");
    let times = |at| places.iter().filter(|place| **place == at).count();
    assert_eq!((times(Checkpoint::LockIn), times(Checkpoint::Locked)), (3, 3));
}

#[test]
fn what_is_another_by_now_is_not_even_moved() {
    let arena = Arena::new().dead("x");
    let (path, server) = (arena.path("x"), Rc::new(RefCell::new(None)));
    let keep = Rc::clone(&server);
    let (outcome, places) = outcome(arena.dir(), move |at| {
        if at == Checkpoint::JudgedDead {
            *keep.borrow_mut() = Some(replace(&path));
        }
    });
    assert_eq!(outcome, Outcome::Resurrected);
    assert!(!places.contains(&Checkpoint::Move), "for a moment a live server had no path: {places:?}");
    assert!(UnixStream::connect(arena.path("x")).is_ok());
}

#[test]
fn what_was_moved_and_is_another_is_put_back() {
    let arena = Arena::new().dead("x");
    let (path, server) = (arena.path("x"), Rc::new(RefCell::new(None)));
    let keep = Rc::clone(&server);
    let (outcome, places) = outcome(arena.dir(), move |at| {
        if at == Checkpoint::Move {
            *keep.borrow_mut() = Some(replace(&path));
        }
    });
    assert_eq!(outcome, Outcome::Resurrected);
    assert!(places.contains(&Checkpoint::PutBack));
    assert!(UnixStream::connect(arena.path("x")).is_ok());
    assert_eq!(arena.names(), ["x"]);
}

/// Over nothing that came meanwhile: both servers keep a name.
#[test]
fn it_is_not_put_back_over_another() {
    let arena = Arena::new().dead("x");
    let (path, servers) = (arena.path("x"), Rc::new(RefCell::new(Vec::new())));
    let keep = Rc::clone(&servers);
    let (outcome, _) = outcome(arena.dir(), move |at| match at {
        Checkpoint::Move => keep.borrow_mut().push(replace(&path)),
        Checkpoint::PutBack => keep.borrow_mut().push(UnixListener::bind(&path).unwrap()),
        _ => {}
    });
    assert_eq!(outcome, Outcome::Failed(Failure::PutBack(rustix::io::Errno::EXIST)));
    for server in servers.borrow().iter() {
        server.set_nonblocking(true).unwrap();
    }
    for name in arena.names() {
        assert!(UnixStream::connect(arena.path(&name)).is_ok(), "{}", name.to_string_lossy());
    }
    assert!(servers.borrow().iter().all(|server| server.accept().is_ok()), "one has no name any more");
}

#[test]
fn what_another_took_out_of_quarantine_is_gone() {
    let arena = Arena::new().dead("x");
    let dir = arena.dir().to_owned();
    let (outcome, places) = outcome(arena.dir(), move |at| {
        if at == Checkpoint::Moved {
            fs::remove_file(quarantined(&dir)).unwrap();
        }
    });
    assert_eq!(outcome, Outcome::Removed);
    assert!(!places.contains(&Checkpoint::PutBack));
    assert_eq!(arena.names(), [""; 0]);
}

/// What a killed run left. Nobody binds such a name, so nothing can come between.
#[test]
fn what_is_in_quarantine_is_not_moved_to_another() {
    let long = format!(".tmux-janitor-quarantine.{}", "x".repeat(230));
    let arena = Arena::new().dead("x").dead("y");
    fs::rename(arena.path("x"), quarantined(arena.dir())).unwrap();
    fs::rename(arena.path("y"), arena.path(&long)).unwrap();
    let (reaped, places) = reap(arena.dir(), &[".tmux-janitor-quarantine.x", &long], |_| {});
    assert!(reaped.iter().all(|reaped| reaped.outcome == Outcome::Removed), "{reaped:?}");
    assert!(!places.contains(&Checkpoint::Move));
    assert_eq!(arena.names(), [""; 0]);
}

#[test]
fn what_listens_by_now_stays_where_it_is_in_quarantine() {
    let arena = Arena::new();
    let quarantine = quarantined(arena.dir());
    let Some(server) = bound_elsewhere(&quarantine) else {
        return crate::common::skip::skip("only root can make a network namespace here");
    };
    let (reaped, places) = reap(arena.dir(), &[".tmux-janitor-quarantine.x"], move |at| {
        if at == Checkpoint::Moved {
            rustix::net::listen(&server, 8).unwrap();
            std::mem::forget(rustix::io::dup(&server).unwrap());
        }
    });
    assert_eq!(reaped[0].outcome, Outcome::Resurrected);
    assert!(!places.contains(&Checkpoint::PutBack));
    assert!(UnixStream::connect(quarantine).is_ok());
}

/// A child that inherits a start lock, started beside a sweep by `spawn`, would hold it as long as it lives.
#[test]
fn no_child_inherits_what_is_held_open() {
    let arena = Arena::new().dead("x").dead("y");
    fs::write(arena.path("y.lock"), "").unwrap();
    fs::set_permissions(arena.path("y.lock"), fs::Permissions::from_mode(0o600)).unwrap();
    let dir = arena.dir().to_owned();
    let seen = Rc::new(Cell::new(0));
    let count = Rc::clone(&seen);
    let (reaped, _) = reap(arena.dir(), &["x", "y"], move |at| {
        if at == Checkpoint::Locked {
            count.set(held_open(&dir));
        }
    });
    assert!(reaped.iter().all(|reaped| reaped.outcome == Outcome::Removed), "{reaped:?}");
    // The folder, two sockets, their locks, and the lock that was to be moved where one stood already.
    assert_eq!(seen.get(), 6);
}

/// How many files of a folder this process has open; none of them may be inherited.
fn held_open(dir: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten().filter(|entry| {
        let leads_there = fs::read_link(entry.path()).is_ok_and(|path| path.starts_with(dir));
        if leads_there {
            let number = entry.file_name().into_string().unwrap();
            let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
            let flags = i32::from_str_radix(flags, 8).unwrap();
            assert_ne!(flags & libc::O_CLOEXEC, 0, "{:?} is inherited", fs::read_link(entry.path()));
        }
        leads_there
    });
    open.count()
}

fn quarantined(dir: &Path) -> PathBuf {
    dir.join(".tmux-janitor-quarantine.x")
}

/// A socket of another network namespace is in no table of ours, and before listen(2) it refuses like a dead one.
fn bound_elsewhere(path: &Path) -> Option<OwnedFd> {
    let path = path.to_owned();
    let elsewhere = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).ok()?;
        let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
        Some(socket)
    });
    elsewhere.join().unwrap()
}

#[test]
fn who_listens_at_the_last_moment_and_in_no_table_keeps_his_socket() {
    let arena = Arena::new();
    let Some(server) = bound_elsewhere(&arena.path("x")) else {
        return crate::common::skip::skip("only root can make a network namespace here");
    };
    let (outcome, places) = outcome(arena.dir(), move |at| {
        if at == Checkpoint::Moved {
            rustix::net::listen(&server, 8).unwrap();
            // It outlives the removal.
            std::mem::forget(rustix::io::dup(&server).unwrap());
        }
    });
    assert_eq!(outcome, Outcome::Resurrected);
    assert!(places.contains(&Checkpoint::PutBack));
    assert!(UnixStream::connect(arena.path("x")).is_ok());
    assert_eq!(arena.names(), ["x"]);
}

/// The last outcome of a reaper that is asked to put `x` back from its quarantine.
fn put_back(dir: &Path) -> Outcome {
    let user = rustix::process::getuid().as_raw();
    let open = SocketDir::open(dir, Uid::new(user), Strictness::Swept).unwrap().unwrap();
    Reaper::new(&open, Uid::new(user)).put_back(".tmux-janitor-quarantine.x".as_ref(), "x".as_ref())
}

#[test]
fn what_lives_in_quarantine_gets_its_name_back_under_its_lock_and_over_nothing() {
    let arena = Arena::new();
    let server = UnixListener::bind(quarantined(arena.dir())).unwrap();
    // Somebody starts that label.
    let lock = fs::File::create(arena.path("x.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_eq!(put_back(arena.dir()), Outcome::Busy);
    drop(lock);
    fs::remove_file(arena.path("x.lock")).unwrap();
    fs::create_dir(arena.path("x.lock")).unwrap();
    assert!(matches!(put_back(arena.dir()), Outcome::Failed(Failure::Lock(_))));
    fs::remove_dir(arena.path("x.lock")).unwrap();
    // He has the name now.
    let started = UnixListener::bind(arena.path("x")).unwrap();
    assert_eq!(put_back(arena.dir()), Outcome::Failed(Failure::PutBack(rustix::io::Errno::EXIST)));
    assert_eq!(arena.names(), [".tmux-janitor-quarantine.x", "x"]);
    drop(started);
    fs::remove_file(arena.path("x")).unwrap();
    assert_eq!(put_back(arena.dir()), Outcome::Resurrected);
    assert!(UnixStream::connect(arena.path("x")).is_ok());
    assert_eq!(put_back(arena.dir()), Outcome::Vanished);
    assert_eq!(arena.names(), ["x"]);
    drop(server);
}

#[test]
fn a_lock_alone_goes_unless_somebody_comes_for_it() {
    let arena = Arena::new();
    let user = rustix::process::getuid().as_raw();
    let lock = arena.path("x.lock");
    let clear = || {
        let open = SocketDir::open(arena.dir(), Uid::new(user), Strictness::Swept).unwrap().unwrap();
        Reaper::new(&open, Uid::new(user)).clear_lock("x.lock".as_ref(), "x".as_ref())
    };
    let leave = || {
        fs::write(&lock, "").unwrap();
        fs::set_permissions(&lock, fs::Permissions::from_mode(0o600)).unwrap();
    };
    leave();
    assert_eq!(clear(), Outcome::Removed);
    assert_eq!(arena.names(), [""; 0]);
    // A server came: the next start takes its lock along.
    leave();
    let server = UnixListener::bind(arena.path("x")).unwrap();
    assert_eq!(clear(), Outcome::Kept);
    assert_eq!(arena.names(), ["x", "x.lock"]);
    drop(server);
    fs::remove_file(arena.path("x")).unwrap();
    // Somebody has it open, or comes just before it goes.
    let reader = fs::File::open(&lock).unwrap();
    assert_eq!(clear(), Outcome::Kept);
    drop(reader);
    let opened = lock.clone();
    checkpoint::install(Some(Box::new(move |at| {
        if at == Checkpoint::LockOut {
            // Under the lease it cannot be opened without waiting; that somebody tried is seen.
            let tried = rustix::fs::open(&opened, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty());
            assert_eq!(tried.err(), Some(rustix::io::Errno::AGAIN));
        }
    })));
    assert_eq!(clear(), Outcome::Busy);
    checkpoint::install(None);
    assert_eq!(arena.names(), ["x.lock"]);
}
