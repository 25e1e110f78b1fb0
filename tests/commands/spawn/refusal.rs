//! A server that hangs up on whoever connects: what it is, and whom it waits for, is told; nobody is signalled.

use super::scene::{Scene, errors};
use crate::common::arena::{Arena, Server, tmux_program};
use crate::common::janitor::copy_program;
use crate::common::wait;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A server that was told to end and waits for a client whose terminal takes nothing.
struct Ending {
    client: Child,
    server: Server,
    /// Nobody reads it.
    _out: File,
}

fn of(program: &OsStr, socket: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.arg("-S").arg(socket).args(["-f", "/dev/null"]).args(words);
    command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// A server with a session of a line.
fn started(program: &OsStr, socket: &Path, line: &str) -> Server {
    let words = ["new-session", "-d", "-P", "-F", "#{pid}", "-s", "own", line];
    let said = of(program, socket, &words).output().unwrap();
    Server::of(String::from_utf8_lossy(&said.stdout).trim().parse().unwrap())
}

impl Ending {
    fn start(program: &OsStr, socket: &Path, room: &Path) -> Self {
        // One that had just written all it had ends at once.
        let mut ending = None;
        wait::until("a server hangs up", || {
            ending = Self::try_start(program, socket, room);
            ending.is_some()
        });
        ending.unwrap()
    }

    fn try_start(program: &OsStr, socket: &Path, room: &Path) -> Option<Self> {
        let server = started(program, socket, "while :; do seq 100000; done");
        let fifo = room.join("out");
        let _ = fs::remove_file(&fifo);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .unwrap();
        let out = rustix::fs::open(&fifo, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let mut attach = of(program, socket, &["-C", "attach-session", "-t", "own"]);
        let client = attach.stdin(Stdio::piped()).stdout(out.try_clone().unwrap()).spawn().unwrap();
        wait::until("the client's terminal takes nothing any more", || {
            let mut fds = [PollFd::new(&out, PollFlags::OUT)];
            rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 0
        });
        of(program, socket, &["kill-server"]).status().unwrap();
        let ending = Self { client, server, _out: File::from(out) };
        let mut list = of(program, socket, &["list-sessions"]);
        list.stderr(Stdio::piped()).stdout(Stdio::null());
        let mut hangs_up = || String::from_utf8_lossy(&list.output().unwrap().stderr).contains("exited");
        wait::until("it hangs up or has ended", || hangs_up() || !ending.server.is_alive());
        ending.server.is_alive().then_some(ending)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.client.kill();
        self.client.wait().unwrap();
    }
}

#[test]
fn a_server_that_waits_for_a_client_is_named_with_it_and_with_its_program() {
    let other = |scene: &Scene| {
        let copy = scene.path("another-tmux");
        copy_program(&which(&tmux_program()), &copy);
        copy.into_os_string()
    };
    for is_other in [false, true] {
        let scene = Scene::new();
        let program = if is_other { other(&scene) } else { tmux_program() };
        let socket = scene.arena.path("spawn-x");
        let mut ending = Ending::start(&program, &socket, scene.room.path());
        let (started, clock) = (Instant::now(), wait::Clock::start());
        let (run, json) = scene.spawn(["x", "--", "sleep 1000"]);
        let (took, busy) = (started.elapsed().as_secs_f64(), clock.elapsed().as_secs_f64());
        assert!(busy < 5.0, "{busy} s of the time of a busy thread");
        assert_eq!((run.code, &json["command_state"]), (Some(1), &Value::from("not-run")), "{json:#}");
        let said = errors(&json);
        assert!(!said.contains("did not answer"), "{said}");
        for part in [
            format!("its server (pid {}) is alive", ending.server.pid),
            "server exited".to_owned(),
            format!("its client pid {} (`", ending.client.id()),
            "-C attach-session -t own`)".to_owned(),
            format!("`kill -9 {}` lets it end", ending.client.id()),
        ] {
            assert!(said.contains(&part), "{part}: {said}");
        }
        let programs = format!("it runs {}, and spawn ran ", program.to_string_lossy());
        assert_eq!(said.contains(&programs), is_other, "{said}");
        assert_eq!(said.contains("and spawn ran"), is_other, "{said}");
        // What it says it took, it took.
        let told: f64 = said
            .split(" refused every client for ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(
            told < took + 0.1 && busy < told + 1.5,
            "{told} of {took} s, {busy} s of the time of a busy thread"
        );
        // And the cure is one.
        ending.client.kill().unwrap();
        ending.server.wait_for_end();
    }
}

/// A program as the shell finds it.
fn which(program: &OsStr) -> PathBuf {
    let paths = std::env::var_os("PATH").unwrap();
    let mut found = std::env::split_paths(&paths).map(|dir| dir.join(program)).filter(|file| file.is_file());
    found.next().unwrap()
}

#[test]
fn a_server_that_understands_nothing_of_what_we_say_is_not_touched() {
    // Once the real thing, where there is another tmux; always a client that is answered as it would be.
    let lost = "echo 'server exited unexpectedly' >&2; exit 1";
    let later = format!(
        r#"case "$*" in *new-session*) : >"$room/asked";; esac; [ -e "$room/asked" ] && {{ {lost}; }}; real "$@""#
    );
    let other = std::env::var_os("TMUX_JANITOR_OTHER_TMUX");
    let ways: [(Option<OsString>, &str, &str); 3] =
        [(None, lost, "not-run"), (None, &later, "unknown"), (other, "", "not-run")];
    for (other, script, state) in ways {
        if script.is_empty() && other.is_none() {
            continue;
        }
        let scene = if script.is_empty() { Scene::new() } else { Scene::scripted(Arena::new(), script) };
        let program = other.clone().unwrap_or_else(tmux_program);
        let socket = scene.arena.path("spawn-x");
        let server = started(&program, &socket, "sleep 1000");
        let inode = || fs::metadata(&socket).unwrap().ino();
        let before = inode();
        let (run, json) = scene.spawn(["x", "--", "sleep 1000"]);
        assert_eq!((run.code, &json["command_state"]), (Some(1), &Value::from(state)), "{json:#}");
        let said = errors(&json);
        assert!(said.contains("exited unexpectedly") || said.contains("lost server"), "{said}");
        assert!(!said.contains("kill"), "nobody is to be ended: {said}");
        assert!(server.is_alive());
        assert_eq!(inode(), before, "nor was it told to make its socket anew");
        if let Some(other) = other {
            assert!(said.contains(&format!("it runs {}, and spawn ran ", other.to_string_lossy())), "{said}");
            assert!(
                said.contains(&format!("`/proc/{}/exe -S {} attach`", server.pid, socket.display())),
                "{said}"
            );
        }
        let mut sessions = of(&program, &socket, &["list-sessions", "-F", "#{session_name}"]);
        assert_eq!(sessions.output().unwrap().stdout, b"own\n");
    }
}
