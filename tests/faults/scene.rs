//! A socket directory with a live server, two dead sockets, an orphaned lock and a bystander, and what must
//! hold in it afterwards.

use crate::common::arena::{Server, processes_of, tmux};
use crate::common::janitor::janitor;
use crate::common::wait;
use crate::strace::{quiet, run};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What stays.
const STAYS: [&str; 2] = ["live", "bystander"];

pub(crate) struct Scene {
    folder: tempfile::TempDir,
    pub(crate) dir: PathBuf,
    pub(crate) live: Server,
    bystander: UnixListener,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("faults-").tempdir_in("/tmp").unwrap();
        let dir = folder.path().join("d");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        let live = start(&dir.join("live")).unwrap();
        let bystander = UnixListener::bind(dir.join("bystander")).unwrap();
        bystander.set_nonblocking(true).unwrap();
        Self { folder, dir, live, bystander }
    }

    /// Room for what runs write, outside the socket directory.
    pub(crate) fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Sets everything up again that a sweep clears.
    pub(crate) fn set(&self) {
        let _quiet = quiet();
        for name in ["dead", "dead too"] {
            let path = self.dir.join(name);
            if fs::symlink_metadata(&path).is_err() {
                drop(UnixListener::bind(&path).unwrap());
            }
            assert!(UnixStream::connect(&path).is_err(), "{name} is dead");
        }
        let mut lock = fs::OpenOptions::new();
        drop(lock.write(true).create(true).truncate(false).mode(0o600).open(self.dir.join("orphan.lock")));
    }

    /// The names in it.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let names = fs::read_dir(&self.dir).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The live server and the bystander are where they were.
    pub(crate) fn is_unharmed(&self) -> Result<(), String> {
        let pid = pid_at(&self.dir.join("live"));
        if pid != Some(self.live.pid) {
            return Err(format!("the live server is lost: {:?} answers, not {}", pid, self.live.pid));
        }
        let stands = UnixStream::connect(self.dir.join("bystander")).is_ok();
        while let Ok((client, _)) = self.bystander.accept() {
            drop(client);
        }
        if stands { Ok(()) } else { Err("the bystander was harmed".to_owned()) }
    }

    /// Every server that was started here answers at its path, the one called `label` among them if there
    /// is one, which is returned. Waits for clients that are still at it.
    pub(crate) fn census(&self, label: &str) -> Result<Option<Server>, String> {
        wait::until("the clients are done", || processes_of(&self.dir).1.is_empty());
        let started = Instant::now();
        loop {
            let pid = pid_at(&self.dir.join(label));
            let reached: BTreeSet<i32> = pid.into_iter().chain([self.live.pid]).collect();
            let servers = processes_of(&self.dir).0;
            if servers == reached {
                return Ok(pid.and_then(Server::try_of));
            }
            // A process that a server forks for a pane is called like it until its exec.
            if started.elapsed() > wait::DEADLINE {
                for lost in servers.difference(&reached).filter_map(|pid| Server::try_of(*pid)) {
                    drop(lost);
                }
                return Err(format!("of the servers {servers:?} only {reached:?} are reached"));
            }
        }
    }

    /// One sweep that nobody disturbs clears everything, and then tmux starts on a label.
    pub(crate) fn recovers(&self) -> Result<(), String> {
        let before = self.names();
        let swept = run(janitor(&self.dir).args(["sweep", "--json"]));
        let left: Vec<String> =
            self.names().into_iter().filter(|name| !STAYS.contains(&name.as_str())).collect();
        if swept.status.code() != Some(0) || !left.is_empty() {
            return Err(format!("the next sweep leaves {left:?} of {before:?}: {swept:?}"));
        }
        self.is_unharmed().map_err(|harm| format!("after the next sweep {harm}"))?;
        let server = start(&self.dir.join("dead"));
        let server = server.map_err(|error| format!("after the next sweep {error}"))?;
        server.signal(Signal::KILL);
        server.wait_for_end();
        // The process that it forked for its pane holds the socket until its exec.
        wait::until("its socket is dead", || UnixStream::connect(self.dir.join("dead")).is_err());
        let names = self.names();
        if names.iter().any(|name| name.contains("lock")) {
            return Err(format!("a start leaves a lock: {names:?}"));
        }
        Ok(())
    }
}

/// Starts a server with a session.
pub(crate) fn start(socket: &Path) -> Result<Server, String> {
    let session = ["new-session", "-d", "-P", "-F", "#{pid}", "sleep 3600"];
    let output = run(tmux(socket).args(session));
    let pid = String::from_utf8_lossy(&output.stdout).trim().parse::<i32>().ok();
    let server = pid.and_then(Server::try_of).ok_or_else(|| format!("tmux does not start: {output:?}"))?;
    if pid_at(socket) == pid { Ok(server) } else { Err(format!("{} is not reached", socket.display())) }
}

/// Which server answers at a path.
pub(crate) fn pid_at(socket: &Path) -> Option<i32> {
    let output = run(tmux(socket).args(["display-message", "-p", "#{pid}"]));
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}
