//! How a server ended is told, where the kernel tells it.

use super::events::Events;
use super::fake::Fake;
use crate::common::arena::{Arena, Server, pid_of, tmux};
use crate::common::daemon::Daemon;
use crate::common::janitor::janitor;
use crate::common::kernel_tells_ends;
use crate::common::skip::skip;
use crate::common::wait;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const SOCKET: &str = "TMUX_JANITOR_REAPED_SOCKET";

/// A tmux server whose parent waits for it at once, as a service manager does; whoever is process 1 where the tests run
/// may take its time.
struct Reaped {
    server: Server,
    parent: Child,
    path: PathBuf,
}

/// The process of the parent.
#[test]
#[ignore = "not a test: the parents of the other tests' servers run it"]
fn parent() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    // Any process will do: it only says that there is to be one.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let started = tmux(Path::new(&socket)).args(["new-session", "-d", "sleep 3600"]).status().unwrap();
    assert!(started.success());
    while rustix::process::wait(rustix::process::WaitOptions::empty()).is_ok() {}
}

impl Reaped {
    #[track_caller]
    fn start(path: PathBuf) -> Self {
        let parent = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "watch::causes::parent"])
            .env(SOCKET, &path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait::until("it has its session", || {
            tmux(&path).arg("has-session").output().is_ok_and(|output| output.status.success())
        });
        Self { server: Server::of(pid_of(&path)), parent, path }
    }

    fn end(&self, how: &How) {
        match how {
            How::Command(command) => drop(tmux(&self.path).arg(command).output()),
            How::Signal(signal) => self.server.signal(*signal),
        }
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        self.server.signal(Signal::KILL);
        // When its last child has ended.
        let _ = self.parent.wait();
    }
}

enum How {
    Command(&'static str),
    Signal(Signal),
}

#[test]
fn each_end_has_its_cause() {
    if !kernel_tells_ends() {
        return skip("this kernel does not tell how a process ended");
    }
    let arena = Arena::new();
    let ways = [
        ("kill-server", How::Command("kill-server"), json!({"exit": 0}), "exit 0"),
        ("last session gone", How::Command("kill-session"), json!({"exit": 0}), "exit 0"),
        // tmux ends its sessions and itself then (server.c: `server_signal`).
        ("TERM", How::Signal(Signal::TERM), json!({"exit": 0}), "exit 0"),
        ("KILL", How::Signal(Signal::KILL), json!({"signal": "SIGKILL", "core": false}), "killed by SIGKILL"),
        ("SEGV", How::Signal(Signal::SEGV), json!({"signal": "SIGSEGV", "oom": false}), "killed by SIGSEGV"),
    ]
    .map(|(label, how, told, line)| (Reaped::start(arena.path(label)), label, how, told, line));
    // Each knows who listens before the first one ends.
    let daemon = Daemon::watching(arena.dir());
    let events = Events::of(arena.dir(), ways.len());
    for (reaped, label, how, told, line) in ways {
        reaped.end(&how);
        events.until(label, "server-gone");
        let cause = events.cause(label);
        for (field, value) in told.as_object().unwrap() {
            assert_eq!(cause[field], *value, "{label}: {cause}");
        }
        let line = format!("{} (pid {}), {line}", arena.path(label).display(), reaped.server.pid);
        wait::until(&format!("the daemon says: {line}"), || {
            daemon.logged(&format!("server gone: {line}")) == 1
        });
    }
    for event in events.all() {
        assert_eq!(event.get("cause").is_some(), event["event"] == "server-gone", "{event}");
    }
    events.stop();
    daemon.stop();
}

/// What is told of its path keeps its order meanwhile; what is done, and what is told of others, does not wait.
#[test]
fn a_server_whose_parent_does_not_wait_for_it_is_told_without_a_cause() {
    let arena = Arena::new();
    let other = Reaped::start(arena.path("other"));
    let mut zombie = Fake::all(&[arena.path("zombie")]);
    let daemon = Daemon::watching(arena.dir());
    let events = Events::of(arena.dir(), 2);
    zombie[0].kill();
    other.server.signal(Signal::KILL);
    wait::until("the sockets go", || arena.names().is_empty());
    for label in ["other", "zombie"] {
        events.until(label, "socket-removed");
        assert_eq!(events.whats(label), ["server-up", "server-gone", "socket-removed"]);
    }
    assert_eq!(events.cause("zombie"), Value::Null);
    assert_eq!(events.cause("other")["signal"].as_str(), kernel_tells_ends().then_some("SIGKILL"));
    events.stop();
    let log = daemon.stop();
    assert!(log.contains(&format!("server gone: {} (pid", arena.path("zombie").display())), "{log}");
}

#[test]
fn a_kernel_that_does_not_tell_is_not_waited_for() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("needs strace: it answers for an older kernel");
    }
    let arena = Arena::new().live("x");
    let mut old = Command::new("strace");
    // Detached: the janitor keeps the number of the process that was started.
    old.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=ioctl", "-e", "inject=ioctl:error=ENOTTY"]);
    let made = janitor(arena.dir());
    old.arg(made.get_program()).args(made.get_args()).args(["events", "--json"]);
    for (name, value) in made.get_envs() {
        match value {
            Some(value) => old.env(name, value),
            None => old.env_remove(name),
        };
    }
    let events = Events::from(old, 1);
    arena.server("x").signal(Signal::KILL);
    events.until("x", "server-gone");
    assert_eq!(events.cause("x"), Value::Null);
    events.stop();
}
