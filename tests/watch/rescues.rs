//! `watch.rescue`: what is deleted comes back, and whoever deletes again and again is named, not raced.

use super::common::arena::{Arena, Slowed};
use super::common::wait;
use super::scene::{Daemon, Events};
use rustix::process::Signal;
use std::fs;
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
    wait::until("its server makes it", || arena.has("x"));
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
    wait::until("both are back", || arena.has("slow") && arena.has("x"));
    for label in ["slow", "x"] {
        arena.assert_reachable(label);
    }
    daemon.stop();
}
