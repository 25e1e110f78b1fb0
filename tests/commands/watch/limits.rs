//! Storms, and what is used up.

use super::events::Events;
use super::fake::Fake;
use crate::common::arena::{self, Arena, start};
use crate::common::daemon::Daemon;
use crate::common::{skip, wait};
use rustix::process::Signal;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

#[test]
fn twenty_thousand_creations_at_once_lose_events_and_nothing_else() {
    let arena = Arena::new().live("before");
    let daemon = Daemon::watching(arena.dir());
    let events = Events::of(arena.dir(), 1);
    daemon.freeze();
    events.signal(Signal::STOP);
    for number in 0..20_000 {
        File::create(arena.path(format!("f{number}"))).unwrap();
    }
    let dead: Vec<PathBuf> = (0..50).map(|number| arena.path(format!("dead{number}"))).collect();
    for path in &dead {
        wait::bring_dead(path);
    }
    let arena = arena.live("during");
    arena.server("before").signal(Signal::KILL);
    daemon.thaw();
    events.signal(Signal::CONT);
    wait::until("the dead are removed", || dead.iter().all(|path| !path.exists()) && !arena.has("before"));
    events.until("during", "server-up");
    arena.server("during").signal(Signal::KILL);
    wait::until("the one of the storm is known too", || !arena.has("during"));
    events.until("during", "socket-removed");
    wait::until("nothing else is left", || arena.names().len() == 20_000);
    let log = daemon.stop();
    assert_eq!(log.matches("lost events").count(), 1, "{log}");
}

#[test]
fn with_no_inotify_left_it_works_on_with_the_rescan() {
    // In a user namespace of its own, where the limit can be set without touching anybody else's.
    let arena = Arena::new();
    let limit = "echo 0 >/proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", limit, env!("CARGO_BIN_EXE_tmux-janitor")]);
    command.arg("-v").arg("--dir").arg(arena.dir()).arg("watch").env("XDG_CONFIG_HOME", "/nonexistent");
    let possible = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", "echo 0 >/proc/sys/user/max_inotify_instances"])
        .output();
    if !possible.is_ok_and(|output| output.status.success()) {
        return skip::skip("this user may not make a user namespace");
    }
    let mut daemon = Daemon::of(command);
    let inside = |script: &str| {
        let pid = daemon.pid().to_string();
        let run = Command::new("nsenter")
            .args(["--target", &pid, "--user", "--preserve-credentials", "sh", "-euc", script, "sh"])
            .arg(arena.path("x"))
            .env("TMUX", arena::tmux_program())
            .output()
            .unwrap();
        assert!(run.status.success(), "{script}: {run:?}");
        String::from_utf8_lossy(&run.stdout).trim().to_owned()
    };
    let script = "\"$TMUX\" -f /dev/null -S \"$1\" new-session -d 'sleep 60'; \"$TMUX\" -S \"$1\" display-message -p '#{pid}'";
    let server = arena::Server::of(inside(script).parse().unwrap());
    assert_eq!(daemon.logged("inotify cannot be used"), 1, "{}", daemon.log());
    assert_eq!(daemon.logged("max_user_instances"), 1, "{}", daemon.log());
    daemon.rescan();
    daemon.rescan();
    assert_eq!(daemon.logged("inotify cannot be used"), 1, "one warning, no drumbeat");
    // Known by the rescan, its death is noticed at once.
    server.signal(Signal::KILL);
    wait::until("its socket goes", || !arena.has("x"));
    daemon.stop();
}

#[test]
fn with_64_descriptors_it_works_on() {
    let arena = Arena::new().dead("dead");
    let paths: Vec<PathBuf> = (0..80).map(|number| arena.path(format!("s{number}"))).collect();
    let mut fakes = Fake::all(&paths);
    let mut command = Command::new("prlimit");
    command.args(["--nofile=64:64", env!("CARGO_BIN_EXE_tmux-janitor"), "-v", "--dir"]).arg(arena.dir());
    command.arg("watch").env("XDG_CONFIG_HOME", "/nonexistent");
    let mut daemon = Daemon::of(command);
    assert!(!arena.has("dead"));
    assert!(daemon.told().iter().any(|told| told.contains("watching 80 servers")), "{:?}", daemon.told());
    assert_eq!(daemon.logged("no file descriptor is left"), 1, "{}", daemon.log());
    fakes.iter_mut().for_each(Fake::kill);
    drop(fakes);
    wait::until("those that are tied go at once", || daemon.logged("removed dead socket") >= 10);
    daemon.rescan();
    wait::until("the rescan finds the others", || arena.names().is_empty());
    let log = daemon.stop();
    assert_eq!(log.matches("server gone").count(), 80, "{log}");
    assert_eq!(log.matches("no file descriptor is left").count(), 1, "{log}");
    assert!(!log.contains("cannot remove"), "{log}");
}

/// Fewer than it needs: it says so, once, and is not silent of what it did not see.
#[test]
fn with_hardly_any_descriptors_it_says_that_ghosts_may_be_missing() {
    let arena = Arena::new().live("a");
    fs::remove_file(arena.path("a")).unwrap();
    let (mut found, mut lacking, mut blind) = (0, 0, 0);
    for limit in [12, 14, 16, 18, 20, 22, 24, 64] {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={limit}:{limit}")).args([env!("CARGO_BIN_EXE_tmux-janitor"), "--dir"]);
        command.arg(arena.dir()).args(["-v", "watch"]).env("XDG_CONFIG_HOME", "/nonexistent");
        // With too few it cannot tell the service manager that it is ready.
        let daemon = Daemon::begin(command, |_, _| {});
        let logged = |what: &str| daemon.logged(what);
        let (ghost, lack) = ("a live server whose socket was deleted", "not all processes and files");
        let cannot = "does not let us wait for events: Too many open files; no file descriptor is left";
        wait::until("it has looked for ghosts, or given up", || {
            logged(ghost) + logged(lack) + logged(cannot) > 0
        });
        if logged(cannot) > 0 {
            continue;
        }
        let told = (logged(ghost), logged(lack));
        // Both, where it lacked one only after it had come to the ghost.
        assert!(matches!(told, (1, 0 | 1) | (0, 1)), "{limit}: {}", daemon.log());
        assert!(told.1 == 0 || logged("no file descriptor is left") > 0, "{limit}: {}", daemon.log());
        // Nor does it blame a limit that has nothing to do with it.
        blind += logged("inotify cannot be used");
        assert_eq!(logged("max_user_instances"), 0, "{limit}: {}", daemon.log());
        found += usize::from(told == (1, 0));
        lacking += told.1;
        drop(daemon);
    }
    assert!(found > 0 && lacking > 0 && blind > 0, "{found} {lacking} {blind}");
}

#[test]
fn after_thousands_of_births_and_deaths_it_is_as_at_the_start() {
    let arena = Arena::new().live("stays");
    let mut daemon = Daemon::watching(arena.dir());
    let paths: Vec<PathBuf> = (0..100).map(|number| arena.path(format!("s{number}"))).collect();
    let round = |daemon: &Daemon| {
        let mut fakes = Fake::all(&paths);
        wait::until("all are known", || daemon.waits_for().len() == 1 + paths.len());
        fakes.iter_mut().for_each(Fake::kill);
        wait::until("all are gone", || arena.names() == ["stays"]);
    };
    round(&daemon);
    daemon.rescan();
    let descriptors = daemon.descriptors();
    let memory: Vec<u64> = (0..=4)
        .map(|_| {
            (0..5).for_each(|_| round(&daemon));
            daemon.rescan();
            // Not as many: at the start it may have looked at something just then.
            wait::until("no more descriptors than at the start", || daemon.descriptors() <= descriptors);
            daemon.status("RssAnon")
        })
        .collect();
    // What it once needed for a burst it may keep; what it loses at each birth it loses in every 500.
    let grown = memory.windows(2).map(|two| two[1].saturating_sub(two[0])).min().unwrap();
    assert!(grown < 64, "{grown} kB more at least after 500 births each: {memory:?}");
    arena.assert_reachable("stays");
    let log = daemon.stop();
    assert_eq!(log.matches("server gone").count(), 26 * paths.len());
}

#[test]
fn a_start_that_is_killed_leaves_nothing_that_stays() {
    let arena = Arena::new();
    let daemon = Daemon::watching(arena.dir());
    // A lock is held while the server dies: a start is under way, and its client is killed.
    let server = start(&arena.path("x"));
    wait::until("it is known", || daemon.waits_for() == [server.pid]);
    let lock = File::create(arena.path("x.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    server.signal(Signal::KILL);
    server.wait_for_end();
    wait::until("its end is told", || daemon.logged("server gone") == 1);
    assert!(arena.has("x"), "somebody holds the lock");
    drop(lock);
    wait::until("the socket goes when the lock is let go", || !arena.has("x"));
    daemon.stop();
}
