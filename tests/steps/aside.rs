//! Setting a newer server aside, stopped at each of its steps in turn: somebody acts there, or we are killed.

use crate::common::arena::{self, Arena, Server};
use crate::common::ghosts::{ghosts, json, taken, user};
use crate::common::janitor::{Run, janitor};
use crate::common::skip::skip;
use crate::common::wait;
use rustix::process::Signal;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use tmux_sockets::ghost::{self, Area, Rescue};
use tmux_sockets::judge::RescueFailure;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::SocketNumber;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::checkpoint::{self, Checkpoint};
use tmux_sockets::report::{Failure, Outcome};
use tmux_sockets::witness::Witness;

const STEPS: [Checkpoint; 5] = [
    Checkpoint::AsideLink,
    Checkpoint::AsideLinked,
    Checkpoint::AsideTold,
    Checkpoint::AsideBack,
    Checkpoint::AsideTrim,
];

/// Who acts while we stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Adversary {
    /// The newer server ends.
    EndNewer,
    /// The ghost ends.
    EndGhost,
    /// Somebody deletes what stands at the path.
    DeletePath,
    /// Somebody deletes the second name.
    DeleteSecond,
    /// The newer server makes its socket anew (SIGUSR1), without any lock.
    RecreateNewer,
    /// A client starts on the path, and another one on the second name.
    Starts,
    /// A sweep that rescues, and another run of our own kind.
    Janitors,
}

const ALL: [Adversary; 7] = [
    Adversary::EndNewer,
    Adversary::EndGhost,
    Adversary::DeletePath,
    Adversary::DeleteSecond,
    Adversary::RecreateNewer,
    Adversary::Starts,
    Adversary::Janitors,
];

struct Stage {
    arena: Arena,
    newer: Server,
    clients: Vec<Child>,
}

impl Stage {
    fn new() -> Self {
        let (arena, newer) = taken();
        Self { arena, newer, clients: Vec::new() }
    }

    fn path(&self) -> PathBuf {
        self.arena.path("a")
    }

    fn older(&self) -> &Server {
        self.arena.server("a")
    }

    fn act(&mut self, adversary: Adversary) {
        let end = |server: &Server| {
            server.signal(Signal::KILL);
            server.wait_for_end();
        };
        match adversary {
            Adversary::EndNewer => end(&self.newer),
            Adversary::EndGhost => end(self.older()),
            Adversary::DeletePath => drop(fs::remove_file(self.path())),
            Adversary::DeleteSecond => drop(fs::remove_file(self.arena.path("a-new"))),
            Adversary::RecreateNewer => {
                let before = listener_of(self.newer.pid);
                self.newer.signal(Signal::USR1);
                wait::until("the newer one has its socket anew", || listener_of(self.newer.pid) != before);
            }
            Adversary::Starts => {
                for name in ["a", "a-new"] {
                    let mut client = arena::tmux(&self.arena.path(name));
                    client.args(["new-session", "-d", "-P", "-F", "#{pid}", "sleep 3600"]);
                    client.stdout(Stdio::piped()).stderr(Stdio::piped());
                    self.clients.push(client.spawn().unwrap());
                }
            }
            Adversary::Janitors => {
                for arguments in [&["sweep", "--rescue"][..], &["rescue", "--aside"]] {
                    let run = Run::of(janitor(self.arena.dir()).args(arguments));
                    assert!(matches!(run.code, Some(0 | 1)), "{:?} {}", run.code, run.stderr);
                }
            }
        }
    }

    fn set_aside(&self) -> Rescue {
        let mut witness = Witness::new(Uid::new(user()));
        witness.refresh();
        let found = ghost::find(Uid::new(user()), &mut witness, &Area::path(&self.path()).unwrap()).ghosts;
        ghost::set_aside(Uid::new(user()), &mut witness, &found[0])
    }

    /// The names under which a server answers.
    fn names_of(&self, server: &Server) -> Vec<String> {
        let answers = |name: &String| pid_at(&self.arena.path(name)) == Some(server.pid);
        let names = self.arena.names().into_iter().map(|name| name.into_string().unwrap());
        names.filter(answers).collect()
    }
}

/// The sockets that a process holds, as the kernel numbers them.
fn listener_of(pid: i32) -> BTreeSet<SocketNumber> {
    let process = tmux_sockets::kernel::Processes::open().unwrap().by_pid(Pid::new(pid)).unwrap();
    process.sockets().unwrap().into_iter().collect()
}

fn pid_at(socket: &Path) -> Option<i32> {
    let output = arena::tmux(socket).args(["display-message", "-p", "#{pid}"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// Sets aside, with somebody acting at each step that the story names. What came of it, and where somebody acted.
fn play(stage: &Rc<RefCell<Stage>>, story: Vec<(Checkpoint, Adversary)>) -> (Rescue, BTreeSet<Checkpoint>) {
    let acted = Rc::new(RefCell::new(BTreeSet::new()));
    let (there, done, mut acts) = (Rc::clone(stage), Rc::clone(&acted), story.into_iter().peekable());
    checkpoint::install(Some(Box::new(move |here| {
        while let Some((at, adversary)) = acts.next_if(|(at, _)| *at == here) {
            done.borrow_mut().insert(at);
            there.borrow_mut().act(adversary);
        }
    })));
    // The stage is free for whoever acts.
    let (path, mut witness) = (stage.borrow().path(), Witness::new(Uid::new(user())));
    witness.refresh();
    let found = ghost::find(Uid::new(user()), &mut witness, &Area::path(&path).unwrap()).ghosts;
    let rescue = ghost::set_aside(Uid::new(user()), &mut witness, &found[0]);
    checkpoint::install(None);
    let acted = acted.borrow().clone();
    (rescue, acted)
}

/// One story, and whether everybody who lives is reached, or was taken away by the adversary himself.
fn tell(at: Checkpoint, adversary: Adversary) -> BTreeSet<Checkpoint> {
    let story = format!("{at:?} {adversary:?}");
    // Where the steps of a failure lie: somebody takes the path away before the ghost is told.
    let way = match at {
        Checkpoint::AsideTrim => vec![(Checkpoint::AsideLinked, Adversary::RecreateNewer)],
        Checkpoint::AsideBack => vec![(Checkpoint::AsideTold, Adversary::EndGhost)],
        _ => Vec::new(),
    };
    let deeds: Vec<Adversary> = way.iter().map(|(_, adversary)| *adversary).chain([adversary]).collect();
    let stage = Rc::new(RefCell::new(Stage::new()));
    let (rescue, acted) = play(&stage, [way, vec![(at, adversary)]].concat());
    let mut stage = stage.borrow_mut();
    for client in std::mem::take(&mut stage.clients) {
        let output = client.wait_with_output().unwrap();
        // A client may have made a server of its own, where nobody listened any more.
        let pid = String::from_utf8_lossy(&output.stdout).trim().parse::<i32>().ok();
        if let Some(server) = pid.filter(|pid| ![stage.newer.pid, stage.older().pid].contains(pid)) {
            let server = Server::of(server);
            assert_ne!(stage.names_of(&server), Vec::<String>::new(), "{story}: a client's server is lost");
        }
    }
    let reported = ghosts(stage.arena.dir());
    for (server, whose) in [(&stage.newer, "newer"), (stage.older(), "older")] {
        if server.is_alive() && stage.names_of(server).is_empty() {
            let is_reported = reported.iter().any(|(_, pid)| *pid == i64::from(server.pid));
            assert!(is_reported, "{story}: the {whose} one is lost and nobody says so: {rescue:?}");
            // A ghost may stay one. The newer one loses its name only to somebody who takes it himself.
            let by_himself = deeds.iter().any(|deed| {
                matches!(deed, Adversary::DeletePath | Adversary::DeleteSecond | Adversary::RecreateNewer)
            });
            assert!(whose == "older" || by_himself, "{story}: the newer one is lost: {rescue:?}");
        }
    }
    if rescue.outcome == Outcome::Rescued && adversary != Adversary::DeletePath {
        assert_eq!(pid_at(&stage.path()), Some(stage.older().pid), "{story}");
    }
    // From the link on the path is nobody's business but the ghost's.
    let is_linked = at > Checkpoint::AsideLink && !deeds.contains(&Adversary::RecreateNewer);
    if adversary == Adversary::DeletePath && is_linked {
        assert_ne!(stage.names_of(&stage.newer), Vec::<String>::new(), "{story}");
    }
    wait::until("no litter is left", || {
        Run::of(janitor(stage.arena.dir()).arg("sweep"));
        let names = stage.arena.names();
        names.iter().all(|name| name == "a" || name.to_string_lossy().starts_with("a-new"))
    });
    acted
}

#[test]
fn no_adversary_at_any_step_makes_us_lose_a_server() {
    let stories: Vec<_> = STEPS.iter().flat_map(|at| ALL.map(|adversary| (*at, adversary))).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let visited = std::sync::Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((at, adversary)) =
                    stories.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    let acted = tell(*at, *adversary);
                    visited.lock().unwrap().extend(acted);
                }
            });
        }
    });
    assert_eq!(visited.into_inner().unwrap(), STEPS.into_iter().collect(), "a step was never come to");
}

/// The environment variables of a run that is to be killed: where, and on which path.
const KILLED_AT: &str = "ASIDE_KILLED_AT";
const PATH: &str = "ASIDE_PATH";

/// Not a test of its own: the process that [`killed_at_any_step_nobody_is_lost`] starts, and that ends itself.
#[test]
fn the_one_that_is_killed() {
    let (Ok(at), Some(path)) = (std::env::var(KILLED_AT), std::env::var_os(PATH)) else {
        return;
    };
    checkpoint::install(Some(Box::new(move |here| {
        if format!("{here:?}") == at {
            let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
        }
    })));
    let mut witness = Witness::new(Uid::new(user()));
    witness.refresh();
    let found = ghost::find(Uid::new(user()), &mut witness, &Area::path(Path::new(&path)).unwrap()).ghosts;
    ghost::set_aside(Uid::new(user()), &mut witness, &found[0]);
    checkpoint::install(None);
}

#[test]
fn killed_at_any_step_nobody_is_lost() {
    for at in [
        Checkpoint::Pinned,
        Checkpoint::LockIn,
        Checkpoint::AsideLink,
        Checkpoint::AsideLinked,
        Checkpoint::AsideTold,
        Checkpoint::LockOut,
    ] {
        let stage = Stage::new();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "aside::the_one_that_is_killed"]).stdout(Stdio::null()).stderr(Stdio::null());
        let status = child.env(KILLED_AT, format!("{at:?}")).env(PATH, stage.path()).status().unwrap();
        let is_killed = std::os::unix::process::ExitStatusExt::signal(&status) == Some(libc::SIGKILL);
        // There is no batch to be pinned here: nobody comes to that one.
        assert_eq!(is_killed, at != Checkpoint::Pinned, "{at:?}: {status}");
        assert_ne!(stage.names_of(&stage.newer), Vec::<String>::new(), "{at:?}: the newer one is lost");
        // The next run brings it to its end, whatever was done.
        wait::until("both are reached", || {
            Run::of(janitor(stage.arena.dir()).args(["rescue", "--aside"]));
            pid_at(&stage.path()) == Some(stage.older().pid)
        });
        assert_eq!(stage.names_of(&stage.newer), ["a-new"], "{at:?}");
        // A lock's file stays while a socket stands beside it.
        for server in [&stage.newer, stage.older()] {
            server.signal(Signal::KILL);
            server.wait_for_end();
        }
        wait::until("no litter is left", || {
            Run::of(janitor(stage.arena.dir()).arg("sweep"));
            stage.arena.names().is_empty()
        });
    }
}

#[test]
fn a_ghost_that_cannot_bind_costs_the_newer_one_nothing() {
    let stage = Stage::new();
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o", "/dev/null", "-e", "trace=bind", "-e", "inject=bind:error=ENOSPC"]);
    let Ok(mut strace) = strace.arg("-p").arg(stage.older().pid.to_string()).spawn() else {
        return skip("needs strace: it makes bind(2) fail");
    };
    let status = format!("/proc/{}/status", stage.older().pid);
    wait::until("strace holds the ghost and lets it sleep", || {
        let status = fs::read_to_string(&status).unwrap();
        !status.contains("TracerPid:\t0\n") && status.contains("State:\tS")
    });
    let rescue = stage.set_aside();
    assert_eq!(rescue.outcome, Outcome::Failed(Failure::Rescue(RescueFailure::NoAnswer)));
    assert_eq!(stage.names_of(&stage.newer), ["a", "a-new"], "its own name is linked back");
    let status = strace.kill().and_then(|()| strace.wait());
    assert!(status.is_ok());
    json(stage.arena.dir(), &["rescue", "--aside"], 0);
    assert_eq!(stage.names_of(&stage.newer), ["a-new"]);
    stage.arena.assert_reachable("a");
}

#[test]
fn a_ghost_that_answers_late_takes_its_path_and_the_newer_one_has_its_second_name() {
    let stage = Rc::new(RefCell::new(Stage::new()));
    let there = Rc::clone(&stage);
    checkpoint::install(Some(Box::new(move |here| {
        if here == Checkpoint::AsideLinked {
            let stage = there.borrow();
            stage.older().signal(Signal::STOP);
        }
    })));
    let (path, mut witness) = (stage.borrow().path(), Witness::new(Uid::new(user())));
    witness.refresh();
    let found = ghost::find(Uid::new(user()), &mut witness, &Area::path(&path).unwrap()).ghosts;
    let rescue = ghost::set_aside(Uid::new(user()), &mut witness, &found[0]);
    checkpoint::install(None);
    let stage = stage.borrow();
    assert_eq!(rescue.outcome, Outcome::Failed(Failure::Rescue(RescueFailure::NoAnswer)));
    assert_eq!(stage.names_of(&stage.newer), ["a", "a-new"], "it keeps both");
    stage.older().signal(Signal::CONT);
    wait::until("the ghost takes its path", || pid_at(&path) == Some(stage.older().pid));
    assert_eq!(stage.names_of(&stage.newer), ["a-new"]);
}
