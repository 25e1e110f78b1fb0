//! The directory of one story, and what each adversary does in it.

use crate::common::arena::{Server, start, tmux};
use crate::common::janitor::{Run, janitor};
use crate::common::wait;
use rustix::fs::Access;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Uid;
use tmux_sockets::witness::Witness;

/// Who acts while the removal stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Adversary {
    /// Starts a server on the label.
    Start,
    /// Two clients at once.
    StartTwice,
    /// Ends the server of the label.
    Kill,
    /// Has a server whose socket was lost make it anew (SIGUSR1), without any lock.
    Recreate,
    /// Deletes whatever stands at the path.
    DeleteSocket,
    /// Deletes the whole directory.
    DeleteDirectory,
    /// Puts a file where the socket was.
    ReplaceByFile,
    /// Takes the start lock and keeps it for the rest of the removal.
    TakeLock,
    /// Leaves a lock file that nobody holds, as a start that was killed.
    LeaveLock,
    /// Sweeps, too.
    SecondJanitor,
    /// Takes the owner's rights on the directory away.
    Chmod,
    /// Makes the directory immutable.
    Immutable,
}

pub(super) const ALL: [Adversary; 12] = [
    Adversary::Start,
    Adversary::StartTwice,
    Adversary::Kill,
    Adversary::Recreate,
    Adversary::DeleteSocket,
    Adversary::DeleteDirectory,
    Adversary::ReplaceByFile,
    Adversary::TakeLock,
    Adversary::LeaveLock,
    Adversary::SecondJanitor,
    Adversary::Chmod,
    Adversary::Immutable,
];

/// A directory with a dead socket `x`, a bystander, and where one is needed a server that lost `x`.
pub(super) struct Scene {
    _parent: tempfile::TempDir,
    pub(super) dir: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) clients: Vec<Child>,
    pub(super) lost: Option<Server>,
    pub(super) locks: Vec<File>,
    pub(super) bystander: UnixListener,
    /// An adversary who deletes everything has deleted the bystander's socket.
    pub(super) bystander_deleted: bool,
}

impl Scene {
    pub(super) fn new(adversaries: &[Adversary]) -> Self {
        let parent = tempfile::Builder::new().prefix("janitor-").tempdir_in("/tmp").unwrap();
        let dir = parent.path().join("d");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        let socket = dir.join("x");
        let lost = adversaries.contains(&Adversary::Recreate).then(|| {
            let server = start(&socket);
            fs::remove_file(&socket).unwrap();
            server
        });
        drop(UnixListener::bind(&socket).unwrap());
        wait::until("x is dead", || UnixStream::connect(&socket).is_err());
        let bystander = UnixListener::bind(dir.join("y")).unwrap();
        let (clients, locks) = (Vec::new(), Vec::new());
        Self { _parent: parent, dir, socket, clients, lost, locks, bystander, bystander_deleted: false }
    }

    /// Whether the bystander is reached at its path.
    pub(super) fn bystander_stands(&self) -> bool {
        UnixStream::connect(self.dir.join("y")).is_ok() && self.bystander.accept().is_ok()
    }

    /// A client that is to make a session; it may have to wait for us.
    pub(super) fn client(&mut self) {
        let mut command = tmux(&self.socket);
        command.args(["new-session", "-d", "-P", "-F", "#{pid}", "sleep 3600"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let call = format!("/proc/{}/syscall", child.id());
        wait::until("the client is done or waits for a lock", || {
            let waits = fs::read_to_string(&call).is_ok_and(|call| {
                [libc::SYS_openat, libc::SYS_flock]
                    .iter()
                    .any(|number| call.starts_with(&format!("{number} ")))
            });
            waits || child.try_wait().unwrap().is_some()
        });
        self.clients.push(child);
    }

    pub(super) fn open_lock(&self) -> std::io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NONBLOCK);
        options.open(self.socket.with_extension("lock"))
    }

    pub(super) fn act(&mut self, adversary: Adversary) {
        match adversary {
            Adversary::Start => self.client(),
            Adversary::StartTwice => {
                self.client();
                self.client();
            }
            Adversary::Kill => kill_servers_of(&self.socket),
            Adversary::Recreate => {
                if let Some(server) = self.lost.as_ref().filter(|server| server.is_alive()) {
                    server.signal(Signal::USR1);
                    // Where the directory is gone or cannot be written there is nothing to wait for.
                    let possible = !is_immutable(&self.dir)
                        && rustix::fs::access(&self.dir, Access::WRITE_OK | Access::EXEC_OK).is_ok();
                    let begun = Instant::now();
                    wait::until("the server has its socket anew", || {
                        // A start that was under way can have taken the name right after it, as tmux does.
                        let is_late = begun.elapsed() > Duration::from_secs(3);
                        let answers = pid_at(&self.socket);
                        !possible || answers == Some(server.pid) || (is_late && answers.is_some())
                    });
                }
            }
            Adversary::DeleteSocket => drop(fs::remove_file(&self.socket)),
            Adversary::DeleteDirectory => {
                set_immutable(&self.dir, false);
                // Nobody else acts now who could harm it. A start that makes a file meanwhile ends the deletion half-way.
                let stood = self.bystander_stands();
                drop(fs::remove_dir_all(&self.dir));
                self.bystander_deleted |= stood && !self.bystander_stands();
            }
            Adversary::ReplaceByFile => {
                let _ = fs::remove_file(&self.socket);
                let _ = fs::write(&self.socket, "a file");
            }
            Adversary::LeaveLock => drop(self.open_lock()),
            Adversary::TakeLock => {
                if let Ok(lock) = self.open_lock() {
                    if rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok()
                    {
                        self.locks.push(lock);
                    }
                }
            }
            Adversary::SecondJanitor => {
                let run = Run::of(janitor(&self.dir).arg("sweep"));
                assert!(matches!(run.code, Some(0 | 1)), "{:?} {}", run.code, run.stderr);
            }
            Adversary::Chmod => drop(fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o000))),
            Adversary::Immutable => set_immutable(&self.dir, true),
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        set_immutable(&self.dir, false);
        // Not those of the bystander: a child of the other thread, between fork and exec, has it open.
        for pid in listeners_of(&self.socket) {
            drop(Server::try_of(pid));
        }
    }
}

pub(super) fn set_immutable(dir: &Path, on: bool) {
    let flag = if on { "+i" } else { "-i" };
    let _ = Command::new("chattr").arg(flag).arg(dir).stderr(Stdio::null()).status();
}

pub(super) fn is_immutable(dir: &Path) -> bool {
    let output = Command::new("lsattr").arg("-d").arg(dir).output();
    output.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().contains('i')
    })
}

/// The tmux servers that are bound somewhere under a folder, whether they can be reached or not. Their pids:
/// a [`Server`] that is dropped ends, and who counts the lost may not end them.
pub(super) fn listeners_of(folder: &Path) -> BTreeSet<i32> {
    let uid = rustix::process::getuid().as_raw();
    let mut witness = Witness::new(Uid::new(uid));
    witness.refresh();
    let sockets =
        witness.table().iter().filter(|bound| bound.name.starts_with(folder)).map(|bound| bound.socket);
    let holders = tmux_sockets::kernel::Processes::open().unwrap().holders(Uid::new(uid), &sockets.collect());
    let me = i32::try_from(std::process::id()).unwrap();
    holders.into_values().map(Pid::raw).filter(|pid| *pid != me).collect()
}

pub(super) fn kill_servers_of(socket: &Path) {
    for server in listeners_of(socket).into_iter().filter_map(Server::try_of) {
        server.signal(Signal::KILL);
        server.wait_for_end();
    }
}

/// The server that answers at a path.
pub(super) fn pid_at(socket: &Path) -> Option<i32> {
    let output = tmux(socket).args(["display-message", "-p", "#{pid}"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}
