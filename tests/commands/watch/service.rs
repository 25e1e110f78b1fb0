//! What the service manager is told, signals, and company.

use super::events::Events;
use crate::common::arena::{self, Arena, start, tmux};
use crate::common::daemon::Daemon;
use crate::common::janitor::{janitor, with};
use crate::common::wait;
use rustix::process::Signal;
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn it_is_ready_when_everything_was_looked_at_and_counts_after_that() {
    let arena = Arena::new().live("x").dead("y");
    let mut daemon = Daemon::watching(arena.dir());
    assert!(!arena.has("y"), "ready means: looked at");
    let ready = daemon.told().iter().find(|told| told.starts_with("READY=1")).cloned().unwrap();
    assert_eq!(ready, "READY=1\nSTATUS=watching 1 server in 1 directory; 1 removed\n");
    let arena = arena.live("z");
    daemon.until_told("STATUS=watching 2 servers in 1 directory; 1 removed");
    arena.server("z").signal(Signal::KILL);
    daemon.until_told("STATUS=watching 1 server in 1 directory; 2 removed");
    daemon.stop();
}

#[test]
fn a_reload_takes_the_new_configuration_and_a_bad_one_keeps_the_old() {
    let arena = Arena::new().live("homebase").live("other");
    let mut daemon = Daemon::configured(arena.dir(), "keep = [\"homebase\"]\n");
    fs::write(daemon.config(), "keeep = []\n").unwrap();
    daemon.forget();
    daemon.signal(Signal::HUP);
    daemon.until_told("a new configuration was rejected");
    let reloading: Vec<_> =
        daemon.told().iter().filter(|told| told.contains("RELOADING=1")).cloned().collect();
    assert!(
        reloading.len() == 1 && reloading[0].contains("MONOTONIC_USEC="),
        "in one message: {reloading:?}"
    );
    assert!(daemon.told().last().unwrap().starts_with("READY=1"), "{:?}", daemon.told());
    assert_eq!(daemon.logged("configuration rejected"), 1, "{}", daemon.log());
    assert_eq!(daemon.logged("keeep"), 1);

    for label in ["homebase", "other"] {
        arena.server(label).signal(Signal::KILL);
    }
    wait::until("the other goes", || !arena.has("other"));
    wait::until("both are told", || daemon.logged("server gone") == 2);
    assert!(arena.has("homebase"), "the old configuration is in force");

    fs::write(daemon.config(), "keep = []\n").unwrap();
    daemon.rescan();
    assert!(!arena.has("homebase"), "ready means: looked at with the new one");
    assert!(!daemon.told().last().unwrap().contains("rejected"));
    daemon.stop();
}

#[test]
fn a_bad_configuration_at_the_start_is_78() {
    let arena = Arena::new();
    fs::write(arena.path("c.toml"), "[watch]\nrescan = 3\n").unwrap();
    for command in ["watch", "events"] {
        let mut run = janitor(arena.dir());
        let output = run.arg("--config").arg(arena.path("c.toml")).arg(command).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{output:?}");
    }
}

#[test]
fn it_sleeps_between_events_and_pings_the_watchdog() {
    let mut arena = Arena::new();
    for number in 0..10 {
        arena = arena.live(number.to_string());
    }
    let mut command = with(janitor(arena.dir()), ["-v", "watch"]);
    command.env("WATCHDOG_USEC", "1000000");
    let began = Instant::now();
    let mut daemon = Daemon::of(command);
    wait::until("two pings", || daemon.told().iter().filter(|told| told.contains("WATCHDOG=1")).count() >= 2);
    daemon.forget();
    let before = daemon.status("voluntary_ctxt_switches");
    let pings = |daemon: &mut Daemon| daemon.told().iter().filter(|told| told.contains("WATCHDOG=1")).count();
    let mut came = vec![Instant::now()];
    while came.len() <= 10 {
        wait::until("a ping", || pings(&mut daemon) >= came.len());
        came.push(Instant::now());
    }
    // Well within the time that it has, and no oftener than twice in it. Whoever is kept from pinging or from reading makes
    // some gaps longer, not most.
    let mut gaps: Vec<Duration> = came.windows(2).map(|two| two[1] - two[0]).collect();
    gaps.sort();
    assert!(gaps[5] < Duration::from_millis(800), "between two pings {gaps:?}");
    let took = began.elapsed();
    assert!(took > Duration::from_secs(5), "twelve pings in {took:?}");
    let woken = daemon.status("voluntary_ctxt_switches") - before;
    assert!(woken <= 11, "{woken} wake-ups for 10 pings");
    assert!(daemon.told().iter().all(|told| told == "WATCHDOG=1\n"), "{:?}", daemon.told());
    daemon.stop();
}

/// Each waits for something else. One of them may be kept from ending by the machine (the kernel's own locks, too), not
/// all.
#[test]
fn told_to_end_it_waits_for_nothing() {
    let took = (0..10).map(|number| {
        let arena = Arena::new().live("x");
        let daemon = Daemon::watching(arena.dir());
        if number % 2 == 0 {
            arena.server("x").signal(Signal::KILL);
            wait::until("its socket goes", || !arena.has("x"));
        }
        let clock = wait::Clock::start();
        daemon.stop();
        clock.elapsed()
    });
    let took = took.min().unwrap();
    assert!(took < Duration::from_secs(1), "{took:?} at least");
}

#[test]
fn a_name_reaches_neither_the_manager_nor_the_terminal_raw() {
    let label = "a\nREADY=1\nSTATUS=\x1b[31mred\u{202e}";
    let arena = Arena::new().live(label);
    let mut daemon = Daemon::watching(arena.dir());
    daemon.forget();
    arena.server(label).signal(Signal::KILL);
    wait::until("its socket goes", || !arena.has(label));
    daemon.until_told("STATUS=watching 0 servers in 1 directory; 1 removed");
    assert!(
        daemon.told().iter().all(|told| !told.contains("READY") && !told.contains('\x1b')),
        "{:?}",
        daemon.told()
    );
    let log = daemon.stop();
    assert!(!log.contains('\x1b') && !log.contains('\u{202e}'), "{log}");
    assert!(log.contains("a\\nREADY=1\\nSTATUS=\\x1b[31mred\\u{202e}"), "{log}");
    assert!(log.lines().all(|line| line.starts_with("tmux-janitor: ")), "{log}");
}

#[test]
fn two_watches_and_a_sweep_at_once_do_no_harm() {
    let arena = Arena::new().live("stays");
    let daemons = [Daemon::watching(arena.dir()), Daemon::watching(arena.dir())];
    let events = Events::of(arena.dir(), 1);
    for round in 0..30 {
        let path = arena.path(format!("r{}", round % 3));
        let started = tmux(&path).args(["new-session", "-d", "-s", "test", "sleep 3600"]).output().unwrap();
        if started.status.success() && started.stderr.is_empty() {
            let server = arena::Server::of(arena::pid_of(&path));
            let sweep = with(janitor(arena.dir()), ["sweep", "--json"]).output().unwrap();
            assert!(sweep.status.success(), "{sweep:?}");
            assert_eq!(arena::pid_of(&path), server.pid, "it can be reached");
            server.signal(Signal::KILL);
            server.wait_for_end();
        }
    }
    arena.assert_reachable("stays");
    wait::until("all is clean", || arena.names() == ["stays"]);
    assert_eq!(events.count("stays", "server-gone"), 0);
    for daemon in daemons {
        let log = daemon.stop();
        assert!(!log.contains("cannot"), "{log}");
    }
}

#[test]
fn without_reaping_it_only_tells() {
    let arena = Arena::new().live("x").dead("old");
    let daemon = Daemon::of(with(janitor(arena.dir()), ["-v", "watch", "--no-reap"]));
    arena.server("x").signal(Signal::KILL);
    wait::until("the death is told", || daemon.logged("server gone") == 1);
    assert!(arena.has("x") && arena.has("old"));
    let _again = start(&arena.path("x"));
    let log = daemon.stop();
    assert!(!log.contains("removed "), "{log}");
}
