//! What the watcher costs, beside the polling that it replaces. Needs tmux; takes about two minutes, one of them idle.

use super::plot::Plot;
use super::scene::{self, PROGRAM, Server, tmux};
use super::section::{Scale, Section, milliseconds};
use super::sweep::thousands;
use rustix::process::{Resource, Rlimit};
use std::fs;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn measure(scale: Scale) -> Section {
    let limit = rustix::process::getrlimit(Resource::Nofile).maximum;
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
    let mut section = Section::new("watch", &["what", "measured", "aim"]);
    latency(&mut section, scale.of(200, 10));
    many_deaths(&mut section, scale.of(1000, 20));
    many_listeners(&mut section, scale.of(10_000, 100));
    beside_polling(&mut section, scale.of(50, 5), scale.of(4, 1));
    idle(&mut section, scale.of(100, 5), scale.of(60, 2));
    section
}

/// A running watcher.
struct Watcher {
    child: Child,
    _room: tempfile::TempDir,
    ready_after: Duration,
}

impl Watcher {
    fn start(dir: &Path) -> Self {
        let room = scene::room(false);
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

    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    fn megabytes(&self, key: &str) -> f64 {
        self.status(key) as f64 / 1000.0
    }

    fn cpu(&self) -> Duration {
        let stat = self.proc("schedstat");
        Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
    }

    /// Waits until it waits for the ends of so many processes.
    fn knows(&self, count: usize) {
        let infos = format!("/proc/{}/fdinfo", self.child.id());
        let is_pidfd = |info: &fs::DirEntry| {
            fs::read_to_string(info.path())
                .is_ok_and(|info| info.lines().any(|line| line.starts_with("Pid:")))
        };
        while fs::read_dir(&infos).unwrap().map_while(Result::ok).filter(is_pidfd).count() < count {
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

fn latency(section: &mut Section, count: usize) {
    let dir = scene::room(false);
    let servers = scene::servers(dir.path(), count);
    let watcher = Watcher::start(dir.path());
    watcher.knows(count);
    let mut times: Vec<Duration> = servers
        .iter()
        .map(|server| {
            server.signal(rustix::process::Signal::KILL);
            server.wait_for_end();
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
    let what = format!("server's end to socket's removal, {count} real servers");
    section.row(&[&what, &measured, "≤ 3 ms, ≤ 25 ms"]);
    section.plots.push(Plot::Sorted {
        title: "From a server's end to its socket's removal",
        unit: "ms",
        values: times.iter().map(|time| time.as_secs_f64() * 1000.0).collect(),
    });
}

fn many_deaths(section: &mut Section, count: usize) {
    let dir = scene::room(false);
    let paths: Vec<PathBuf> = (0..count).map(|number| dir.path().join(format!("s{number}"))).collect();
    let mut listeners: Vec<Child> = paths
        .iter()
        .map(|path| {
            let program = std::env::current_exe().unwrap();
            Command::new(program).arg("--listener").arg(path).stdin(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let watcher = Watcher::start(dir.path());
    watcher.knows(count);
    let begun = Instant::now();
    for listener in &mut listeners {
        listener.kill().unwrap();
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
    section.row(&[&format!("{} servers die at once", thousands(count)), &measured, "≤ 1 s"]);
    for mut listener in listeners {
        let _ = listener.wait();
    }
}

fn many_listeners(section: &mut Section, count: usize) {
    let dir = scene::room(false);
    let listeners: Vec<UnixListener> = (0..count)
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
        watcher.megabytes("VmRSS")
    );
    section.row(&[&format!("{} live listeners", thousands(count)), &measured, "< 1 s, ≤ 16 MB"]);
    drop(watcher);
    let connections = listeners.iter().filter(|listener| listener.accept().is_ok()).count();
    section.row(&["connections to them, over the watcher's whole life", &connections.to_string(), "0"]);
}

fn beside_polling(section: &mut Section, count: usize, rounds: usize) {
    let dir = scene::room(false);
    let servers: Vec<Server> = scene::servers(dir.path(), count);
    let watcher = Watcher::start(dir.path());
    watcher.knows(count);
    let begun = Instant::now();
    let cpu = watcher.cpu();
    let mut polling = Duration::ZERO;
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
    // Every 2.5 s makes 24 rounds a minute.
    let polling = polling.mul_f64(24.0 / f64::from(u32::try_from(rounds).unwrap()));
    let what =
        format!("CPU per minute with {count} servers, beside `tmux list-sessions` for each every 2.5 s");
    let measured = format!("{} beside {}", milliseconds(watching), milliseconds(polling));
    section.row(&[&what, &measured, "side by side"]);
}

fn idle(section: &mut Section, count: usize, seconds: usize) {
    let dir = scene::room(false);
    let servers = scene::servers(dir.path(), count);
    let watcher = Watcher::start(dir.path());
    watcher.knows(count);
    super::section::tell(&format!("idle for {seconds} s"));
    std::thread::sleep(Duration::from_millis(500));
    let switches =
        || watcher.status("voluntary_ctxt_switches") + watcher.status("nonvoluntary_ctxt_switches");
    let (before, cpu) = (switches(), watcher.cpu());
    std::thread::sleep(Duration::from_secs(seconds as u64));
    let measured = format!(
        "{} wake-ups, {} CPU, {:.1} MB RSS ({:.1} MB of it its own)",
        switches() - before,
        milliseconds(watcher.cpu().saturating_sub(cpu)),
        watcher.megabytes("VmRSS"),
        watcher.megabytes("RssAnon")
    );
    let what = format!("idle with {count} live servers, {seconds} s");
    section.row(&[&what, &measured, "the watchdog's pings (2), 0 ms, ≤ 4 MB"]);
    drop(servers);
}

/// CPU of the children that have ended.
fn children() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).unwrap();
    let time = |value: nix::sys::time::TimeVal| {
        Duration::from_micros(u64::try_from(value.tv_sec() * 1_000_000 + value.tv_usec()).unwrap())
    };
    time(usage.user_time()) + time(usage.system_time())
}
