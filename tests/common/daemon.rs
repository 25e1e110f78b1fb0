//! The daemon, and what it said.

use super::janitor::{janitor, with};
use super::wait;
use rustix::process::{Pid, Signal};
use std::fs;
use std::net::Shutdown;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A running `tmux-janitor watch`.
pub(crate) struct Daemon {
    child: Child,
    room: tempfile::TempDir,
    manager: Manager,
    told: Vec<String>,
}

/// The service manager's ear. It reads all the time, as systemd does: the queue holds a few messages only.
struct Manager {
    socket: UnixDatagram,
    heard: Receiver<String>,
}

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        let (ear, (tell, heard)) = (socket.try_clone().unwrap(), channel());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = ear.recv(&mut buffer) {
                let _ = tell.send(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
        });
        Self { socket, heard }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // Ends the thread.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Daemon {
    /// Watches `dir`; ready when this returns.
    #[track_caller]
    pub(crate) fn watching(dir: &Path) -> Self {
        Self::of(with(janitor(dir), ["-v", "watch"]))
    }

    /// The same with this configuration.
    #[track_caller]
    pub(crate) fn configured(dir: &Path, config: &str) -> Self {
        let mut daemon = Self::begin(janitor(dir), |command, room| {
            fs::write(room.join("config.toml"), config).unwrap();
            command.arg("--config").arg(room.join("config.toml")).args(["-v", "watch"]);
        });
        daemon.until_told("READY=1");
        daemon
    }

    /// Runs this command; ready when this returns.
    #[track_caller]
    pub(crate) fn of(command: Command) -> Self {
        let mut daemon = Self::begin(command, |_, _| {});
        daemon.until_told("READY=1");
        daemon
    }

    /// Runs a command as the service manager would.
    #[track_caller]
    pub(crate) fn begin(mut command: Command, prepare: impl FnOnce(&mut Command, &Path)) -> Self {
        let room = tempfile::Builder::new().prefix("manager-").tempdir_in("/tmp").unwrap();
        let manager = Manager::at(&room.path().join("notify"));
        prepare(&mut command, room.path());
        let log = fs::File::create(room.path().join("log")).unwrap();
        let child = command
            .env("NOTIFY_SOCKET", room.path().join("notify"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        Self { child, room, manager, told: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The configuration file of [`Daemon::configured`].
    pub(crate) fn config(&self) -> PathBuf {
        self.room.path().join("config.toml")
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.room.path().join("log")).unwrap()).into_owned()
    }

    /// How many lines of the log contain `part`.
    pub(crate) fn logged(&self, part: &str) -> usize {
        self.log().lines().filter(|line| line.contains(part)).count()
    }

    /// What it has told the service manager so far.
    pub(crate) fn told(&mut self) -> &[String] {
        self.told.extend(self.manager.heard.try_iter());
        &self.told
    }

    /// Forgets what it has told.
    pub(crate) fn forget(&mut self) {
        self.told();
        self.told.clear();
    }

    /// Waits until it tells the service manager `part`.
    #[track_caller]
    pub(crate) fn until_told(&mut self, part: &str) {
        let started = Instant::now();
        while !self.told().iter().any(|message| message.contains(part)) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < wait::DEADLINE,
                "{part} was never told ({ended:?}): {:?}\n{}",
                self.told,
                self.log()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Has it look at everything, and waits until it has.
    #[track_caller]
    pub(crate) fn rescan(&mut self) {
        self.forget();
        self.signal(Signal::HUP);
        self.until_told("READY=1");
    }

    /// Stops it (SIGSTOP), and waits until it is.
    #[track_caller]
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.pid());
        wait::until("the daemon stops", || fs::read_to_string(&stat).unwrap().contains(") T "));
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it; it must end well. What it has logged.
    #[track_caller]
    pub(crate) fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let status = ended(&mut self.child);
        assert_eq!(status.code(), Some(0), "{status:?} {}", self.log());
        self.until_told_after_end("STOPPING=1");
        self.log()
    }

    #[track_caller]
    fn until_told_after_end(&mut self, part: &str) {
        wait::until(&format!("{part} is heard"), || self.told().iter().any(|told| told.contains(part)));
    }

    /// A line of `/proc/PID/status`.
    #[track_caller]
    pub(crate) fn status(&self, key: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Waits until it has rested for a whole second: whatever it had in mind to do soon is done.
    #[track_caller]
    pub(crate) fn until_at_rest(&self) {
        let mut last = (self.status("voluntary_ctxt_switches"), Instant::now());
        wait::until("the daemon rests", || {
            let switches = self.status("voluntary_ctxt_switches");
            if switches != last.0 {
                last = (switches, Instant::now());
            }
            last.1.elapsed() > Duration::from_secs(1)
        });
    }

    /// The processes whose ends it waits for.
    pub(crate) fn waits_for(&self) -> Vec<i32> {
        pidfds(self.pid())
    }

    /// How many files it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the daemon's log:\n{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processes that a process has pidfds of (`/proc/PID/fdinfo`); -1 for one that was reaped.
pub(crate) fn pidfds(pid: u32) -> Vec<i32> {
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().map_while(Result::ok);
    let texts = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
    texts
        .filter_map(|text| text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok()))
        .collect()
}

/// Waits for a child's end.
#[track_caller]
pub(crate) fn ended(child: &mut Child) -> ExitStatus {
    let mut status = ExitStatus::from_raw(0);
    wait::until("the program ends", || child.try_wait().unwrap().inspect(|ended| status = *ended).is_some());
    status
}

/// Whether a process is told of what happens in a folder (inotify).
pub(crate) fn watches(pid: u32) -> bool {
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let mut infos = infos.map_while(Result::ok).map(|info| fs::read_to_string(info.path()));
    infos.any(|info| info.is_ok_and(|info| info.contains("inotify wd:")))
}
