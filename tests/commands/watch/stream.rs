//! `events`: one pipe instead of a polling loop.

use super::events::Events;
use super::fake::Fake;
use crate::common::arena::Arena;
use crate::common::daemon::ended;
use crate::common::janitor::{janitor, with};
use crate::common::skip::skip;
use crate::common::wait;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use rustix::process::{Pid, Signal};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

fn signal(child: &Child, signal: Signal) {
    rustix::process::kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn what_runs_is_announced_first_in_lines_for_people_too() {
    let arena = Arena::new().live("run\nning");
    let pid = arena.server("run\nning").pid;
    let mut child = with(janitor(arena.dir()), ["events"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let told = format!(" server-up      {}/run\\nning (pid {pid})\n", arena.dir().display());
    assert!(line.ends_with(&told), "{line:?}");
    signal(&child, Signal::INT);
    assert_eq!(ended(&mut child).code(), Some(0));
}

#[test]
fn events_remove_nothing_and_tell_who_else_does() {
    let arena = Arena::new().live("x").dead("old");
    let events = Events::of(arena.dir(), 1);
    arena.server("x").signal(Signal::KILL);
    events.until("x", "server-gone");
    assert!(arena.has("x") && arena.has("old"));
    let sweep = with(janitor(arena.dir()), ["sweep"]).output().unwrap();
    assert!(sweep.status.success());
    events.until("x", "socket-removed");
    events.until("old", "socket-removed");
    let pid = Some(i64::from(arena.server("x").pid));
    let expected = ["server-up", "server-gone", "socket-removed"].map(|what| (what.to_owned(), pid));
    assert_eq!(events.of_label("x"), expected);
    assert_eq!(events.of_label("old"), [("socket-removed".to_owned(), None)]);
    let event = events.all().into_iter().find(|event| event["label"] == "x").unwrap();
    assert_eq!((&event["version"], &event["path"]), (&1.into(), &arena.path("x").to_str().into()));
    let time = event["time"].as_str().unwrap();
    assert!(time.len() == 27 && time.ends_with('Z') && time.contains('T'), "{time}");
    events.stop();
}

#[test]
fn a_server_between_two_looks_gets_its_pair() {
    let arena = Arena::new();
    let events = Events::of(arena.dir(), 0);
    events.signal(Signal::STOP);
    for _ in 0..2 {
        drop(Fake::all(&[arena.path("brief")]));
    }
    events.signal(Signal::CONT);
    wait::until("both deaths are told", || events.count("brief", "server-gone") == 2);
    let pair = ["server-up", "server-gone"].map(|what| (what.to_owned(), None));
    assert_eq!(events.of_label("brief"), [pair.clone(), pair].concat());
    events.stop();
}

#[test]
fn a_reader_that_does_not_read_harms_nothing() {
    let mut arena = Arena::new();
    let mut child = with(janitor(arena.dir()), ["events", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    // More than a pipe and the buffer behind it hold: 64 KiB, and a rescan's worth of lines beside it.
    arena = arena.live("x");
    let pid = arena.server("x").pid;
    let long = "l".repeat(60);
    let mut listeners = Vec::new();
    for number in 0..400 {
        let listener = std::os::unix::net::UnixListener::bind(arena.path(format!("{long}{number}"))).unwrap();
        drop(listener);
        let _ = fs::remove_file(arena.path(format!("{long}{number}")));
        listeners
            .push(std::os::unix::net::UnixListener::bind(arena.path(format!("{long}{number}"))).unwrap());
    }
    let stat = format!("/proc/{}/stat", child.id());
    wait::until("it sleeps", || fs::read_to_string(&stat).unwrap().contains(") S "));
    arena.assert_reachable("x");
    // It reads late, and everything is there.
    let reader = BufReader::new(child.stdout.take().unwrap());
    let mut lines = reader.lines().map_while(Result::ok);
    let first_of_x = lines.find(|line| line.contains("\"label\":\"x\"")).unwrap();
    assert!(first_of_x.contains(&format!("\"server_pid\":{pid}")), "{first_of_x}");
    drop(lines);

    // The reader has gone: so does the stream, well.
    assert_eq!(ended(&mut child).code(), Some(0), "the end of the reader is no error");
}

/// More open files than a shell allows, for this test: others start programs that count theirs.
struct ManyFiles {
    soft: rlim_t,
    hard: rlim_t,
}

impl ManyFiles {
    /// `None`, after a loud skip, where so many may not be had.
    fn allow(count: rlim_t) -> Option<Self> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        if hard < count {
            skip(&format!("needs {count} open files, and may have {hard}"));
            return None;
        }
        setrlimit(Resource::RLIMIT_NOFILE, soft.max(count), hard).unwrap();
        Some(Self { soft, hard })
    }
}

impl Drop for ManyFiles {
    fn drop(&mut self) {
        setrlimit(Resource::RLIMIT_NOFILE, self.soft, self.hard).unwrap();
    }
}

#[test]
fn a_stream_that_is_full_still_hears_signals() {
    let arena = Arena::new();
    // A shell's usual limit of 1,024 open files may be raised by whoever it holds for, most of the time.
    let count = 1500;
    let Some(_many) = ManyFiles::allow(2 * count) else { return };
    let long = "l".repeat(60);
    let paths: Vec<_> = (0..count).map(|number| arena.path(format!("{long}{number}"))).collect();
    let listeners: Vec<_> =
        paths.iter().map(|path| std::os::unix::net::UnixListener::bind(path).unwrap()).collect();
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let mut child = with(janitor(arena.dir()), ["events", "--json"]).stdout(writer).spawn().unwrap();
    // Lines of more than 250 bytes: the pipe with its 64 KiB is full, and so are the 256 that are kept behind it.
    let io = format!("/proc/{}/io", child.id());
    wait::until("the pipe is full", || {
        let io = fs::read_to_string(&io).unwrap_or_default();
        let written = io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap_or_default().to_owned();
        written.parse::<usize>().is_ok_and(|written| written >= 50 * 1024)
    });
    // It does not wait for a reader who does not read.
    signal(&child, Signal::TERM);
    assert_eq!(ended(&mut child).code(), Some(0));
    drop((reader, listeners));
}
