//! `watch.rescue`: what is deleted comes back, and whoever deletes again and again is named, not raced.

use super::events::Events;
use crate::common::arena::{Arena, Server, Slowed, pid_of, processes_of, start, tmux};
use crate::common::daemon::{Daemon, ended};
use crate::common::janitor::{Run, janitor};
use crate::common::wait;
use rustix::fs::{FileType, Mode};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::{Duration, Instant};

/// How many rescues a minute has, as docs/ghosts.md says.
const A_MINUTE: usize = 20;

#[test]
fn a_socket_that_is_deleted_again_and_again_comes_back_twenty_times_a_minute() {
    let arena = Arena::new().live("x");
    let daemon = Daemon::configured(arena.dir(), "[watch]\nrescue = true\n");
    let events = Events::of(arena.dir(), 1);
    let told = |daemon: &Daemon| {
        daemon.logged("rescued the ghost") + daemon.logged("it has made its socket, and somebody deleted it")
    };
    let mut took: Vec<Duration> = Vec::new();
    for round in 1..=A_MINUTE {
        let deleted = Instant::now();
        fs::remove_file(arena.path("x")).unwrap();
        wait::until("the socket is back", || arena.has("x"));
        took.push(deleted.elapsed());
        if round % 2 == 0 {
            // The other times at once, before anybody can have looked at it.
            wait::until("it is told", || told(&daemon) == round);
        }
    }
    took.sort();
    println!("back after {:?} (median), {:?} at most", took[took.len() / 2], took[took.len() - 1]);
    wait::until("all are told", || told(&daemon) == A_MINUTE);
    fs::remove_file(arena.path("x")).unwrap();
    wait::until("it is said who is to be looked for", || daemon.logged("again and again") == 1);
    assert!(!arena.has("x"));
    arena.server("x").signal(Signal::USR1);
    wait::until("its server makes it", || arena.listens_at("x"));
    arena.assert_reachable("x");
    arena.server("x").signal(Signal::KILL);
    events.until("x", "socket-removed");
    let told = events.whats("x");
    for what in ["server-up", "server-gone", "socket-removed"] {
        assert_eq!(told.iter().filter(|told| *told == what).count(), 1, "{told:?}");
    }
    assert_eq!(events.count("x", "ghost"), events.count("x", "rescued"), "{told:?}");
    assert_eq!(daemon.logged("again and again"), 1);
    daemon.stop();
}

#[test]
fn a_ghost_that_is_found_during_a_rescue_has_its_turn_after_it() {
    let arena = Arena::new().live("slow").live("x");
    let daemon = Daemon::configured(arena.dir(), "[watch]\nrescue = true\n");
    let Some(_slowed) = Slowed::server(arena.server("slow")) else { return };
    fs::remove_file(arena.path("slow")).unwrap();
    wait::until("its rescue is under way", || arena.has("slow.lock"));
    fs::remove_file(arena.path("x")).unwrap();
    wait::until("both are back", || arena.listens_at("slow") && arena.listens_at("x"));
    for label in ["slow", "x"] {
        arena.assert_reachable(label);
    }
    daemon.stop();
}

/// A server that reads a configuration which does not come: it listens, and does nothing else.
struct Busy {
    room: tempfile::TempDir,
    client: Child,
    server: Server,
}

impl Busy {
    /// It has just lost its socket `label`.
    fn lost(arena: &Arena, label: &str) -> Self {
        let room = tempfile::tempdir().unwrap();
        let config = room.path().join("config");
        rustix::fs::mknodat(rustix::fs::CWD, &config, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let (socket, others) = (arena.path(label), processes_of(arena.dir()).0);
        let mut client = tmux(&socket);
        client.arg("-f").arg(&config);
        let client = client.args(["new-session", "-d", "sleep 3600"]).spawn().unwrap();
        wait::until("the server listens", || UnixStream::connect(&socket).is_ok());
        let mut servers = processes_of(arena.dir()).0;
        servers.retain(|pid| !others.contains(pid));
        let server = Server::of(servers.into_iter().next().expect("the busy server"));
        fs::remove_file(&socket).unwrap();
        Self { room, client, server }
    }

    /// Its configuration comes.
    fn goes_on(&mut self) {
        drop(fs::OpenOptions::new().write(true).open(self.room.path().join("config")).unwrap());
        assert!(ended(&mut self.client).success());
    }
}

#[test]
fn a_ghost_that_is_found_during_a_rescue_that_fails_has_its_turn_after_it() {
    let arena = Arena::new().live("x");
    let mut busy = Busy::lost(&arena, "busy");
    let daemon = Daemon::configured(arena.dir(), "[watch]\nrescue = true\n");
    wait::until("its rescue is under way", || arena.has("busy.lock"));
    fs::remove_file(arena.path("x")).unwrap();
    wait::until("the other one is back", || arena.listens_at("x"));
    arena.assert_reachable("x");
    assert!(!arena.has("busy") && busy.server.is_alive());
    busy.goes_on();
    wait::until("the busy one is back", || arena.has("busy"));
    daemon.stop();
}

#[test]
fn the_end_does_not_wait_for_a_rescue() {
    let arena = Arena::new().live("y");
    let mut busy = Busy::lost(&arena, "x");
    let daemon = Daemon::configured(arena.dir(), "[watch]\nrescue = true\n");
    wait::until("the rescue holds the start lock", || arena.has("x.lock"));
    // Within a second, with exit code 0.
    daemon.stop();
    assert!(!arena.has("x") && busy.server.is_alive());
    let run = Run::of(janitor(arena.dir()).args(["sweep", "--json"]));
    assert_eq!(run.code, Some(0), "{} {}", run.stdout, run.stderr);
    assert_eq!(arena.names(), ["y"], "no litter is left");

    // Told by then or not, it can be rescued when it goes on.
    busy.goes_on();
    wait::until("the ghost is reached again", || {
        Run::of(janitor(arena.dir()).args(["rescue"]));
        arena.listens_at("x")
    });
    assert_eq!(pid_of(&arena.path("x")), busy.server.pid);
}

#[test]
fn a_folder_that_a_test_has_removed_does_not_come_back() {
    let arena = Arena::new();
    let parent = arena.path("tests");
    let dir = parent.join(format!("tmux-{}", rustix::process::getuid().as_raw()));
    for folder in [&parent, &dir] {
        fs::DirBuilder::new().mode(0o700).create(folder).unwrap();
    }
    let server = start(&dir.join("t"));
    let daemon = Daemon::configured(&dir, "[watch]\nrescue = true\n");
    fs::remove_dir_all(&parent).unwrap();
    wait::until("it is told", || daemon.logged("the folder above that is gone, too") > 0);
    assert!(server.is_alive() && !parent.exists());
    // Its own folder comes back where the one above it is there, however late that comes.
    daemon.until_at_rest();
    fs::create_dir(&parent).unwrap();
    wait::until("its socket is back", || dir.join("t").exists());
    daemon.stop();
}
