//! The real removal, stopped at each of its steps in turn, while an adversary acts on the real directory with
//! the real tmux; then two adversaries in a row. Afterwards every live server is reachable at its path,
//! unless an adversary himself took it away, and everything dead goes.

use crate::common::arena::{Server, start, tmux};
use crate::common::janitor::{Run, janitor};
use crate::common::wait;
use rustix::process::Signal;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tmux_sockets::kernel::checkpoint::{self, Checkpoint};
use tmux_sockets::sweep::{Act, Pass, RefuseFar, SpareNothing, Target};
use tmux_sockets::witness::Witness;

/// Who acts while the removal stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Adversary {
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

const ALL: [Adversary; 12] = [
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

const CHECKPOINTS: [Checkpoint; 17] = [
    Checkpoint::Pinned,
    Checkpoint::Listed,
    Checkpoint::LockIn,
    Checkpoint::Locked,
    Checkpoint::TableRead,
    Checkpoint::JudgedDead,
    Checkpoint::Move,
    Checkpoint::Moved,
    Checkpoint::Unlink,
    Checkpoint::PutBack,
    Checkpoint::LockOut,
    Checkpoint::LockAway,
    Checkpoint::LockBack,
    Checkpoint::LockSwap,
    Checkpoint::LockLoose,
    Checkpoint::Rested,
    Checkpoint::LockGone,
];

/// A directory with a dead socket `x`, a bystander, and where one is needed a server that lost `x`.
struct Scene {
    _parent: tempfile::TempDir,
    dir: PathBuf,
    socket: PathBuf,
    clients: Vec<Child>,
    lost: Option<Server>,
    locks: Vec<File>,
    bystander: UnixListener,
    /// An adversary who deletes everything has deleted the bystander's socket.
    bystander_deleted: bool,
}

impl Scene {
    fn new(adversaries: &[Adversary]) -> Self {
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
    fn bystander_stands(&self) -> bool {
        UnixStream::connect(self.dir.join("y")).is_ok() && self.bystander.accept().is_ok()
    }

    /// A client that is to make a session; it may have to wait for us.
    fn client(&mut self) {
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

    fn open_lock(&self) -> std::io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NONBLOCK);
        options.open(self.socket.with_extension("lock"))
    }

    fn act(&mut self, adversary: Adversary) {
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
                    let possible = self.dir.exists() && !is_immutable(&self.dir);
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
                if let Ok(lock) = self.open_lock()
                    && rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok()
                {
                    self.locks.push(lock);
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

fn set_immutable(dir: &Path, on: bool) {
    let flag = if on { "+i" } else { "-i" };
    let _ = Command::new("chattr").arg(flag).arg(dir).stderr(Stdio::null()).status();
}

fn is_immutable(dir: &Path) -> bool {
    let output = Command::new("lsattr").arg("-d").arg(dir).output();
    output.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().contains('i')
    })
}

/// The tmux servers that are bound somewhere under a folder, whether they can be reached or not. Their pids:
/// a [`Server`] that is dropped ends, and who counts the lost may not end them.
fn listeners_of(folder: &Path) -> BTreeSet<i32> {
    let uid = rustix::process::getuid().as_raw();
    let mut witness = Witness::new(uid);
    witness.refresh();
    let sockets =
        witness.table().iter().filter(|bound| bound.name.starts_with(folder)).map(|bound| bound.socket);
    let holders = tmux_sockets::kernel::Processes::open().unwrap().holders(uid, &sockets.collect());
    let me = i32::try_from(std::process::id()).unwrap();
    holders.into_values().filter(|pid| *pid != me).collect()
}

fn kill_servers_of(socket: &Path) {
    for server in listeners_of(socket).into_iter().filter_map(Server::try_of) {
        server.signal(Signal::KILL);
        server.wait_for_end();
    }
}

/// Who acts where, in this order.
type Story = Vec<(Checkpoint, Adversary)>;

/// One removal, stopped where the story says. The checkpoints at which somebody acted.
fn play(story: &Story) -> BTreeSet<Checkpoint> {
    let adversaries: Vec<Adversary> = story.iter().map(|(_, adversary)| *adversary).collect();
    let scene = Rc::new(RefCell::new(Scene::new(&adversaries)));
    let acted = Rc::new(RefCell::new(Vec::new()));
    let (stage, done, mut acts) =
        (Rc::clone(&scene), Rc::clone(&acted), story.clone().into_iter().peekable());
    checkpoint::install(Some(Box::new(move |here| {
        while let Some((at, adversary)) = acts.next_if(|(at, _)| *at == here) {
            stage.borrow_mut().act(adversary);
            done.borrow_mut().push(at);
        }
    })));
    let dir = scene.borrow().dir.clone();
    sweep(&dir);
    checkpoint::install(None);
    let acted = acted.borrow();
    check(&format!("{story:?}"), &mut scene.borrow_mut(), &adversaries[..acted.len()]);
    acted.iter().copied().collect()
}

fn sweep(dir: &Path) {
    let user = rustix::process::getuid().as_raw();
    let pass = Pass { policy: &SpareNothing, far: &RefuseFar, user, act: Act::Remove };
    pass.run(&mut Witness::new(user), &[Target::whole(dir.to_owned())]);
}

fn check(story: &str, scene: &mut Scene, adversaries: &[Adversary]) {
    // The disturbances end, and whoever waited goes on.
    scene.locks.clear();
    set_immutable(&scene.dir, false);
    if scene.dir.exists() {
        fs::set_permissions(&scene.dir, fs::Permissions::from_mode(0o700)).unwrap();
    }
    for mut client in std::mem::take(&mut scene.clients) {
        wait::until(&format!("a client ends: {story}"), || client.try_wait().unwrap().is_some());
    }
    // An adversary who takes a path away himself is not our fault; what came after him is.
    let took_away = |adversary: &Adversary| {
        matches!(
            adversary,
            Adversary::DeleteSocket
                | Adversary::DeleteDirectory
                | Adversary::ReplaceByFile
                | Adversary::Recreate
        )
    };
    let excused = adversaries.iter().any(took_away) && adversaries != [Adversary::Recreate];
    // The server that lost its socket before we came is none of ours, until it has it again.
    let lost =
        scene.lost.as_ref().filter(|_| !adversaries.contains(&Adversary::Recreate)).map(|lost| lost.pid);
    let census = || {
        let mut servers = listeners_of(&scene.socket);
        servers.retain(|pid| Some(*pid) != lost);
        let reached = servers.iter().filter(|pid| is_reached(&scene.socket, **pid)).count();
        (servers.len(), reached)
    };
    let (mut servers, mut reached) = census();
    // The process that a server forks for a pane holds its socket until its exec, also when the server was
    // killed: it goes by itself. A server that was lost stays lost.
    let begun = Instant::now();
    while !excused && reached != servers && begun.elapsed() < wait::DEADLINE {
        (servers, reached) = census();
    }
    assert!(excused || reached == servers, "{story}: a live server cannot be reached");
    assert!(servers - reached <= 2, "{story}");
    if !scene.bystander_deleted {
        assert!(scene.bystander_stands(), "{story}: the bystander was harmed");
    }
    // Everybody goes; one sweep in quiet clears all that is left. Who has to go is read from a dump, which can miss
    // one, and a SIGUSR1 may be obeyed this late.
    kill_servers_of(&scene.socket);
    if scene.dir.exists() {
        wait::until(&format!("a sweep clears: {story}"), || {
            kill_servers_of(&scene.socket);
            sweep(&scene.dir);
            let left: BTreeSet<_> =
                fs::read_dir(&scene.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            left.iter().all(|name| {
                name == "y" || (name == "x" && fs::symlink_metadata(&scene.socket).unwrap().is_file())
            })
        });
    } else {
        fs::create_dir(&scene.dir).unwrap();
    }
    let fresh = start(&scene.socket);
    assert!(is_reached(&scene.socket, fresh.pid), "{story}: a start afterwards");
    fresh.signal(Signal::KILL);
    fresh.wait_for_end();
}

fn is_reached(socket: &Path, server: i32) -> bool {
    pid_at(socket) == Some(server)
}

/// The server that answers at a path.
fn pid_at(socket: &Path) -> Option<i32> {
    let output = tmux(socket).args(["display-message", "-p", "#{pid}"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// Plays all stories, a few at a time, for some of them wait; at which checkpoints somebody acted. `plain`: as on a file
/// system without `RENAME_NOREPLACE`.
fn play_all(stories: &[Story], plain: bool) -> BTreeSet<Checkpoint> {
    let next = AtomicUsize::new(0);
    let visited = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                checkpoint::rename_plainly(plain);
                while let Some(story) = stories.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Not in one line: the lock would be held while the story is played.
                    let acted = play(story);
                    visited.lock().unwrap().extend(acted);
                }
            });
        }
    });
    visited.into_inner().unwrap()
}

/// How a removal comes to a checkpoint that lies beside the straight way.
fn way_to(at: Checkpoint) -> Story {
    match at {
        Checkpoint::PutBack => vec![(Checkpoint::Move, Adversary::Recreate)],
        Checkpoint::LockBack => vec![(Checkpoint::LockOut, Adversary::Start)],
        Checkpoint::LockSwap => {
            vec![(Checkpoint::LockOut, Adversary::Start), (Checkpoint::LockBack, Adversary::LeaveLock)]
        }
        Checkpoint::LockLoose => {
            vec![(Checkpoint::LockOut, Adversary::Start), (Checkpoint::LockBack, Adversary::TakeLock)]
        }
        _ => Vec::new(),
    }
}

/// Every checkpoint with every adversary, or with every two in a row.
fn stories(pairs: bool) -> Vec<Story> {
    let rows: Vec<Vec<Adversary>> = if pairs {
        ALL.iter().flat_map(|one| ALL.iter().map(|two| vec![*one, *two])).collect()
    } else {
        ALL.iter().map(|one| vec![*one]).collect()
    };
    CHECKPOINTS
        .iter()
        .flat_map(|at| {
            rows.iter().map(|row| [way_to(*at), row.iter().map(|one| (*at, *one)).collect()].concat())
        })
        .collect()
}

#[test]
fn no_adversary_at_any_step_makes_us_lose_a_server() {
    let stories = stories(false);
    let begun = Instant::now();
    let visited = play_all(&stories, false);
    println!("{} stories in {:.0?}", stories.len(), begun.elapsed());
    assert_eq!(visited, CHECKPOINTS.into_iter().collect(), "a checkpoint was never come to");
}

#[test]
fn nor_where_no_rename_promises_to_replace_nothing() {
    let stories = stories(false);
    let visited = play_all(&stories, true);
    assert_eq!(visited, CHECKPOINTS.into_iter().collect(), "a checkpoint was never come to");
}

#[test]
fn nor_do_two_adversaries_in_a_row() {
    let stories = stories(true);
    let begun = Instant::now();
    play_all(&stories, false);
    println!("{} stories in {:.0?}", stories.len(), begun.elapsed());
}
