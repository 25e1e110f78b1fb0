//! A machine's shared places for one test: `/tmp`, `/run/user` and `/etc/passwd` of its own, in a mount
//! namespace of the calling thread, full of users who trust each other as little as real ones do.

use crate::common::arena::{self, Server};
use crate::common::janitor::{Run, bare};
use crate::common::skip::skip;
use crate::common::wait;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, chown};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Users of tests that run at the same time are different ones: their servers are seen by all, and what they do to their own
/// processes reaches everybody's. As far as can be, those of other test programs, too.
static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(70_000 + std::process::id() % 30 * 1_000));

/// One user without a home, or with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User(pub(crate) u32);

/// The shared places. The thread that made them is the only one that sees them.
#[derive(Debug)]
pub(crate) struct Hall {
    held: Vec<OwnedFd>,
    servers: Vec<Server>,
    dir: Option<tempfile::TempDir>,
}

/// What is our own, and where.
const PLACES: [(&str, &str); 3] = [("tmp", "/tmp"), ("user", "/run/user"), ("passwd", "/etc/passwd")];

impl Drop for Hall {
    fn drop(&mut self) {
        self.servers.clear();
        for (_, place) in PLACES {
            // With everything that was mounted in it.
            let _ = nix::mount::umount2(place, nix::mount::MntFlags::MNT_DETACH);
        }
        let removed = self.dir.take().map(tempfile::TempDir::close);
        assert!(std::thread::panicking() || removed.is_none_or(|removed| removed.is_ok()), "litter is left");
    }
}

/// A process of a test; it is killed when the test ends.
#[derive(Debug)]
pub(crate) struct Attacker(Child);

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl User {
    /// One whom no other test has, nor the nine numbers that follow.
    pub(crate) fn new() -> Self {
        Self(NEXT.fetch_add(10, Ordering::Relaxed))
    }

    /// The socket directory's path.
    pub(crate) fn dir(self) -> PathBuf {
        PathBuf::from(format!("/tmp/tmux-{}", self.0))
    }

    pub(crate) fn path(self, label: impl AsRef<OsStr>) -> PathBuf {
        self.dir().join(label.as_ref())
    }

    /// The socket directory, made as tmux makes it.
    #[track_caller]
    pub(crate) fn with_dir(self) -> Self {
        make_dir(&self.dir(), self);
        self
    }

    /// An account with a home in `/tmp/home`.
    #[track_caller]
    pub(crate) fn with_account(self) -> Self {
        let home = self.home();
        fs::create_dir_all("/tmp/home").unwrap();
        make_dir(&home, self);
        let line = format!("u{0}:x:{0}:{0}::{1}:/bin/sh\n", self.0, home.display());
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        fs::write("/etc/passwd", passwd + &line).unwrap();
        self
    }

    pub(crate) fn home(self) -> PathBuf {
        PathBuf::from(format!("/tmp/home/{}", self.0))
    }

    /// The place of the configuration, its folders made.
    #[track_caller]
    pub(crate) fn config(self) -> PathBuf {
        let folder = self.home().join(".config/tmux-janitor");
        fs::create_dir_all(&folder).unwrap();
        folder.join("config.toml")
    }

    /// A dead socket.
    #[track_caller]
    pub(crate) fn dead(self, label: impl AsRef<OsStr>) {
        dead_at(&self.path(label), self);
    }

    /// Who answers on a live socket.
    #[track_caller]
    pub(crate) fn pid_on(self, label: &str) -> i32 {
        arena::pid_of(&self.path(label))
    }

    /// A command as this user.
    pub(crate) fn command(self, program: &OsStr) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LC_ALL", "C.UTF-8").env("HOME", "/nonexistent");
        command.uid(self.0).gid(self.0).current_dir("/").stdin(Stdio::null());
        command
    }

    /// Starts one of the programs in [`super::attacks`] as this user.
    #[track_caller]
    pub(crate) fn attack(self, attack: &str, target: &str) -> Attacker {
        let mut command = self.command(OsStr::new("/proc/self/exe"));
        command.args(["--ignored", "--exact", &format!("users::attacks::{attack}")]).env("TARGET", target);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let ready = PathBuf::from(format!("/tmp/ready-{}", self.0));
        let attacker = Attacker(command.env("READY", &ready).spawn().unwrap());
        wait::until("the attacker is at it", || ready.exists());
        attacker
    }

    /// The names in the socket directory.
    #[track_caller]
    pub(crate) fn names(self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            // What was done; no socket.
            .filter(|name| name != ".tmux-janitor-record")
            .collect();
        names.sort();
        names
    }
}

impl Hall {
    /// `None`, after a loud skip, without root.
    pub(crate) fn open() -> Option<Self> {
        if !rustix::process::getuid().is_root() {
            skip("needs root: it makes users and a mount namespace");
            return None;
        }
        unshare(CloneFlags::CLONE_NEWNS).expect("root may make a mount namespace");
        let nothing: Option<&str> = None;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).unwrap();
        // One file system for all tests: another /tmp with the same inode numbers, in a namespace where they
        // cannot look, makes dead sockets look alive.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::copy("/etc/passwd", dir.path().join("passwd")).unwrap();
        for (name, mode) in [("tmp", 0o1777), ("user", 0o755)] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        for (name, place) in PLACES {
            if Path::new(place).exists() {
                mount(Some(&dir.path().join(name)), place, nothing, MsFlags::MS_BIND, nothing).unwrap();
            }
        }
        Some(Self { held: Vec::new(), servers: Vec::new(), dir: Some(dir) })
    }

    /// A listener of a user who never answers. Sockets are known by their files: that root's process holds
    /// it does not matter.
    #[track_caller]
    pub(crate) fn listening(&mut self, user: User, label: impl AsRef<OsStr>) {
        let socket = bind(&user.path(label), user);
        rustix::net::listen(&socket, 5).unwrap();
        self.held.push(socket);
    }

    /// A real tmux server of a user, and its pid.
    #[track_caller]
    pub(crate) fn live(&mut self, user: User, label: &str) -> i32 {
        self.live_at(user, &user.path(label))
    }

    /// The same at any path.
    #[track_caller]
    pub(crate) fn live_at(&mut self, user: User, path: &Path) -> i32 {
        let output = user
            .command(&arena::tmux_program())
            .args(["-f", "/dev/null", "-S"])
            .arg(path)
            .args(["new-session", "-d", "sleep 3600", ";", "display-message", "-p", "#{pid}"])
            .output()
            .unwrap();
        let pid = String::from_utf8_lossy(&output.stdout).trim().parse();
        let pid = pid.unwrap_or_else(|_| panic!("tmux did not start: {output:?}"));
        self.servers.push(Server::of(pid));
        pid
    }

    /// A dead socket that a real server has left.
    #[track_caller]
    pub(crate) fn died(&mut self, user: User, label: &str) {
        self.live(user, label);
        let server = self.servers.pop().unwrap();
        server.signal(rustix::process::Signal::KILL);
        server.wait_for_end();
    }
}

/// `tmux-janitor COMMAND --all-users ARGUMENT...` as root.
pub(crate) fn all_users(command: &str, arguments: &[&str]) -> Run {
    Run::of(bare().arg(command).arg("--all-users").args(arguments))
}

/// A directory of a user, 0700.
#[track_caller]
pub(crate) fn make_dir(path: &Path, user: User) {
    fs::create_dir(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    give(path, user);
}

/// Makes something a user's.
#[track_caller]
pub(crate) fn give(path: &Path, user: User) {
    std::os::unix::fs::lchown(path, Some(user.0), Some(user.0)).unwrap();
}

/// A dead socket anywhere.
#[track_caller]
pub(crate) fn dead_at(path: &Path, user: User) {
    let socket = bind(path, user);
    let number = rustix::fs::fstat(&socket).unwrap().st_ino;
    drop(socket);
    // A child of another test, between fork and exec, may hold it a moment longer.
    wait::until_none(&number.to_string());
}

#[track_caller]
fn bind(path: &Path, user: User) -> OwnedFd {
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    chown(path, Some(Uid::from_raw(user.0)), Some(Gid::from_raw(user.0))).unwrap();
    socket
}

/// The error of a directory in a JSON result.
pub(crate) fn error_of<'a>(json: &'a Value, path: &Path) -> Option<&'a str> {
    let directories = json["directories"].as_array()?;
    let mut same =
        directories.iter().filter(|directory| Path::new(directory["path"].as_str().unwrap()) == path);
    same.next()?["error"].as_str()
}

/// What is said of a stray in a JSON result.
pub(crate) fn stray_of<'a>(json: &'a Value, path: &Path) -> Option<&'a str> {
    let strays = json["strays"].as_array()?;
    let mut same = strays.iter().filter(|stray| Path::new(stray["path"].as_str().unwrap()) == path);
    same.next()?["reason"].as_str()
}

/// The paths that a sweep has removed.
pub(crate) fn removed(json: &Value) -> Vec<String> {
    let sockets = json["sockets"].as_array().unwrap();
    let removed = sockets.iter().filter(|socket| socket["outcome"] == "removed");
    let mut paths: Vec<_> = removed.map(|socket| socket["path"].as_str().unwrap().to_owned()).collect();
    paths.sort();
    paths
}

/// Everything of a folder that would change if anybody touched it: names, inodes, owners, modes, times.
#[track_caller]
pub(crate) fn print_of(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            // What a run keeps for itself is nothing of theirs.
            if path.ends_with(".tmux-janitor-record") {
                continue;
            }
            let about = fs::symlink_metadata(&path).unwrap();
            if about.is_dir() {
                folders.push(path.clone());
            }
            let time = (about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec());
            lines.push(format!(
                "{} {} {} {:o} {time:?}",
                path.display(),
                about.ino(),
                about.uid(),
                about.mode()
            ));
        }
    }
    lines.sort();
    lines
}
