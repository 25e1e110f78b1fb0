//! `rescue --aside`: a newer server has taken the path; it gets a second name, and both are reachable.

use super::scene::{ghost, say};
use crate::common::arena::{self, Arena};
use crate::common::ghosts::{ghosts, json, taken};
use crate::common::janitor::{Run, bare, entry, fate, janitor};
use crate::common::wait;
use rustix::process::Signal;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|file| file.ino())
}

#[test]
fn both_servers_are_reached_and_nobody_is_without_a_name_meanwhile() {
    let (arena, newer) = taken();
    let (path, second) = (arena.path("a"), arena.path("a-new"));
    let older = arena.server("a").pid;
    let list = json(arena.dir(), &["list"], 0);
    assert!(
        ghost(&list, "a")["reason"].as_str().unwrap().contains("`tmux-janitor rescue --aside`"),
        "{list:#}"
    );

    let dry = Run::of(janitor(arena.dir()).args(["rescue", "--aside", "--dry-run"]));
    let said = |would: &str| {
        let verbs = if would.is_empty() {
            ("set aside as", "rescued")
        } else {
            ("would set aside as", "would rescue")
        };
        format!(
            "{} {} (pid {})\n{} {} (pid {older})\n{} 1 ghost\n",
            verbs.0,
            second.display(),
            newer.pid,
            verbs.1,
            path.display(),
            verbs.1
        )
    };
    assert_eq!((dry.code, dry.stdout), (Some(0), said("would")), "{}", dry.stderr);
    assert_eq!(arena.names(), ["a"]);

    // The first name is looked at first: when it is gone, the second one is there for good.
    let newer_inode = inode(&path);
    let (over, nameless) = (AtomicBool::new(false), AtomicBool::new(false));
    let run = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                if inode(&path) != newer_inode && inode(&second) != newer_inode {
                    nameless.store(true, Ordering::Release);
                }
            }
        });
        let run = Run::of(bare().args(["rescue", "--aside"]).arg(&path));
        over.store(true, Ordering::Release);
        run
    });
    assert!(!nameless.into_inner(), "the newer server had no name for a while");
    assert_eq!((run.code, run.stdout), (Some(0), said("")), "{}", run.stderr);
    assert!(run.stderr.contains("$TMUX"), "{}", run.stderr);
    assert_eq!((arena::pid_of(&path), arena::pid_of(&second)), (older, newer.pid));
    assert_eq!(arena.names(), ["a", "a-new"], "nothing of ours is left behind");

    // As the warning says: in the newer one's panes, $TMUX leads to the older one.
    let file = arena.path("told");
    let ask = format!(
        "{} display-message -p '#{{pid}}' >{1}.new; mv {1}.new {1}",
        arena::tmux_program().to_string_lossy(),
        file.display()
    );
    say(&second, &["new-window", "-d", &ask]);
    wait::until("the pane tells", || file.exists());
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), older.to_string());
    fs::remove_file(&file).unwrap();

    // Reachable under another name is no ghost: nobody takes the path back.
    assert_eq!(ghosts(arena.dir()), []);
    assert_eq!(Run::of(janitor(arena.dir()).args(["rescue", "--aside"])).stdout, "no ghosts\n");
    let swept = json(arena.dir(), &["sweep", "--rescue"], 0);
    assert_eq!((&swept["counts"]["live"], &swept["counts"]["removed"]), (&2.into(), &0.into()));
    newer.signal(Signal::KILL);
    newer.wait_for_end();
    assert_eq!(fate(&json(arena.dir(), &["sweep"], 0), "a-new"), ("dead", "removed"));
    arena.assert_reachable("a");
}

#[test]
fn the_result_names_the_new_path_and_a_name_that_is_taken_is_not_touched() {
    let (arena, newer) = taken();
    fs::write(arena.path("a-new"), "precious").unwrap();
    let done = json(arena.dir(), &["rescue", "--aside"], 0);
    assert_eq!(fate(&done, "a"), ("ghost", "rescued"));
    assert_eq!(fate(&done, "a-new-2"), ("live", "set-aside"));
    let aside = entry(&done, "a-new-2");
    assert_eq!(aside["path"], arena.path("a-new-2").to_str().unwrap());
    assert_eq!(aside["server_pid"], newer.pid);
    assert_eq!(arena::pid_of(&arena.path("a-new-2")), newer.pid);
    assert_eq!(fs::read(arena.path("a-new")).unwrap(), b"precious");
    arena.assert_reachable("a");
}

#[test]
fn a_newer_one_that_is_told_later_takes_the_path_back_and_its_second_name_dies() {
    let (arena, newer) = taken();
    json(arena.dir(), &["rescue", "--aside"], 0);
    newer.signal(Signal::USR1);
    wait::until("it has its socket anew", || {
        let output =
            arena::tmux(&arena.path("a")).args(["display-message", "-p", "#{pid}"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim() == newer.pid.to_string()
    });
    assert_eq!(ghosts(arena.dir()), [("a".to_owned(), arena.server("a").pid.into())]);
    let again = json(arena.dir(), &["rescue", "--aside"], 0);
    // What it left at its second name is dead; it gets the next one.
    assert_eq!(fate(&again, "a-new-2"), ("live", "set-aside"));
    arena.assert_reachable("a");
    assert_eq!(fate(&json(arena.dir(), &["sweep"], 0), "a-new"), ("dead", "removed"));
}

#[test]
fn nobody_is_set_aside_who_is_no_tmux_or_for_one_of_several() {
    let refused = |arena: &Arena| {
        let list = json(arena.dir(), &["list"], 0);
        assert!(!list.to_string().contains("--aside"), "it is promised: {list:#}");
        let before = inode(&arena.path("a"));
        for dry in [&["--dry-run"][..], &[]] {
            let done = json(arena.dir(), &[&["rescue", "--aside"], dry].concat(), 1);
            let sockets = done["sockets"].as_array().unwrap();
            assert!(sockets.iter().all(|socket| socket["outcome"] == "kept"), "{done:#}");
        }
        assert_eq!((inode(&arena.path("a")), arena.names()), (before, vec!["a".into()]));
    };
    let arena = Arena::new().live("a");
    fs::remove_file(arena.path("a")).unwrap();
    // Another program listens there.
    let listener = OwnedFd::from(UnixListener::bind(arena.path("a")).unwrap());
    let mut other = Command::new("sleep").arg("3600").stdin(listener).spawn().unwrap();
    refused(&arena);
    other.kill().unwrap();
    other.wait().unwrap();
    // Two have lost it to a third.
    let (arena, _second) = taken();
    fs::remove_file(arena.path("a")).unwrap();
    let _third = arena::start(&arena.path("a"));
    refused(&arena);
}

#[test]
fn a_start_on_either_name_is_waited_for_by_nobody_and_not_disturbed() {
    let (arena, newer) = taken();
    for held in ["a.lock", "a-new.lock"] {
        let lock = fs::File::create(arena.path(held)).unwrap();
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
        for dry in [&["--dry-run"][..], &[]] {
            let done = json(arena.dir(), &[&["rescue", "--aside"], dry].concat(), 1);
            assert_eq!(fate(&done, "a"), ("ghost", "busy"));
        }
        assert_eq!(arena::pid_of(&arena.path("a")), newer.pid);
        assert!(!arena.has("a-new"), "{held}");
        drop(lock);
        fs::remove_file(arena.path(held)).unwrap();
    }
}
