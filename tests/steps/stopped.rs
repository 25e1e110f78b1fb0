//! Ctrl-Z, and what else a terminal stops its jobs with: never while a start lock is held, and as always when none is.
//!
//! Who is stopped is this very program, started once more, in a process group of its own: one that nobody is there to let go
//! on is not stopped by a terminal.

use crate::common::arena::Arena;
use crate::common::wait;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, getpid, kill_process};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tmux_sockets::kernel::checkpoint::{self, Checkpoint};
use tmux_sockets::kernel::{Uid, Unstopped};
use tmux_sockets::remove::Reaper;
use tmux_sockets::tmux::start_lock::{LockRack, Taken};
use tmux_sockets::tmux::{SocketDir, Strictness};
use tmux_sockets::witness::Witness;

const FOLDER: &str = "TMUX_JANITOR_STOPPED";
const SIGNALS: [Signal; 3] = [Signal::TSTP, Signal::TTIN, Signal::TTOU];

fn folder() -> Option<SocketDir> {
    let folder = PathBuf::from(std::env::var_os(FOLDER)?);
    SocketDir::open(&folder, Uid::new(user()), Strictness::Swept).unwrap()
}

fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

fn say(word: &str) {
    // Not println!, which the test runner keeps for itself.
    let _ = writeln!(std::io::stdout(), "SAYS {word}");
}

#[test]
#[ignore = "not a test: others run it"]
fn who_holds_a_lock() {
    let Some(dir) = folder() else { return };
    let mut orders = std::io::stdin().lines();
    let mut rack = LockRack::new(&dir, Uid::new(user()));
    let Taken::Ours(guard) = rack.take(OsStr::new("x")) else { panic!("no lock") };
    say("held");
    orders.next();
    rack.release(guard);
    say("released");
    orders.next();
    drop(rack);
    say("gone on");
}

#[test]
#[ignore = "not a test: others run it"]
fn who_removes_a_hundred() {
    let Some(dir) = folder() else { return };
    let mut asked = false;
    checkpoint::install(Some(Box::new(move |at| {
        if at == Checkpoint::Locked && !asked {
            asked = true;
            kill_process(getpid(), Signal::TSTP).unwrap();
            // It may be another thread that takes it.
            wait::until("the signal is taken", Unstopped::is_asked_to_stop);
        }
    })));
    let names = dir.names().unwrap();
    let reaped = Reaper::new(&dir, Uid::new(user())).reap(&mut Witness::new(Uid::new(user())), &names);
    say(&format!("removed {}", reaped.len()));
}

/// One of them.
struct Other {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Other {
    fn starts(test: &str, folder: &Path) -> Self {
        Self::starts_with("022", test, folder)
    }

    fn starts_with(umask: &str, test: &str, folder: &Path) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", test, "--nocapture"])
            .env(FOLDER, folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout }
    }

    #[track_caller]
    fn says(&mut self, word: &str) {
        let mut line = String::new();
        while !line.contains("SAYS") {
            let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
            let mut fds = [PollFd::new(self.stdout.get_ref(), PollFlags::IN)];
            let speaks = !self.stdout.buffer().is_empty() || poll(&mut fds, Some(&patience)).unwrap() > 0;
            assert!(speaks, "it does not say {word:?}, its state is {}", self.state());
            line.clear();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "it has ended");
        }
        assert!(line.contains(word), "{line}");
    }

    fn goes_on(&mut self) {
        writeln!(self.stdin, "go on").unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn state(&self) -> char {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    }

    fn is_stopped(&self) {
        wait::until("it is stopped", || self.state() == 'T');
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nothing_from_a_terminal_stops_who_holds_a_lock() {
    for signal in SIGNALS {
        let arena = Arena::new();
        let mut holder = Other::starts("stopped::who_holds_a_lock", arena.dir());
        holder.says("held");
        holder.signal(signal);
        holder.goes_on();
        holder.says("released");
        // One at rest can have an opener that waits.
        assert_eq!(arena.names().len(), 1, "{signal:?}");
        holder.goes_on();
        holder.is_stopped();
        assert_eq!(arena.names(), [""; 0], "{signal:?}: it is stopped with a lock");
        holder.signal(Signal::CONT);
        holder.says("gone on");
        assert!(holder.child.wait().unwrap().success());
    }
}

/// Whatever our umask is: a client that could not open the lock would start without it.
#[test]
fn a_lock_can_be_opened_by_whoever_starts_there() {
    let arena = Arena::new();
    let mut holder = Other::starts_with("0777", "stopped::who_holds_a_lock", arena.dir());
    holder.says("held");
    let mode = fs::metadata(arena.path("x.lock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    holder.goes_on();
    holder.says("released");
    holder.goes_on();
    holder.says("gone on");
}

#[test]
fn a_long_removal_is_stopped_between_two_batches() {
    let mut arena = Arena::new();
    for number in 0..100 {
        arena = arena.dead(number.to_string());
    }
    let mut remover = Other::starts("stopped::who_removes_a_hundred", arena.dir());
    remover.is_stopped();
    let left = arena.names();
    assert!((36..=99).contains(&left.len()), "{} are left", left.len());
    assert!(
        left.iter().all(|name| !name.to_string_lossy().contains("lock")),
        "it is stopped with locks: {left:?}"
    );
    remover.signal(Signal::CONT);
    remover.says("removed 100");
    assert_eq!(arena.names(), [""; 0]);
}
