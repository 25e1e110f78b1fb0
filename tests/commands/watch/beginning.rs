//! What a reader of events is told first, and what it can ask for.

use super::events::Events;
use super::fake::Fake;
use crate::common::arena::{self, Arena, start};
use crate::common::daemon::ended;
use crate::common::janitor::{Run, janitor, with};
use crate::common::{skip, wait};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

fn told(what: &str, label: Option<&str>) -> (String, Option<String>) {
    (what.to_owned(), label.map(str::to_owned))
}

#[test]
fn ready_comes_once_behind_all_servers_and_ghosts() {
    let arena = Arena::new().live("ghost").live("one").live("two");
    fs::remove_file(arena.path("ghost")).unwrap();
    let events = Events::run(with(janitor(arena.dir()), ["events", "--json"]));
    let mut first = events.in_turn();
    assert_eq!(first.pop(), Some(told("ready", None)));
    assert_eq!(first.pop(), Some(told("ghost", Some("ghost"))), "of a server that was announced");
    first.sort();
    assert_eq!(first, ["ghost", "one", "two"].map(|label| told("server-up", Some(label))));
    let ready = events.all().pop().unwrap();
    let ready = ready.as_object().unwrap();
    assert_eq!((&ready["version"], &ready["followed_by"]), (&1.into(), &"inotify".into()));
    assert_eq!(ready["rescan_seconds"], 600);
    let time = ready["time"].as_str().unwrap();
    assert!(humantime_is(time), "{time}");
    assert!(["path", "label", "server_pid"].iter().all(|field| !ready.contains_key(*field)), "{ready:?}");
    // Everything is looked at again, and that is no beginning.
    arena.server("one").signal(Signal::KILL);
    events.until("one", "server-gone");
    assert_eq!(events.in_turn().iter().filter(|(what, _)| what == "ready").count(), 1);
    events.stop();
}

fn humantime_is(time: &str) -> bool {
    time.len() == 27 && time.ends_with('Z') && time.contains('T')
}

#[test]
fn ready_comes_where_nothing_is_and_where_no_directory_is() {
    let arena = Arena::new();
    let missing = arena.path("missing");
    for dir in [arena.dir(), &missing] {
        let events = Events::run(with(janitor(dir), ["events", "--json"]));
        assert_eq!(events.in_turn(), [told("ready", None)]);
        events.stop();
    }
    // And then it comes.
    let events = Events::run(with(janitor(&missing), ["events", "--json"]));
    fs::create_dir(&missing).unwrap();
    let _fake = Fake::all(&[missing.join("x")]);
    events.until("x", "server-up");
    events.stop();
}

#[test]
fn ready_is_a_line_for_people_too() {
    let arena = Arena::new();
    let mut child = with(janitor(arena.dir()), ["events"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM);
    assert_eq!(ended(&mut child).code(), Some(0));
    let expected = " ready          new servers are seen at once; everything is looked at again every 10m\n";
    assert!(line.ends_with(expected), "{line:?}");
}

#[test]
fn a_reader_of_some_labels_is_told_of_those_and_that_it_is_ready() {
    let arena = Arena::new().live("bot-1").live("home").dead("bot-dead").dead("old");
    let command = with(janitor(arena.dir()), ["events", "--json", "--label", "bot-*", "--dead"]);
    let events = Events::run(command);
    let mut first = events.in_turn();
    assert_eq!(first.pop(), Some(told("ready", None)));
    first.sort();
    assert_eq!(first, [told("dead", Some("bot-dead")), told("server-up", Some("bot-1"))]);
    arena.server("home").signal(Signal::KILL);
    let _home = Fake::all(&[arena.path("work")]);
    let _bot = Fake::all(&[arena.path("bot-2")]);
    events.until("bot-2", "server-up");
    assert_eq!(events.in_turn().len(), 4, "{:?}", events.in_turn());
    events.stop();
}

#[test]
fn a_glob_that_is_none_is_refused_in_one_sentence() {
    let arena = Arena::new();
    let run = Run::of(&mut with(janitor(arena.dir()), ["events", "--label", "[a"]));
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let first = run.stderr.lines().next().unwrap();
    assert!(first.contains("'[a'") && first.contains("--label") && first.contains("not a glob"), "{first}");
}

#[test]
fn dead_sockets_are_told_of_where_that_is_asked_for() {
    let arena = Arena::new().live("x").dead("old");
    let all = Events::of(arena.dir(), 1);
    let events = Events::run(with(janitor(arena.dir()), ["events", "--json", "--dead"]));
    let old = events.all().into_iter().find(|event| event["label"] == "old").unwrap();
    assert_eq!((&old["event"], &old["server_pid"]), (&"dead".into(), &Value::Null));
    assert_eq!(old["path"].as_str(), arena.path("old").to_str());
    // Whose end was told, whose socket is not told of besides.
    arena.server("x").signal(Signal::KILL);
    events.until("x", "server-gone");
    let sweep = Run::of(&mut with(janitor(arena.dir()), ["sweep"]));
    assert_eq!(sweep.code, Some(0));
    events.until("x", "socket-removed");
    events.until("old", "socket-removed");
    assert_eq!(events.whats("x"), ["server-up", "server-gone", "socket-removed"]);
    assert_eq!(events.whats("old"), ["dead", "socket-removed"]);
    all.until("old", "socket-removed");
    assert_eq!(all.whats("old"), ["socket-removed"]);
    events.stop();
    all.stop();
}

#[test]
fn a_server_is_told_of_with_the_time_of_its_start() {
    let arena = Arena::new();
    let before = SystemTime::now();
    let arena = arena.live("there");
    let events = Events::of(arena.dir(), 1);
    let _server = start(&arena.path("new"));
    let after = SystemTime::now();
    events.until("new", "server-up");
    for label in ["there", "new"] {
        let up = events.all().into_iter().find(|event| event["label"] == label).unwrap();
        let started = up["started"].as_str().unwrap_or_else(|| panic!("{up}"));
        let output = Command::new("date").args(["-d", started, "+%s.%N"]).output().unwrap();
        let seconds: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
        let started = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds);
        // The kernel counts in hundredths of a second.
        let tick = Duration::from_millis(20);
        assert!(before - tick <= started && started <= after + tick, "{before:?} {started:?} {after:?}");
    }
    // Of one that came and went between two looks nothing is known.
    events.signal(Signal::STOP);
    drop(Fake::all(&[arena.path("brief")]));
    events.signal(Signal::CONT);
    events.until("brief", "server-gone");
    let up = events.all().into_iter().find(|event| event["label"] == "brief").unwrap();
    assert_eq!((&up["event"], up.get("started")), (&"server-up".into(), Some(&Value::Null)), "{up}");
    let gone = events.all().into_iter().find(|event| event["event"] == "server-gone").unwrap();
    assert!(gone.get("started").is_none(), "{gone}");
    events.stop();
}

/// As where many readers have taken all of `fs.inotify.max_user_instances`: in a user namespace of its own.
#[test]
fn a_reader_without_inotify_says_so_and_when_it_has_it_again() {
    let room = tempfile::tempdir_in("/tmp").unwrap();
    fs::write(room.path().join("c.toml"), "[watch]\nrescan = \"1s\"\n").unwrap();
    let arena = Arena::new();
    let limit = "echo 0 >/proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"";
    let unshare = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", limit]).args(words);
        command
    };
    if !unshare(&["true"]).output().is_ok_and(|output| output.status.success()) {
        return skip::skip("this user may not make a user namespace");
    }
    let mut command = unshare(&[env!("CARGO_BIN_EXE_tmux-janitor"), "events", "--json", "--dir"]);
    command.arg(arena.dir()).arg("--config").arg(room.path().join("c.toml")).stderr(Stdio::null());
    let events = Events::run(command);
    let last = || events.all().pop().unwrap();
    assert_eq!((&last()["followed_by"], &last()["rescan_seconds"]), (&"rescan".into(), &1.into()));
    let inside = |script: &str| {
        let run = Command::new("nsenter")
            .args([
                "--target",
                &events.pid().to_string(),
                "--user",
                "--preserve-credentials",
                "sh",
                "-euc",
                script,
                "sh",
            ])
            .arg(arena.path("x"))
            .env("TMUX", arena::tmux_program())
            .output()
            .unwrap();
        assert!(run.status.success(), "{script}: {run:?}");
        String::from_utf8_lossy(&run.stdout).trim().to_owned()
    };
    let script = "\"$TMUX\" -f /dev/null -S \"$1\" new-session -d 'sleep 60'; \"$TMUX\" -S \"$1\" display-message -p '#{pid}'";
    let _server = arena::Server::of(inside(script).parse().unwrap());
    events.until("x", "server-up");
    assert!(!events.in_turn().contains(&told("following", None)), "what has not changed is not told again");
    inside("echo 9 >/proc/sys/user/max_inotify_instances");
    wait::until("it says so", || events.in_turn().contains(&told("following", None)));
    assert_eq!((&last()["event"], &last()["followed_by"]), (&"following".into(), &"inotify".into()));
    assert_eq!(events.in_turn().iter().filter(|(what, _)| what == "ready").count(), 1);
    events.stop();
}
