//! A log that nobody reads.

use crate::common::arena::Arena;
use crate::common::daemon::watches;
use crate::common::janitor::janitor;
use crate::common::wait;
use rustix::process::{Pid, Signal};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

/// A pipe that is full; the reader reads nothing.
fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let size = rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
    assert_eq!(rustix::io::write(&writer, &vec![b'\n'; size]).unwrap(), size);
    (reader, writer)
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn of(command: &mut Command, writer: OwnedFd) -> Self {
        Self(command.stdout(Stdio::null()).stderr(writer).spawn().unwrap())
    }

    #[track_caller]
    fn ends_with(&mut self, code: i32) {
        let mut ended = None;
        wait::until("it ends", || {
            ended = self.0.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(ended.and_then(|status| status.code()), Some(code));
    }
}

#[test]
fn a_watch_whose_log_nobody_reads_goes_on_and_obeys() {
    let arena = Arena::new();
    let (_reader, writer) = full_pipe();
    let mut daemon = Running::of(janitor(arena.dir()).args(["-v", "watch"]), writer);
    // More than is kept for the reader: 264 bytes of each, of which 256 KiB are kept.
    for number in 0..1300 {
        wait::bring_dead(arena.path(format!("{number:080}")));
    }
    wait::until("they are removed", || arena.names().is_empty());
    let arena = arena.dead("later");
    wait::until("the next one too", || !arena.has("later"));
    let pid = Pid::from_child(&daemon.0);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    daemon.ends_with(0);
}

/// A service manager that has come to a stop: its queue is full (`net.unix.max_dgram_qlen`).
#[test]
fn a_service_manager_that_does_not_read_is_not_waited_for() {
    let arena = Arena::new().live("x");
    let room = tempfile::tempdir().unwrap();
    let manager = UnixDatagram::bind(room.path().join("notify")).unwrap();
    let full = UnixDatagram::unbound().unwrap();
    full.set_nonblocking(true).unwrap();
    while full.send_to(b"STATUS=full", room.path().join("notify")).is_ok() {}
    let mut command = janitor(arena.dir());
    command.arg("watch").env("NOTIFY_SOCKET", room.path().join("notify")).env("WATCHDOG_USEC", "200000");
    let mut daemon = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait::until("it watches", || watches(daemon.0.id()));
    arena.server("x").signal(Signal::KILL);
    wait::until("a dead one is removed", || !arena.has("x"));
    // One after the other: each is news for the manager.
    let mut arena = arena;
    for label in ["one", "two", "three"] {
        arena = arena.dead(label);
        wait::until("the next one too", || !arena.has(label));
    }
    let pid = Pid::from_child(&daemon.0);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    daemon.ends_with(0);
    drop(manager);
}

#[test]
fn a_command_whose_log_nobody_reads_comes_to_its_end() {
    let arena = Arena::new();
    for number in 0..200 {
        wait::leave_dead(arena.path(format!("{number}")));
    }
    for (arguments, code) in
        [(&["-v", "sweep"][..], 0), (&["--nonsense"], 2), (&["check-config", "/nonexistent"], 78)]
    {
        let (_reader, writer) = full_pipe();
        Running::of(janitor(arena.dir()).args(arguments), writer).ends_with(code);
    }
    assert!(arena.names().is_empty());
}

/// The lines of a sweep of 2,000, the first of which comes before the last is removed; then the end, as it is told to.
#[test]
fn a_sweep_that_is_ended_has_told_and_counted_what_it_did() {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::process::ExitStatusExt as _;
    let arena = Arena::new();
    // One that was done before the signal came says nothing: then there is more to do.
    let ended = [2_000, 8_000, 32_000].into_iter().find_map(|count| {
        for number in 0..count {
            wait::leave_dead(arena.path(format!("{number}")));
        }
        // It yields to whoever is to end it, also where others keep the machine busy.
        let sweep = janitor(arena.dir());
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(sweep.get_program()).args(sweep.get_args()).arg("sweep");
        command.env("XDG_CONFIG_HOME", "/nonexistent").env("HOME", "/nonexistent");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut sweep = Running(command.spawn().unwrap());
        let mut lines = BufReader::new(sweep.0.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        assert!(first.starts_with("removed /"), "{first}");
        let pid = Pid::from_child(&sweep.0);
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        let told: Vec<String> = lines.map_while(Result::ok).collect();
        let end = sweep.0.wait().unwrap();
        let left = arena.names().len();
        (left > 0).then_some((count, told, end, left))
    });
    let (count, told, end, left) = ended.expect("none was quick enough for 32,000");
    assert_eq!(end.signal(), Some(Signal::TERM.as_raw()));
    let removed = count - left;
    assert_eq!(told.len(), removed, "a line for each but the first, and the sum");
    let sum = format!("swept {removed} dead sockets; 0 live, {left} not reached before the end");
    assert_eq!(told.last(), Some(&sum));
    // Nothing of it is in the way: no lock, no quarantine.
    Running::of(janitor(arena.dir()).arg("sweep"), full_pipe().1).ends_with(0);
    assert!(arena.names().is_empty());
}

/// Nobody reads the results either: it waits, as others do, but with nothing in its hands, and a signal ends it.
#[test]
fn results_that_nobody_reads_are_waited_for_without_a_lock() {
    let arena = Arena::new();
    for number in 0..2000 {
        wait::leave_dead(arena.path(format!("{number:080}")));
    }
    let (_reader, writer) = full_pipe();
    let mut sweep =
        Running(janitor(arena.dir()).arg("sweep").stdout(writer).stderr(Stdio::null()).spawn().unwrap());
    let is_stuck = || {
        let there = |path: &str| {
            std::fs::read_to_string(format!("/proc/{}/{path}", sweep.0.id())).unwrap_or_default()
        };
        there("wchan").contains("pipe")
    };
    wait::until("it waits for its reader", is_stuck);
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    let pid = sweep.0.id().to_string();
    let held: Vec<_> = locks.lines().filter(|line| line.split_whitespace().nth(4) == Some(&pid)).collect();
    assert!(held.is_empty(), "{held:?}");
    assert!(arena.names().iter().all(|name| !name.to_string_lossy().ends_with(".lock")));
    let pid = Pid::from_child(&sweep.0);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    wait::until("it ends", || sweep.0.try_wait().unwrap().is_some());
}
