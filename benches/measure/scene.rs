//! Dead sockets, real servers, the program and its peers.

use super::section::tell;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_tmux-janitor");

/// The program, in an environment of nobody.
pub(crate) fn janitor(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("--dir").arg(dir).args(arguments);
    command.env("XDG_CONFIG_HOME", "/nonexistent").env("HOME", "/nonexistent").env_remove("TMUX");
    command
}

/// tmux on a socket, without anybody's configuration.
pub(crate) fn tmux(socket: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("TMUX_BIN").unwrap_or_else(|| "tmux".into()));
    command.args(["-f", "/dev/null", "-S"]).arg(socket).env_remove("TMUX").stdin(Stdio::null());
    command
}

/// A bash script; `$1` is the folder.
pub(crate) fn shell(script: &str, dir: &Path) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash"]).arg(dir).env_remove("TMUX");
    command
}

/// How long a command takes, which must not be ended by a signal.
pub(crate) fn time(command: &mut Command) -> Duration {
    let begun = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let spent = begun.elapsed();
    assert!(status.is_ok_and(|status| status.code().is_some()), "{command:?} did not run");
    spent
}

/// The same of one that must succeed.
pub(crate) fn time_success(command: &mut Command) -> Duration {
    let begun = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let spent = begun.elapsed();
    assert!(status.is_ok_and(|status| status.success()), "{command:?} failed");
    spent
}

/// What this process's children have used of the processors by now (getrusage(2)): those that were waited for.
fn processor_time() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).unwrap();
    let both = usage.user_time() + usage.system_time();
    Duration::from_micros(u64::try_from(both.tv_sec() * 1_000_000 + both.tv_usec()).unwrap())
}

/// The medians of two commands' times: ours, theirs.
#[derive(Debug)]
pub(crate) struct Turns {
    pub(crate) wall: [Duration; 2],
    pub(crate) processor: [Duration; 2],
}

/// Times two commands in turn; `fresh` sets the scene before each.
pub(crate) fn in_turn(
    runs: usize,
    mut fresh: impl FnMut(),
    ours: impl Fn() -> Command,
    theirs: impl Fn() -> Command,
) -> Turns {
    let (mut wall, mut processor) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..runs {
        for (side, command) in [&ours as &dyn Fn() -> Command, &theirs].iter().enumerate() {
            fresh();
            let mut command = command();
            let before = processor_time();
            wall[side].push(time(&mut command));
            processor[side].push(processor_time().saturating_sub(before));
        }
    }
    let medians = |mut times: [Vec<Duration>; 2]| [0, 1].map(|side| super::section::median(&mut times[side]));
    Turns { wall: medians(wall), processor: medians(processor) }
}

/// A folder in memory, or on the disk.
pub(crate) fn room(in_memory: bool) -> tempfile::TempDir {
    if in_memory { tempfile::tempdir_in("/dev/shm").unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Adds dead sockets.
pub(crate) fn add_dead(dir: &Path, count: usize) {
    for number in 0..count {
        drop(UnixListener::bind(dir.join(format!("dead-{number}"))).unwrap());
    }
}

/// A folder made anew, with dead sockets.
pub(crate) fn make_dead(dir: &Path, count: usize) {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir(dir).unwrap();
    add_dead(dir, count);
}

/// A real server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) path: PathBuf,
    pub(crate) pidfd: OwnedFd,
}

impl Server {
    pub(crate) fn start(path: PathBuf) -> Self {
        time_success(tmux(&path).args(["new-session", "-d", "sleep 1000"]));
        Self::on(path)
    }

    /// The one that runs on a socket.
    pub(crate) fn on(path: PathBuf) -> Self {
        let pid = tmux(&path).args(["display-message", "-p", "#{pid}"]).output().unwrap().stdout;
        let pid = String::from_utf8(pid).unwrap().trim().parse().unwrap();
        let pidfd = rustix::process::pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
        Self { path, pidfd }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
    }

    pub(crate) fn wait_for_end(&self) {
        poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], None).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

pub(crate) fn servers(dir: &Path, count: usize) -> Vec<Server> {
    tell(&format!("starting {count} servers"));
    (0..count).map(|number| Server::start(dir.join(format!("s{number}")))).collect()
}

/// Peak memory of a command, in MB: it is run by a process of its own, whose only child it is (getrusage(2)).
pub(crate) fn peak_memory(command: &Command) -> f64 {
    let mut measure = Command::new(std::env::current_exe().unwrap());
    measure.arg("--peak-of").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => measure.env(name, value),
            None => measure.env_remove(name),
        };
    }
    let output = measure.output().unwrap().stdout;
    String::from_utf8(output).unwrap().trim().parse::<f64>().unwrap() * 1024.0 / 1e6
}

/// The parts that a benchmark plays in processes of its own. Whether this is one.
pub(crate) fn played_a_part() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_ref().and_then(|part| part.to_str()) {
        Some("--peak-of") => {
            let words: Vec<OsString> = arguments.collect();
            time(Command::new(&words[0]).args(&words[1..]));
            let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).unwrap();
            println!("{}", usage.max_rss());
        }
        Some("--listener") => {
            let _listener = UnixListener::bind(arguments.next().unwrap()).unwrap();
            let _ = std::io::stdin().read(&mut [0]);
        }
        _ => return false,
    }
    true
}
