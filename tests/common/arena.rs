//! A folder full of sockets of every kind, real tmux servers behind the live ones.
//!
//! Dropping an arena ends its servers, each by its pid, and removes the folder.

use super::wait;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, Signal};

/// A tmux server of a test.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) pid: i32,
    pidfd: OwnedFd,
    /// What it had open at first: its children have it, too, until they exec.
    sockets: Vec<String>,
}

impl Server {
    /// Holds on to the process `pid`.
    #[track_caller]
    pub(crate) fn of(pid: i32) -> Self {
        Self::try_of(pid).expect("the server runs")
    }

    /// The same, of a process that may have ended.
    pub(crate) fn try_of(pid: i32) -> Option<Self> {
        let pidfd = rustix::process::pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
        let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let number =
            |target: PathBuf| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
        Some(Self { pid, pidfd, sockets: targets.filter_map(number).collect() })
    }

    /// Sends a signal to exactly that process.
    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended by itself.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&self) -> bool {
        let mut fds = [rustix::event::PollFd::new(&self.pidfd, rustix::event::PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready == 0)
    }

    /// Waits until it is gone, and nobody has its socket any more: a tmux that was built with systemd asks it for a scope
    /// between the fork of a pane and its exec.
    #[track_caller]
    pub(crate) fn wait_for_end(&self) {
        wait::until("a server ends", || !self.is_alive());
        self.sockets.iter().for_each(|socket| wait::until_none(socket));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        self.signal(Signal::KILL);
        let mut fds = [rustix::event::PollFd::new(&self.pidfd, rustix::event::PollFlags::IN)];
        let while_ = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
        let _ = rustix::event::poll(&mut fds, Some(&while_));
    }
}

/// A process that takes longer for a system call.
#[derive(Debug)]
pub(crate) struct Slowed(Child);

impl Slowed {
    /// A server that takes 0.3 s longer to make a socket.
    pub(crate) fn server(server: &Server) -> Option<Self> {
        Self::process(server.pid, "bind", Duration::from_millis(300))
    }

    /// Slows a process down. `None`, and said: strace is not here.
    pub(crate) fn process(pid: i32, call: &str, longer: Duration) -> Option<Self> {
        let mut strace = Command::new("strace");
        let inject = format!("inject={call}:delay_enter={}", longer.as_micros());
        strace.args(["-qq", "-f", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]);
        let Ok(strace) = strace.arg("-p").arg(pid.to_string()).spawn() else {
            super::skip::skip("needs strace: it makes a process slow");
            return None;
        };
        wait::until("strace holds the process and lets it sleep", || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            !status.contains("TracerPid:\t0\n") && status.contains("State:\tS")
        });
        Some(Self(strace))
    }
}

impl Drop for Slowed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The tmux that the tests use.
pub(crate) fn tmux_program() -> OsString {
    std::env::var_os("TMUX_BIN").unwrap_or_else(|| "tmux".into())
}

/// tmux on a socket, without the user's configuration or environment.
pub(crate) fn tmux(socket: &Path) -> Command {
    let mut command = Command::new(tmux_program());
    command.arg("-f").arg("/dev/null").arg("-S").arg(socket);
    command.env_remove("TMUX").env_remove("TMUX_PANE").env_remove("TMUX_TMPDIR").env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null());
    command
}

/// Starts a server with one session on a socket; a failed start fails the test.
#[track_caller]
pub(crate) fn start(socket: &Path) -> Server {
    let output = tmux(socket).args(["new-session", "-d", "-s", "test", "sleep 3600"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "tmux did not start: {output:?}");
    Server::of(pid_of(socket))
}

/// The processes that name a folder in their command line: tmux servers, and others.
pub(crate) fn processes_of(dir: &Path) -> (BTreeSet<i32>, BTreeSet<i32>) {
    let dir = dir.to_str().unwrap().as_bytes();
    let names_it = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(dir.len()).any(|part| part == dir)
    };
    let is_server = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "tmux: server")
    };
    let processes = fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(names_it).partition(is_server)
}

/// Waits until no process names a folder in its command line: no server, and no client that may still start one.
#[track_caller]
pub(crate) fn until_left(dir: &Path) {
    wait::until("all who name the folder have ended", || {
        processes_of(dir) == <(BTreeSet<_>, BTreeSet<_>)>::default()
    });
}

/// The pid of the server on a socket, asked from the server itself.
#[track_caller]
pub(crate) fn pid_of(socket: &Path) -> i32 {
    let output = tmux(socket).args(["display-message", "-p", "#{pid}"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    text.parse().unwrap_or_else(|_| panic!("no pid from {}: {output:?}", socket.display()))
}

/// A folder of sockets.
#[derive(Debug)]
pub(crate) struct Arena {
    servers: Vec<(OsString, Server)>,
    listeners: Vec<(OsString, UnixListener)>,
    others: Vec<OwnedFd>,
    dir: tempfile::TempDir,
    #[expect(dead_code, reason = "held for what its drop does")]
    company: Company,
}

/// A tmux server somewhere else. A janitor that finds the only server of the machine missing from its
/// table believes nothing; without company, that could be the server of another test.
#[derive(Debug)]
struct Company {
    _server: Server,
    _dir: tempfile::TempDir,
}

impl Company {
    fn new() -> Self {
        let dir =
            tempfile::Builder::new().prefix("company-").tempdir_in("/tmp").expect("a folder for the test");
        Self { _server: start(&dir.path().join("s")), _dir: dir }
    }
}

impl Arena {
    /// An empty one, 0700.
    pub(crate) fn new() -> Self {
        Self::inside(&std::env::temp_dir())
    }

    /// An empty one on the file system of `parent`.
    #[track_caller]
    pub(crate) fn inside(parent: &Path) -> Self {
        super::usual_umask();
        let dir =
            tempfile::Builder::new().prefix("janitor-").tempdir_in(parent).expect("a folder for the test");
        let company = Company::new();
        Self { servers: Vec::new(), listeners: Vec::new(), others: Vec::new(), dir, company }
    }

    /// Its path.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The path of a name in it.
    pub(crate) fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.dir.path().join(name.as_ref())
    }

    /// A live server with a session.
    #[track_caller]
    pub(crate) fn live(mut self, label: impl AsRef<OsStr>) -> Self {
        let server = start(&self.path(&label));
        self.servers.push((label.as_ref().to_owned(), server));
        self
    }

    /// A live server without any session.
    #[track_caller]
    pub(crate) fn without_session(mut self, label: &str) -> Self {
        let path = self.path(label);
        let done = tmux(&path).args(["start-server", ";", "set-option", "-g", "exit-empty", "off"]).output();
        assert!(done.is_ok_and(|done| done.status.success()), "a server without sessions");
        self.servers.push((label.into(), Server::of(pid_of(&path))));
        self
    }

    /// A live server that is stopped (SIGSTOP).
    #[track_caller]
    pub(crate) fn stopped(self, label: &str) -> Self {
        let arena = self.live(label);
        arena.server(label).signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", arena.server(label).pid);
        wait::until("the server stops", || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
        arena
    }

    /// A dead socket: its server was ended by a signal, or by kill-server where none is given.
    #[track_caller]
    pub(crate) fn dead_by(self, label: impl AsRef<OsStr>, signal: Option<Signal>) -> Self {
        let path = self.path(&label);
        let server = start(&path);
        match signal {
            Some(signal) => server.signal(signal),
            None => drop(tmux(&path).arg("kill-server").output()),
        }
        server.wait_for_end();
        wait::until_closed(&path);
        assert!(fs::symlink_metadata(&path).is_ok(), "tmux leaves its socket behind");
        self
    }

    /// A dead socket, without the expense of a tmux.
    #[track_caller]
    pub(crate) fn dead(self, label: impl AsRef<OsStr>) -> Self {
        wait::bring_dead(self.path(label));
        self
    }

    /// Bound, but nobody listens.
    #[track_caller]
    pub(crate) fn bound_only(mut self, label: &str) -> Self {
        let socket = self.bind(OsStr::new(label), SocketType::STREAM);
        self.others.push(socket);
        self
    }

    /// A bound datagram socket.
    #[track_caller]
    pub(crate) fn datagram(mut self, label: &str) -> Self {
        self.others.push(UnixDatagram::bind(self.path(label)).unwrap().into());
        self
    }

    /// A listener that is no tmux; it counts who connects (see [`Arena::connections`]).
    #[track_caller]
    pub(crate) fn listener(mut self, label: &str) -> Self {
        let listener = UnixListener::bind(self.path(label)).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.listeners.push((label.into(), listener));
        self
    }

    /// A listener whose backlog is full.
    #[track_caller]
    pub(crate) fn full(mut self, label: &str) -> Self {
        let socket = self.bind(OsStr::new(label), SocketType::STREAM);
        rustix::net::listen(&socket, 1).unwrap();
        let address = SocketAddrUnix::new(self.path(label)).unwrap();
        loop {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let client =
                rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            let full = rustix::net::connect(&client, &address) == Err(rustix::io::Errno::AGAIN);
            self.others.push(client);
            if full {
                break;
            }
        }
        self.others.push(socket);
        self
    }

    /// How many connections a listener has had.
    pub(crate) fn connections(&self, label: &str) -> usize {
        let listener = self.listeners.iter().find(|(name, _)| name == label);
        let Some((_, listener)) = listener else { return 0 };
        let mut count = 0;
        while listener.accept().map(|(client, _): (UnixStream, _)| client).is_ok() {
            count += 1;
        }
        count
    }

    /// The server of a label.
    #[track_caller]
    pub(crate) fn server(&self, label: impl AsRef<OsStr>) -> &Server {
        let label = label.as_ref();
        let found = self.servers.iter().find(|(name, _)| name == label);
        &found.unwrap_or_else(|| panic!("no server {}", label.to_string_lossy())).1
    }

    /// Whether every server still runs and answers on its socket under its own pid.
    #[track_caller]
    pub(crate) fn assert_reachable(&self, label: &str) {
        assert_eq!(pid_of(&self.path(label)), self.server(label).pid, "{label} answers with another pid");
    }

    /// The names in the folder, sorted.
    pub(crate) fn names(&self) -> Vec<OsString> {
        let mut names: Vec<_> =
            fs::read_dir(self.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    /// Whether a name is there.
    pub(crate) fn has(&self, name: impl AsRef<OsStr>) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok()
    }

    /// Whether somebody listens at a name. tmux binds its socket first, and listens a moment later.
    pub(crate) fn listens_at(&self, name: impl AsRef<OsStr>) -> bool {
        UnixStream::connect(self.path(name)).is_ok()
    }

    /// Binds a socket; through the folder's handle, so that any name fits.
    #[track_caller]
    fn bind(&self, label: &OsStr, kind: SocketType) -> OwnedFd {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
            .expect("a socket");
        let short = tempfile::Builder::new().prefix("b").rand_bytes(6).tempdir_in("/tmp").unwrap();
        let link = short.path().join("d");
        std::os::unix::fs::symlink(self.dir(), &link).unwrap();
        let address = SocketAddrUnix::new(link.join(label)).expect("a name that fits");
        rustix::net::bind(&socket, &address)
            .unwrap_or_else(|error| panic!("bind {}: {error}", label.to_string_lossy()));
        socket
    }
}
