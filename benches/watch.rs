//! What the watcher costs, beside the polling that it replaces. `cargo bench --bench watch` prints the
//! table of docs/benchmarks.md. Needs tmux; takes about two minutes, one of them idle.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark that fails says so"
)]

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal};
use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tmux-janitor");

/// A running watcher.
struct Watcher {
    child: Child,
    _room: tempfile::TempDir,
    ready_after: Duration,
}

impl Watcher {
    fn start(dir: &Path) -> Self {
        let room = tempfile::tempdir().unwrap();
        let manager = UnixDatagram::bind(room.path().join("n")).unwrap();
        let begun = Instant::now();
        let child = Command::new(PROGRAM)
            .arg("--dir")
            .arg(dir)
            .arg("watch")
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .env("NOTIFY_SOCKET", room.path().join("n"))
            // As the unit has it: a ping every 30 s.
            .env("WATCHDOG_USEC", "60000000")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut watcher = Self { child, _room: room, ready_after: Duration::ZERO };
        let mut buffer = [0; 512];
        while !buffer.starts_with(b"READY=1") {
            let _ = manager.recv(&mut buffer).unwrap();
        }
        watcher.ready_after = begun.elapsed();
        watcher
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    fn status(&self, key: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn cpu(&self) -> Duration {
        let stat = self.proc("schedstat");
        Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
    }

    /// Waits until it waits for the ends of so many processes.
    fn knows(&self, count: usize) {
        let infos = format!("/proc/{}/fdinfo", self.child.id());
        let is_pidfd = |info: fs::DirEntry| {
            fs::read_to_string(info.path())
                .is_ok_and(|info| info.lines().any(|line| line.starts_with("Pid:")))
        };
        while fs::read_dir(&infos)
            .unwrap()
            .map_while(Result::ok)
            .filter_map(|info| is_pidfd(info).then_some(()))
            .count()
            < count
        {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tmux(socket: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("TMUX_BIN").unwrap_or_else(|| "tmux".into()));
    command.args(["-f", "/dev/null", "-S"]).arg(socket).env_remove("TMUX").stdin(Stdio::null());
    command
}

/// A real server; killed when dropped.
struct Server {
    path: PathBuf,
    pidfd: OwnedFd,
}

impl Server {
    fn start(path: PathBuf) -> Self {
        let started = tmux(&path).args(["new-session", "-d", "sleep 1000"]).status().unwrap();
        assert!(started.success());
        let pid = tmux(&path).args(["display-message", "-p", "#{pid}"]).output().unwrap().stdout;
        let pid = String::from_utf8(pid).unwrap().trim().parse().unwrap();
        let pidfd = rustix::process::pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
        Self { path, pidfd }
    }

    fn kill(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn servers(dir: &Path, count: usize) -> Vec<Server> {
    (0..count).map(|number| Server::start(dir.join(format!("s{number}")))).collect()
}

fn row(what: &str, measured: &str, aim: &str) {
    println!("| {what} | {measured} | {aim} |");
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

fn room() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("bench-").tempdir_in("/tmp").unwrap()
}

fn latency() {
    let dir = room();
    let servers = servers(dir.path(), 200);
    let watcher = Watcher::start(dir.path());
    let mut times: Vec<Duration> = servers
        .iter()
        .map(|server| {
            server.kill();
            poll(&mut [PollFd::new(&server.pidfd, PollFlags::IN)], None).unwrap();
            let ended = Instant::now();
            while fs::symlink_metadata(&server.path).is_ok() {
                std::thread::sleep(Duration::from_micros(20));
            }
            let took = ended.elapsed();
            // Servers do not die one right after the other.
            std::thread::sleep(Duration::from_millis(5));
            took
        })
        .collect();
    drop(watcher);
    times.sort();
    let measured = format!(
        "median {}, 99th percentile {}, longest {}",
        milliseconds(times[times.len() / 2]),
        milliseconds(times[times.len() * 99 / 100]),
        milliseconds(times[times.len() - 1])
    );
    row("server's end to socket's removal, 200 real servers", &measured, "≤ 3 ms, ≤ 25 ms");
}

fn idle(seconds: u64) {
    let dir = room();
    let servers = servers(dir.path(), 100);
    let watcher = Watcher::start(dir.path());
    std::thread::sleep(Duration::from_millis(500));
    let switches =
        || watcher.status("voluntary_ctxt_switches") + watcher.status("nonvoluntary_ctxt_switches");
    let (before, cpu) = (switches(), watcher.cpu());
    std::thread::sleep(Duration::from_secs(seconds));
    let measured = format!(
        "{} wake-ups, {} CPU, {:.1} MB RSS ({:.1} MB of it its own)",
        switches() - before,
        milliseconds(watcher.cpu().saturating_sub(cpu)),
        watcher.status("VmRSS") as f64 / 1000.0,
        watcher.status("RssAnon") as f64 / 1000.0
    );
    row(
        &format!("idle with 100 live servers, {seconds} s"),
        &measured,
        "the watchdog's pings (2), 0 ms, ≤ 4 MB",
    );
    drop(servers);
}

fn many_deaths() {
    let dir = room();
    let paths: Vec<PathBuf> = (0..1000).map(|number| dir.path().join(format!("s{number}"))).collect();
    let mut fakes: Vec<Child> = paths
        .iter()
        .map(|path| {
            let program = std::env::current_exe().unwrap();
            Command::new(program).arg("--fake").arg(path).stdin(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let watcher = Watcher::start(dir.path());
    watcher.knows(1000);
    let begun = Instant::now();
    for fake in &mut fakes {
        fake.kill().unwrap();
    }
    let killed = begun.elapsed();
    while paths.iter().any(|path| fs::symlink_metadata(path).is_ok()) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let measured = format!(
        "all removed after {} (killing them took {})",
        milliseconds(begun.elapsed()),
        milliseconds(killed)
    );
    row("1,000 servers die at once", &measured, "≤ 1 s");
    for mut fake in fakes {
        let _ = fake.wait();
    }
}

fn many_listeners() {
    let dir = room();
    let listeners: Vec<UnixListener> = (0..10_000)
        .map(|number| {
            let listener = UnixListener::bind(dir.path().join(format!("s{number}"))).unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        })
        .collect();
    let watcher = Watcher::start(dir.path());
    let measured = format!(
        "ready after {}, {:.1} MB RSS",
        milliseconds(watcher.ready_after),
        watcher.status("VmRSS") as f64 / 1000.0
    );
    row("10,000 live listeners", &measured, "< 1 s, ≤ 16 MB");
    drop(watcher);
    let connections = listeners.iter().filter(|listener| listener.accept().is_ok()).count();
    row("connections to them", &connections.to_string(), "0");
}

fn beside_polling() {
    let dir = room();
    let servers = servers(dir.path(), 50);
    let watcher = Watcher::start(dir.path());
    std::thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    let cpu = watcher.cpu();
    let (rounds, mut polling) = (4_u32, Duration::ZERO);
    for _ in 0..rounds {
        // What the clients cost; what the servers spend on answering comes on top.
        let before = children();
        for server in &servers {
            tmux(&server.path).arg("list-sessions").stdout(Stdio::null()).status().unwrap();
        }
        polling += children().saturating_sub(before);
        std::thread::sleep(Duration::from_millis(2500));
    }
    let watching = (watcher.cpu().saturating_sub(cpu)).mul_f64(60.0 / begun.elapsed().as_secs_f64());
    // Every 2.5 s makes 24 rounds.
    let polling = polling / rounds * 24;
    let measured = format!("{} beside {}", milliseconds(watching), milliseconds(polling));
    row(
        "CPU per minute with 50 servers, beside `tmux list-sessions` for each every 2.5 s",
        &measured,
        "side by side",
    );
}

/// CPU of the children that have ended.
fn children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[13].parse::<u64>().unwrap() + fields[14].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|argument| argument == "--fake") {
        let _listener = UnixListener::bind(arguments.next().unwrap()).unwrap();
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    let limit = rustix::process::getrlimit(Resource::Nofile).maximum;
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
    let seconds = std::env::var("IDLE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    println!("| what | measured | aim |\n| --- | --- | --- |");
    latency();
    many_deaths();
    many_listeners();
    beside_polling();
    idle(seconds);
}
