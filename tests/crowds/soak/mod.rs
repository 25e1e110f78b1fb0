//! Everything at once, for minutes: starts, ends, SIGUSR1, deletions, rescues and spawns on few labels, two
//! sweeps without a pause and a watch, on a disk and on tmpfs at the same time. No server that started is
//! ever unreachable while it lives, nothing dead and no litter stays, and the watch is as it was.
//!
//! `TMUX_JANITOR_SOAK_SECONDS` sets how long; in CI it is half a minute.

mod fakes;
mod real;

use crate::common::arena::{Arena, Server, processes_of};
use crate::common::daemon::Daemon;
use crate::common::janitor::{Run, janitor};
use crate::common::starts::{assert_reachable, end, wait_for_silence};
use crate::common::{skip, wait};
use fakes::{Fakes, Figures};
use real::{ACTORS, Tally, get};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How much more memory the watch may have at the end, in kB: what it once needed for a burst, or for the thread
/// of a rescue, it may keep. A leak of one path for each server would be more within ten seconds.
const GROWTH: u64 = 1024;

fn seconds() -> u64 {
    let strict = std::env::var_os("TMUX_JANITOR_NO_SKIP").is_some();
    let set = std::env::var("TMUX_JANITOR_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    set.unwrap_or(if strict { 30 } else { 10 })
}

/// A server that lives on, and its socket.
type Living = (PathBuf, Server);

/// What the watch needs at rest: open files, and memory of its own in kB (of the program's file it touches ever more).
type Cost = (usize, u64);

/// One folder with everybody who works in it.
struct Place {
    name: &'static str,
    arena: Arena,
    daemon: Daemon,
    fakes: Fakes,
    tally: Tally,
    /// After the first storm.
    before: Option<Cost>,
    living: Vec<Living>,
}

impl Place {
    fn new(name: &'static str, parent: &Path) -> Self {
        let arena = Arena::inside(parent);
        let daemon = Daemon::configured(arena.dir(), "[watch]\nrescue = true\n");
        let fakes = Fakes::begin(arena.dir());
        Self { name, arena, daemon, fakes, tally: Tally::default(), before: None, living: Vec::new() }
    }

    /// Everybody at once; then the servers that live on.
    fn storm(&mut self, time: &Time) -> Vec<Living> {
        self.fakes.go();
        let (dir, tally) = (self.arena.dir(), &self.tally);
        let living = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for actor in &ACTORS {
                let living = &living;
                scope.spawn(move || {
                    let _ends = EndsIt(time);
                    let last = actor.storm(dir, tally, || time.goes_on());
                    living.lock().unwrap().push(last);
                });
            }
            for arguments in [&[][..], &["--rescue"]] {
                scope.spawn(move || {
                    let _ends = EndsIt(time);
                    real::sweep(dir, arguments, tally, || time.goes_on());
                });
            }
        });
        living.into_inner().unwrap()
    }

    /// Whoever lives is reached, and nothing else is there. What the watch needs.
    fn census(&mut self, living: &[Living]) -> Cost {
        let dir = self.arena.dir().to_owned();
        wait::until("every server is known", || {
            processes_of(&dir).0 == living.iter().map(|(_, server)| server.pid).collect()
        });
        let run = Run::of(janitor(&dir).args(["sweep", "--json"]));
        assert_eq!(run.code, Some(0), "{} {}", run.stdout, run.stderr);
        for (socket, server) in living {
            assert!(server.is_alive());
            assert_reachable(socket, server);
        }
        let mut labels: BTreeSet<OsString> = fakes::LABELS.map(OsString::from).into();
        for label in &labels {
            assert!(UnixStream::connect(dir.join(label)).is_ok(), "{} answers", label.to_string_lossy());
        }
        labels.extend(living.iter().map(|(socket, _)| socket.file_name().unwrap().to_owned()));
        let (sockets, others): (BTreeSet<OsString>, BTreeSet<OsString>) =
            self.arena.names().into_iter().partition(|name| {
                let facts = std::fs::symlink_metadata(dir.join(name)).unwrap();
                facts.file_type().is_socket()
            });
        assert_eq!(sockets, labels, "{}", self.name);
        // A client that finds a server under the lock leaves the lock's file beside it; tmux uses it again.
        let locks: BTreeSet<OsString> =
            labels.iter().map(|label| format!("{}.lock", label.to_string_lossy()).into()).collect();
        assert!(others.is_subset(&locks), "litter in {}: {others:?}", self.name);
        let json = Run::of(janitor(&dir).args(["list", "--json"])).json();
        let counts = ["live", "dead", "ghost", "unknown"].map(|what| json["counts"][what].as_u64().unwrap());
        assert_eq!(counts, [labels.len() as u64, 0, 0, 0], "{json:#}");
        self.daemon.rescan();
        let pids: BTreeSet<i32> = living.iter().map(|(_, server)| server.pid).collect();
        wait::until("the watch waits for these and the fakes", || {
            let waits_for: BTreeSet<i32> = self.daemon.waits_for().into_iter().collect();
            waits_for.is_superset(&pids) && waits_for.len() == pids.len() + 1
        });
        if let Some((before, _)) = self.before {
            wait::until("the watch has no more files open", || self.daemon.descriptors() <= before);
        }
        (self.daemon.descriptors(), self.daemon.status("RssAnon"))
    }

    /// All end at once, and the watch removes what they leave. What it has logged.
    fn close(mut self) -> String {
        self.fakes.kill();
        for (round, (socket, server)) in self.living.drain(..).enumerate() {
            end(&socket, &server, round);
            wait_for_silence(&socket, &server);
        }
        let is_lock = |name: &OsString| name.to_string_lossy().ends_with(".lock");
        wait::until("the watch removes every socket", || self.arena.names().iter().all(is_lock));
        let run = Run::of(janitor(self.arena.dir()).arg("sweep"));
        assert!(
            run.code == Some(0) && self.arena.names().is_empty(),
            "{:?} {}",
            self.arena.names(),
            run.stdout
        );
        self.daemon.stop()
    }

    fn print(&self, figures: Figures, (descriptors, memory): Cost) {
        let tally = &self.tally;
        let (old_descriptors, old_memory) = self.before.unwrap_or_default();
        println!(
            "{}: {} starts and {} ends of servers, {} and {} of them of real tmux servers; \
             {} sockets made anew (SIGUSR1), {} ghosts rescued, {} spawned ({} too late at first); \
             the longest start took {} ms; {} sweeps, which removed {}; \
             the watch removed {}; fakes: {} found a server, {} a lock that was held; \
             the watch: {old_descriptors} descriptors, then {descriptors}; {old_memory} kB, then {memory} kB",
            self.name,
            figures.started + get(&tally.started),
            figures.ended + get(&tally.ended),
            get(&tally.started),
            get(&tally.ended),
            get(&tally.made_anew),
            get(&tally.rescued),
            get(&tally.spawned),
            get(&tally.late),
            get(&tally.longest),
            get(&tally.sweeps),
            get(&tally.removed),
            self.daemon.logged("removed dead socket"),
            figures.joined,
            figures.waited,
        );
    }
}

/// How long a storm goes on.
struct Time {
    begun: Instant,
    length: Duration,
    over: AtomicBool,
}

impl Time {
    fn of(length: Duration) -> Self {
        Self { begun: Instant::now(), length, over: AtomicBool::new(false) }
    }

    fn goes_on(&self) -> bool {
        self.begun.elapsed() < self.length && !self.over.load(Ordering::SeqCst)
    }
}

/// A panic in one thread ends the storm of all.
struct EndsIt<'a>(&'a Time);

impl Drop for EndsIt<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.over.store(true, Ordering::SeqCst);
        }
    }
}

/// How much of the machine was used, in percent.
fn use_since(before: &[u64]) -> u64 {
    let parts: Vec<u64> = cpu_times().iter().zip(before).map(|(now, before)| now - before).collect();
    let all: u64 = parts.iter().sum();
    // The fourth and the fifth are idle (`proc_stat(5)`).
    let idle = parts[3] + parts[4];
    100 - 100 * idle / all.max(1)
}

fn cpu_times() -> Vec<u64> {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let first = stat.lines().next().unwrap();
    first.split_whitespace().skip(1).take(8).map(|part| part.parse().unwrap()).collect()
}

/// A storm in every place at the same time, and a census in each; `after` is told what came of it.
fn storms(places: &mut [Place], length: Duration, after: fn(&mut Place, Vec<Living>, Figures, Cost)) {
    let time = Time::of(length);
    thread::scope(|scope| {
        for place in places {
            let time = &time;
            scope.spawn(move || {
                let _ends = EndsIt(time);
                let living = place.storm(time);
                let figures = place.fakes.rest();
                let cost = place.census(&living);
                after(place, living, figures, cost);
            });
        }
    });
}

#[test]
fn nobody_is_lost_and_nothing_stays_in_a_long_storm() {
    let mut places = vec![Place::new("disk", Path::new("/var/tmp"))];
    if is_tmpfs(Path::new("/dev/shm")) {
        places.push(Place::new("tmpfs", Path::new("/dev/shm")));
    } else {
        skip::skip("/dev/shm is no tmpfs");
    }
    let length = Duration::from_secs(seconds());
    // Long enough that what a burst needs has been needed.
    storms(&mut places, length / 2, |place, living, _, cost| {
        place.before = Some(cost);
        for (socket, server) in living {
            drop(server);
            wait::until("nobody listens", || UnixStream::connect(&socket).is_err());
        }
    });
    let before = cpu_times();
    storms(&mut places, length, |place, living, figures, cost| {
        place.print(figures, cost);
        let memory = place.before.unwrap().1;
        assert!(cost.1 <= memory + GROWTH, "{} kB, after {memory} kB", cost.1);
        assert!(get(&place.tally.late) * 10 <= get(&place.tally.spawned) + 10, "the spawns are late");
        assert!(figures.started > 100 && get(&place.tally.started) > 10, "too little happened");
        place.living = living;
    });
    println!("{length:?}, {} % of the processors in use", use_since(&before));
    for place in places {
        let (name, log) = (place.name, place.close());
        let alarms: Vec<&str> = log.lines().filter(|line| line.contains("error:")).collect();
        assert!(alarms.is_empty() && !log.contains("a bug of ours"), "{name}: {alarms:?}");
        let warnings = log.lines().filter(|line| line.contains("warning:")).count();
        println!("{name}: the watch has warned {warnings} times");
    }
}

fn is_tmpfs(path: &Path) -> bool {
    nix::sys::statfs::statfs(path)
        .is_ok_and(|system| system.filesystem_type() == nix::sys::statfs::TMPFS_MAGIC)
}
