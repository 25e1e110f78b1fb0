//! Everybody who works with real tmux servers: starters that end them in every way, a server that makes its
//! socket anew, one whose socket is deleted and that is rescued, a spawner; and the sweeps.
//!
//! SIGUSR1 takes no lock: a server that gets it can lose a race against a start by tmux's own doing. So it is
//! sent where nobody else starts; what is asked is that no sweep takes such a socket away.

use crate::common::arena::Server;
use crate::common::janitor::{Run, janitor};
use crate::common::starts::{assert_reachable, client, end, server_of, wait_for_silence};
use crate::common::wait;
use rustix::process::Signal;
use serde_json::Value;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What has happened.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) started: AtomicUsize,
    pub(crate) ended: AtomicUsize,
    pub(crate) made_anew: AtomicUsize,
    pub(crate) rescued: AtomicUsize,
    pub(crate) spawned: AtomicUsize,
    /// Spawns whose client did not come back in time.
    pub(crate) late: AtomicUsize,
    /// The longest that tmux took to start a server, in milliseconds.
    pub(crate) longest: AtomicUsize,
    pub(crate) sweeps: AtomicUsize,
    pub(crate) removed: AtomicUsize,
}

pub(crate) fn add(counter: &AtomicUsize, more: usize) {
    counter.fetch_add(more, Ordering::Relaxed);
}

pub(crate) fn get(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::Relaxed)
}

/// A label with the one who works on it.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) label: &'static str,
    begin: fn(&Path, &Tally) -> Server,
    act: fn(&Path, &Server, &Tally),
}

/// All of them.
pub(crate) const ACTORS: [Actor; 5] = [
    Actor { label: "patient", begin: alone, act: |_, _, _| {} },
    Actor { label: "twin", begin: twins, act: |_, _, _| {} },
    Actor { label: "anew", begin: alone, act: anew },
    Actor { label: "ghost", begin: alone, act: delete_and_rescue },
    Actor { label: "spawn-s", begin: spawned, act: |_, _, _| {} },
];

impl Actor {
    /// Starts and ends servers as long as it is told to; the last one lives on, and can be reached.
    pub(crate) fn storm(&self, dir: &Path, tally: &Tally, goes_on: impl Fn() -> bool) -> (PathBuf, Server) {
        let socket = dir.join(self.label);
        for round in 0.. {
            let server = (self.begin)(&socket, tally);
            add(&tally.started, 1);
            assert_reachable(&socket, &server);
            (self.act)(&socket, &server, tally);
            assert_reachable(&socket, &server);
            if !goes_on() {
                return (socket, server);
            }
            end(&socket, &server, round);
            wait_for_silence(&socket, &server);
            add(&tally.ended, 1);
        }
        unreachable!("it ends when it is told to")
    }
}

fn alone(socket: &Path, tally: &Tally) -> Server {
    let begun = Instant::now();
    let started = server_of(client(socket, "s"));
    let took = usize::try_from(begun.elapsed().as_millis()).unwrap();
    tally.longest.fetch_max(took, Ordering::Relaxed);
    match started {
        Ok(pid) => Server::of(pid),
        Err(complaint) => panic!("a start that met nobody failed at {}: {complaint}", socket.display()),
    }
}

/// Two clients at once: one server, both in it.
fn twins(socket: &Path, _: &Tally) -> Server {
    let (one, two) = (client(socket, "one"), client(socket, "two"));
    match (server_of(one), server_of(two)) {
        (Ok(one), Ok(two)) => {
            let (server, other) = (Server::of(one), (one != two).then(|| Server::of(two)));
            assert!(other.is_none(), "two servers on {}", socket.display());
            server
        }
        (one, two) => panic!("two clients, one label: {one:?} {two:?}"),
    }
}

/// Has the server make its socket anew, several times.
fn anew(socket: &Path, server: &Server, tally: &Tally) {
    for _ in 0..5 {
        let file = || std::fs::symlink_metadata(socket).ok().map(|facts| facts.ino());
        let before = file();
        server.signal(Signal::USR1);
        wait::until("the socket is made anew", || file().is_some_and(|now| Some(now) != before));
        wait::until("it listens", || UnixStream::connect(socket).is_ok());
        assert_reachable(socket, server);
        add(&tally.made_anew, 1);
    }
}

/// Deletes the server's socket, and rescues it if nobody else does.
fn delete_and_rescue(socket: &Path, server: &Server, tally: &Tally) {
    std::fs::remove_file(socket).unwrap();
    wait::until("the ghost is rescued", || {
        let run = Run::of(janitor(socket.parent().unwrap()).args(["rescue", "--json"]));
        assert!(is_done(&run), "{:?} {} {}", run.code, run.stdout, run.stderr);
        UnixStream::connect(socket).is_ok()
    });
    assert_reachable(socket, server);
    add(&tally.rescued, 1);
}

/// Whether all was done, but for a ghost that somebody else is busy with, or that was told and is too busy itself on
/// this machine: that is exit code 1, and is tried again.
fn is_done(run: &Run) -> bool {
    let is_left = |entry: &Value| {
        entry["state"] == "ghost"
            && (entry["outcome"] == "busy"
                || entry["error"]
                    .as_str()
                    .is_some_and(|error| error.contains("has not made its socket in 5 s")))
    };
    let is_well = |entry: &Value| entry["outcome"] != "failed" && entry["state"] != "ghost";
    let is_rescued = |entry: &Value| entry["outcome"] == "rescued";
    match run.code {
        Some(0) => true,
        Some(1) => {
            let json = run.json();
            let entries = json["sockets"].as_array().expect("it is a list");
            json["directories"].as_array().is_some_and(|all| all.iter().all(|one| one["error"].is_null()))
                && entries.iter().any(is_left)
                && entries.iter().all(|entry| is_left(entry) || is_rescued(entry) || is_well(entry))
        }
        _ => false,
    }
}

/// A session by our own hands. A client that does not come back in time on a busy machine is told as such; then it
/// is asked again, and the session may be there by then.
fn spawned(socket: &Path, tally: &Tally) -> Server {
    loop {
        let mut command = janitor(socket.parent().unwrap());
        command.args(["spawn", "s", "--scope", "never", "--json", "--", "sleep", "3600"]);
        let run = Run::of(&mut command);
        let json = run.json();
        let pid = json["server_pid"].as_i64().and_then(|pid| pid.try_into().ok());
        match (run.code, pid) {
            (Some(0 | 3), Some(pid)) => {
                add(&tally.spawned, 1);
                return Server::of(pid);
            }
            (Some(1), _) if is_late(&json["errors"].to_string()) => add(&tally.late, 1),
            _ => panic!("{:?} {json:#} {}", run.code, run.stderr),
        }
    }
}

/// What a spawn says on a machine that is too busy to answer it in time.
fn is_late(errors: &str) -> bool {
    ["did not answer within", "no server came up within"].iter().any(|late| errors.contains(late))
}

/// Sweeps without a pause.
pub(crate) fn sweep(dir: &Path, arguments: &[&str], tally: &Tally, goes_on: impl Fn() -> bool) {
    while goes_on() {
        let run = Run::of(janitor(dir).arg("sweep").args(arguments).arg("--json"));
        assert!(is_done(&run), "{:?} {} {}", run.code, run.stdout, run.stderr);
        add(&tally.sweeps, 1);
        let removed = run.json()["counts"]["removed"].as_u64().unwrap();
        add(&tally.removed, usize::try_from(removed).unwrap());
    }
}
