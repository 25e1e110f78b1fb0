//! A start lock that somebody holds for good: who says so, at once or after it was seen twice, and whom they name.

use crate::common::arena::Arena;
use crate::common::janitor::{Run, janitor};
use crate::common::wait;
use rustix::fs::FlockOperation;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A program that holds a lock as tmux's client does, until it is dropped.
struct Holder(Child);

impl Holder {
    fn of(lock: &Path) -> Self {
        let mut command = Command::new("flock");
        command.arg("--no-fork").arg(lock).args(["sleep", "3600"]).stdin(Stdio::null());
        let child = command.spawn().unwrap();
        let held = || {
            let file = File::open(lock).ok();
            file.is_some_and(|file| {
                rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
            })
        };
        wait::until("the lock is held", held);
        let comm = format!("/proc/{}/comm", child.id());
        wait::until("it is sleep", || fs::read_to_string(&comm).is_ok_and(|comm| comm == "sleep\n"));
        fs::set_permissions(lock, fs::Permissions::from_mode(0o600)).unwrap();
        Self(child)
    }

    fn stop(&self) {
        kill_process(Pid::from_child(&self.0), Signal::STOP).unwrap();
        wait::until("it is stopped", || self.state() == 'T');
    }

    fn state(&self) -> char {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    }

    fn named(&self, how: &str) -> String {
        format!("pid {} (sleep, {how})", self.0.id())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command's words, its exit code, and how long it took.
fn says(arena: &Arena, arguments: &[&str]) -> (String, Option<i32>, Took) {
    let (begun, clock) = (Instant::now(), wait::Clock::start());
    let run = Run::of(janitor(arena.dir()).args(arguments));
    let took = Took { real: begun.elapsed(), busy: clock.elapsed() };
    (format!("{}{}", run.stdout, run.stderr), run.code, took)
}

/// How long something took.
#[derive(Debug)]
struct Took {
    real: Duration,
    /// By the clock of a busy thread.
    busy: Duration,
}

#[test]
fn a_holder_that_is_stopped_is_named_at_once_by_everybody() {
    let arena = Arena::new().dead("x");
    let holder = Holder::of(&arena.path("x.lock"));
    holder.stop();
    let named = holder.named("stopped");
    let commands: [(&[&str], i32); 5] = [
        (&["status"], 1),
        (&["status", "--json"], 1),
        (&["probe", "-L", "x"], 0),
        (&["doctor"], 1),
        (&["spawn", "s", "--socket-label", "x", "--scope", "never", "--no-sweep", "--", "sleep", "9"], 1),
    ];
    for (command, code) in commands {
        let (said, exit, took) = says(&arena, command);
        assert_eq!(exit, Some(code), "{command:?}: {said}");
        assert!(said.contains(&named) && said.contains("/x"), "{command:?}: {said}");
        assert!(said.contains(&format!("kill -CONT {}", holder.0.id())), "{command:?}: {said}");
        assert!(took.busy < Duration::from_secs(3) || command[0] == "doctor", "{command:?} took {took:?}");
    }
    let (overview, ..) = says(&arena, &[]);
    assert!(overview.contains(&named) && overview.contains("next: `tmux-janitor doctor`"), "{overview}");
    drop(holder);
    let (said, exit, _) = says(&arena, &["sweep"]);
    assert_eq!(exit, Some(0), "{said}");
    let (said, exit, _) = says(&arena, &["status"]);
    assert!(exit == Some(0) && !said.contains("held"), "{said}");
}

/// Nobody knows how long it was held before: it is told after it was seen twice.
#[test]
fn a_holder_that_runs_is_named_when_it_was_seen_twice() {
    let arena = Arena::new();
    let holder = Holder::of(&arena.path("x.lock"));
    let (said, exit, took) = says(&arena, &["status"]);
    assert!(exit == Some(1) && said.contains(&holder.named("running")), "{said}");
    assert!(took.real >= Duration::from_secs(3), "it was seen once in {took:?}");
}

/// The kernel gives out its list of locks in pages and counts: where many come and go, one reading misses some.
#[test]
fn a_holder_is_seen_among_many_locks_that_come_and_go() {
    let arena = Arena::new();
    let holder = Holder::of(&arena.path("x.lock"));
    let others = tempfile::tempdir().unwrap();
    let open = |number: u32| File::create(others.path().join(number.to_string())).unwrap();
    let files: Vec<File> = (0..400).map(open).collect();
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let flock = |file: &File, how| rustix::fs::flock(file, how).unwrap();
            while !over.load(Ordering::Relaxed) {
                files.iter().step_by(2).for_each(|file| flock(file, FlockOperation::LockExclusive));
                for file in &files {
                    flock(file, FlockOperation::Unlock);
                }
            }
        });
        let look = || says(&arena, &["status"]);
        let looks: Vec<_> = (0..8).map(|_| threads.spawn(look)).collect();
        let said: Vec<_> = looks.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        for look in said {
            let (said, exit, _) = look.unwrap();
            assert!(exit == Some(1) && said.contains(&holder.named("running")), "{said}");
        }
    });
}

/// A start lets go of its lock while it is looked at: that is how it should be.
#[test]
fn a_start_that_comes_to_its_end_is_not_told_of() {
    let arena = Arena::new();
    let lock = arena.path("x.lock");
    let holder = Holder::of(&lock);
    let ended = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(holder);
    });
    let (said, exit, took) = says(&arena, &["status"]);
    ended.join().unwrap();
    assert!(exit == Some(0) && !said.contains("held"), "{said}");
    assert!(took.busy < Duration::from_secs(3), "it looked for {took:?}");
}

/// The table names who took the lock. tmux's client has ended when its server has it.
#[test]
fn a_lock_that_was_handed_on_is_found_with_who_has_it_now() {
    let arena = Arena::new();
    let lock = arena.path("x.lock");
    // The shell takes the lock, gives it to a child and ends.
    let script = "exec 9>\"$1\"; flock -x 9; sleep 3600 & echo $!";
    let output = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(&lock)
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .stdout(Stdio::from(File::create(arena.path("pid")).unwrap()))
        .status()
        .unwrap();
    assert!(output.success());
    let pid: i32 = fs::read_to_string(arena.path("pid")).unwrap().trim().parse().unwrap();
    let child = Pid::from_raw(pid).unwrap();
    wait::until("it is sleep", || {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n")
    });
    kill_process(child, Signal::STOP).unwrap();
    wait::until("it stops", || {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") T "))
    });
    let (said, exit, _) = says(&arena, &["status"]);
    kill_process(child, Signal::KILL).unwrap();
    assert!(exit == Some(1) && said.contains(&format!("pid {pid} (sleep, stopped)")), "{said}");
}

/// In a PID namespace `/proc/locks` leaves out a lock whose taker has ended.
#[test]
fn in_a_container_a_lock_that_was_handed_on_is_found_too() {
    let arena = Arena::new();
    let script = "
        mount -t tmpfs tmpfs /sys/fs/cgroup
        exec 9>\"$1/x.lock\"; flock -x 9
        sleep 3600 & child=$!
        exec 9>&-
        until grep -q sleep /proc/$child/comm; do sleep 0.01; done
        kill -STOP $child
        until grep -q '^State:.T' /proc/$child/status; do sleep 0.01; done
        result=0; \"$2\" --dir \"$1\" status 2>&1 || result=$?
        echo \"pid $child, exit $result; locks: $(cat /proc/locks)\"
        kill -KILL $child";
    let mut command = wait::in_time("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-euc", script, "sh"]);
    command.arg(arena.dir()).arg(env!("CARGO_BIN_EXE_tmux-janitor")).env("XDG_CONFIG_HOME", "/nonexistent");
    if !Command::new("unshare").args(["--pid", "--mount", "true"]).status().is_ok_and(|end| end.success()) {
        return crate::common::skip::skip("this user may not make namespaces");
    }
    let run = Run::of(&mut command);
    let said = &run.stdout;
    let pid = said.lines().find_map(|line| line.strip_prefix("pid ")?.split_once(", exit 1;")).expect(said).0;
    assert!(said.contains(&format!("held by pid {pid} (sleep, stopped)")), "{said} {}", run.stderr);
    assert!(said.contains("locks: \n") || !said.contains("FLOCK"), "the kernel shows it: {said}");
}

#[test]
fn a_frozen_holder_is_named_at_once() {
    let Some(cgroup) = Cgroup::new() else {
        return crate::common::skip::skip("no cgroup of cgroups(7) version 2 can be made here");
    };
    let arena = Arena::new();
    let holder = Holder::of(&arena.path("x.lock"));
    fs::write(cgroup.0.join("cgroup.procs"), holder.0.id().to_string()).unwrap();
    fs::write(cgroup.0.join("cgroup.freeze"), "1").unwrap();
    wait::until("it is frozen", || {
        fs::read_to_string(cgroup.0.join("cgroup.events")).unwrap().contains("frozen 1")
    });
    let (said, exit, took) = says(&arena, &["status"]);
    fs::write(cgroup.0.join("cgroup.freeze"), "0").unwrap();
    assert!(exit == Some(1) && said.contains(&holder.named("frozen")), "{said}");
    assert!(took.busy < Duration::from_secs(3), "{took:?}");
}

struct Cgroup(PathBuf);

impl Cgroup {
    fn new() -> Option<Self> {
        let folder = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let top = folder.into_iter().find(|folder| folder.join("cgroup.procs").exists())?;
        let path = top.join(format!("janitor-test-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        Some(Self(path)).filter(|cgroup| cgroup.0.join("cgroup.freeze").exists())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        wait::until("the cgroup goes", || fs::remove_dir(&self.0).is_ok() || !self.0.exists());
    }
}
