//! Waiting for a condition instead of sleeping and hoping, and a clock for what must come soon.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long anything in a test may take: a guard against what never ends, which no slow machine comes near.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// How long a script may take.
const SCRIPT: &str = "300";

/// A command that is ended when it takes too long: a wait in a script that never comes to its end fails the test, and does
/// not hang it.
pub(crate) fn in_time(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", SCRIPT, program]);
    command
}

/// Waits until `holds` does; fails the test with `what` at the deadline. Between two looks it rests for as long as one
/// took: what is waited for needs the processor, too.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    const LEAST: Duration = Duration::from_millis(2);
    let started = Instant::now();
    loop {
        let looked = Instant::now();
        if holds() {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain: {what}");
        std::thread::sleep(looked.elapsed().max(LEAST));
    }
}

/// Waits until nobody has a socket open any more that was bound at this path: a child of the server's, between fork and
/// exec, may have it a moment longer.
#[track_caller]
pub(crate) fn until_closed(path: &Path) {
    until_table_lacks(&[b" ", path.as_os_str().as_bytes(), b"\n"].concat());
}

/// Leaves a dead socket at a path, where nobody watches.
#[track_caller]
pub(crate) fn leave_dead(path: impl AsRef<Path>) {
    let socket = UnixListener::bind(&path).expect("the path is free");
    let number = rustix::fs::fstat(&socket).expect("its number").st_ino;
    drop(socket);
    // A child of another test may have it, too.
    until_none(&number.to_string());
}

/// Waits until nobody has the socket of that number open any more.
#[track_caller]
pub(crate) fn until_none(number: &str) {
    until_table_lacks(format!(" {number} ").as_bytes());
}

/// Moves a dead socket to a path: a watcher that saw one while this test had it open would go by the life of this test,
/// and look again at its rescan.
#[track_caller]
pub(crate) fn bring_dead(path: impl AsRef<Path>) {
    let path = path.as_ref();
    let beside = path.parent().and_then(Path::parent).expect("a folder that holds the folder");
    assert!(std::fs::symlink_metadata(path).is_err(), "{} is free", path.display());
    let room = tempfile::tempdir_in(beside).expect("a folder beside");
    let aside = room.path().join("s");
    leave_dead(&aside);
    std::fs::rename(&aside, path).expect("it is moved");
}

/// One reading misses one now and then: it goes on by a number within a bucket of the kernel's hash table, and another
/// may leave the bucket meanwhile (`unix_from_bucket`).
const READINGS: usize = 4;

#[track_caller]
fn until_table_lacks(part: &[u8]) {
    let lacks = |_| {
        let table = std::fs::read("/proc/net/unix").expect("the kernel's table");
        !table.windows(part.len()).any(|here| here == part)
    };
    until("the socket is closed everywhere", || (0..READINGS).all(lacks));
}

/// How long the thread of a [`Clock`] is busy, and how long it then rests.
const TURN: Duration = Duration::from_millis(3);
const REST: Duration = Duration::from_micros(50);

/// A clock that counts the processor time of a thread that hardly rests: on an idle machine it goes like any other, on
/// one that is busy, or that its host lets stand still, as slowly as everybody there gets on.
#[derive(Debug)]
pub(crate) struct Clock {
    nanoseconds: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Clock {
    /// Begins at zero.
    pub(crate) fn start() -> Self {
        let clock = Self { nanoseconds: Arc::default(), over: Arc::default() };
        let (nanoseconds, over) = (Arc::clone(&clock.nanoseconds), Arc::clone(&clock.over));
        std::thread::spawn(move || {
            let mut rested = Duration::ZERO;
            while !over.load(Ordering::Relaxed) {
                let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
                let now = Duration::try_from(now).expect("a thread's time goes forward");
                nanoseconds.store(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
                // A kernel that does not preempt (PREEMPT_NONE, in a virtual machine) was seen to give nobody else on that
                // processor a turn for 90 s.
                if now.saturating_sub(rested) > TURN {
                    rested = now;
                    std::thread::sleep(REST);
                }
            }
        });
        clock
    }

    /// How long it has gone.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }

    /// Fails the test where it has gone for longer than `most`.
    #[track_caller]
    pub(crate) fn assert_within(&self, most: Duration) {
        let took = self.elapsed();
        assert!(took < most, "took {took:?} of the time of a busy thread, {most:?} at most");
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
