//! Servers whose sockets are renamed, or have a second name: each is told of at one path, and goes once.

use super::events::Events;
use crate::common::arena::{self, Arena, Server};
use crate::common::daemon::Daemon;
use crate::common::janitor::{Run, bare, janitor, with};
use crate::common::wait;
use rustix::process::Signal;
use std::fs;
use std::path::Path;

/// Where a label's server was told to be, one after the other.
fn places(events: &Events, label: &str) -> Vec<String> {
    let renamed = |event: &&serde_json::Value| event["label"] == label && event["event"] == "renamed";
    let to = |event: &serde_json::Value| event["to"].as_str().unwrap().to_owned();
    events.all().iter().filter(renamed).map(to).collect()
}

#[track_caller]
fn until_it_is_at(events: &Events, label: &str, path: &Path) {
    wait::until("it is told where it is", || {
        places(events, label).last().is_some_and(|to| Path::new(to) == path)
    });
}

#[track_caller]
fn server(path: &Path) -> Server {
    Server::of(arena::pid_of(path))
}

#[test]
fn one_that_is_renamed_is_no_ghost_and_goes_once() {
    let arena = Arena::new();
    let server = arena::start(&arena.path("build"));
    let events = Events::of(arena.dir(), 1);
    let daemon = Daemon::watching(arena.dir());
    // Names that come before and behind it.
    let names = ["next", "a", "build", "last"].map(|name| arena.path(name));
    for (from, to) in [arena.path("build")].iter().chain(&names).zip(&names) {
        fs::rename(from, to).unwrap();
        until_it_is_at(&events, "build", to);
    }
    let run = Run::of(janitor(arena.dir()).arg("status"));
    assert_eq!(run.stdout, "tmux sockets: 1 live, 0 dead, 0 ghosts\n", "as the events have it");
    server.signal(Signal::KILL);
    events.until("build", "server-gone");
    wait::until("its socket goes, whatever it is called", || !arena.has("last"));
    events.until("last", "socket-removed");
    let told = ["server-up", "renamed", "renamed", "renamed", "renamed", "server-gone"];
    assert_eq!(events.whats("build"), told, "{:#?}", events.all());
    assert_eq!((events.whats("last"), events.whats("next").len()), (vec!["socket-removed".to_owned()], 0));
    assert!(events.all().iter().all(|event| event["event"] == "renamed" || event["to"].is_null()));
    daemon.stop();
    events.stop();
}

#[test]
fn one_that_is_moved_to_another_directory_is_told_of_until_its_last_name_has_gone() {
    let (here, there, away) = (Arena::new(), Arena::new(), Arena::new());
    let server = arena::start(&here.path("x"));
    let mut command = bare();
    command.arg("--dir").arg(here.dir()).arg("--dir").arg(there.dir());
    let events = Events::from(with(command, ["events", "--json"]), 1);
    fs::rename(here.path("x"), there.path("y")).unwrap();
    until_it_is_at(&events, "x", &there.path("y"));
    // Nobody looks there: it cannot be told that something leads to it.
    fs::rename(there.path("y"), away.path("z")).unwrap();
    events.until("x", "ghost");
    fs::rename(away.path("z"), there.path("w")).unwrap();
    until_it_is_at(&events, "x", &there.path("w"));
    fs::remove_file(there.path("w")).unwrap();
    wait::until("it is a ghost again", || events.count("x", "ghost") == 2);
    // It makes its socket anew, at home.
    server.signal(Signal::USR1);
    wait::until("it is rescued", || events.count("x", "rescued") == 2);
    server.signal(Signal::KILL);
    events.until("x", "server-gone");
    let told: Vec<String> =
        events.whats("x").into_iter().filter(|what| what != "socket-removed").take(8).collect();
    let all = ["server-up", "renamed", "ghost", "rescued", "renamed", "ghost", "rescued", "server-gone"];
    assert_eq!(told, all, "{:#?}", events.all());
    assert_eq!(events.count("x", "server-gone"), 1);
    for label in ["y", "z", "w"] {
        assert_eq!(events.count(label, "server-up") + events.count(label, "server-gone"), 0);
    }
    events.stop();
}

#[test]
fn a_second_name_is_no_second_server_and_keeps_the_first_from_being_a_ghost() {
    let arena = Arena::new();
    let server = arena::start(&arena.path("build"));
    let events = Events::of(arena.dir(), 1);
    fs::hard_link(arena.path("build"), arena.path("second")).unwrap();
    // Whatever is told of the second name is told before this.
    drop(arena::start(&arena.path("then")));
    events.until("then", "server-gone");
    fs::remove_file(arena.path("build")).unwrap();
    until_it_is_at(&events, "build", &arena.path("second"));
    server.signal(Signal::KILL);
    events.until("build", "server-gone");
    assert_eq!(events.whats("build"), ["server-up", "renamed", "server-gone"], "{:#?}", events.all());
    assert_eq!(events.count("second", "server-up") + events.count("second", "server-gone"), 0);
    events.stop();
}

#[test]
fn one_that_is_set_aside_is_told_of_where_it_is_then() {
    let arena = Arena::new();
    let older = arena::start(&arena.path("build"));
    let events = Events::of(arena.dir(), 1);
    fs::remove_file(arena.path("build")).unwrap();
    events.until("build", "ghost");
    let newer = arena::start(&arena.path("build"));
    wait::until("the newer one is told of", || events.count("build", "server-up") == 2);
    let run = Run::of(janitor(arena.dir()).args(["rescue", "--aside"]));
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    until_it_is_at(&events, "build", &arena.path("build-new"));
    events.until("build", "rescued");
    assert_eq!(server(&arena.path("build-new")).pid, newer.pid);
    for server in [&older, &newer] {
        server.signal(Signal::KILL);
    }
    wait::until("both have gone", || events.count("build", "server-gone") == 2);
    let of = |server: &Server| -> Vec<String> {
        let all = events.of_label("build").into_iter();
        all.filter(|(_, pid)| *pid == Some(i64::from(server.pid))).map(|(what, _)| what).collect()
    };
    let lines = format!("{:#?}", events.all());
    let older: Vec<String> = of(&older).into_iter().filter(|what| what != "socket-removed").collect();
    assert_eq!(older, ["server-up", "ghost", "rescued", "server-gone"], "{lines}");
    let newer: Vec<String> = of(&newer).into_iter().filter(|what| what != "socket-removed").collect();
    assert_eq!(newer, ["server-up", "renamed", "server-gone"], "{lines}");
    assert_eq!(events.count("build-new", "server-up"), 0, "{lines}");
    events.stop();
}
