//! Starts, kills, deletions, rescues and sweeps in random order and at the same time: whatever lives
//! in the end can be reached or is reported.

use crate::common::arena::{self, Arena, Server};
use crate::common::dice::Dice;
use crate::common::ghosts::ghosts;
use crate::common::janitor::{Run, janitor};
use crate::common::wait;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

const ROUNDS: u32 = 200;
const AT_ONCE: usize = 3;
const LABELS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone, Copy)]
enum Deed {
    Start(usize),
    Kill(usize),
    Delete(usize),
    Rescue,
    Sweep,
    SweepAndRescue,
}

impl Deed {
    fn any(dice: &mut Dice) -> Self {
        match (dice.below(7), dice.below(3)) {
            (0 | 1, label) => Self::Start(label),
            (2, label) => Self::Kill(label),
            (3, label) => Self::Delete(label),
            (4, _) => Self::Rescue,
            (5, _) => Self::Sweep,
            _ => Self::SweepAndRescue,
        }
    }
}

fn carry_out(deed: Deed, arena: &Arena, servers: &Mutex<Vec<(usize, Server)>>, victim: Option<Server>) {
    match deed {
        Deed::Start(label) => start(label, &arena.path(LABELS[label]), servers),
        Deed::Kill(_) => drop(victim),
        Deed::Delete(label) => drop(fs::remove_file(arena.path(LABELS[label]))),
        Deed::Rescue => janitor_says(arena, &["rescue"]),
        Deed::Sweep => janitor_says(arena, &["sweep"]),
        Deed::SweepAndRescue => janitor_says(arena, &["sweep", "--rescue"]),
    }
}

/// A start may be refused, fail with the deletions, or join a server that is there.
fn start(label: usize, socket: &Path, servers: &Mutex<Vec<(usize, Server)>>) {
    let arguments = ["new-session", "-d", "-P", "-F", "#{pid}", "sleep 3600"];
    let output = arena::tmux(socket).args(arguments).output().unwrap();
    let Ok(pid) = String::from_utf8_lossy(&output.stdout).trim().parse::<i32>() else {
        return;
    };
    let mut servers = servers.lock().unwrap();
    if !servers.iter().any(|(_, server)| server.pid == pid) {
        servers.extend(Server::try_of(pid).map(|server| (label, server)));
    }
}

fn janitor_says(arena: &Arena, arguments: &[&str]) {
    let run = Run::of(janitor(arena.dir()).args(arguments));
    // A ghost may be left: a start is under way, or there are two of one path.
    let is_fine = run.code == Some(0) || (run.code == Some(1) && arguments == ["rescue"]);
    assert!(is_fine, "{arguments:?}: {:?} {} {}", run.code, run.stdout, run.stderr);
}

#[test]
fn whatever_lives_is_reached_or_reported() {
    let arena = Arena::new();
    let servers: Mutex<Vec<(usize, Server)>> = Mutex::default();
    let seed: u64 = std::env::var("GHOST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into());
    let mut dice = Dice::of(seed);
    let (mut lived, mut haunted) = (0, 0);
    for round in 0..ROUNDS {
        let deeds: [Deed; AT_ONCE] = std::array::from_fn(|_| Deed::any(&mut dice));
        std::thread::scope(|scope| {
            for deed in deeds {
                let victim = match deed {
                    Deed::Kill(label) => {
                        let mut servers = servers.lock().unwrap();
                        let at = servers.iter().position(|(own, _)| *own == label);
                        at.map(|at| servers.remove(at).1)
                    }
                    _ => None,
                };
                let (arena, servers) = (&arena, &servers);
                scope.spawn(move || carry_out(deed, arena, servers, victim));
            }
        });
        let reported = ghosts(arena.dir());
        for (label, server) in &*servers.lock().unwrap() {
            let is_reported = reported.contains(&(LABELS[*label].to_owned(), server.pid.into()));
            lived += 1;
            haunted += usize::from(is_reported);
            if !is_reported && server.is_alive() {
                let socket = arena.path(LABELS[*label]);
                let output = arena::tmux(&socket).args(["display-message", "-p", "#{pid}"]).output().unwrap();
                let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                assert_eq!(
                    answer,
                    server.pid.to_string(),
                    "seed {seed}, round {round}, {deeds:?}: {reported:?} {:?}",
                    arena.names()
                );
            }
        }
    }
    assert!(lived > 100 && haunted > 10, "seed {seed}: {lived} lived, {haunted} as ghosts: proves little");
    let left: Vec<_> =
        arena.names().into_iter().filter(|name| !LABELS.iter().any(|label| name == label)).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().ends_with(".lock")), "{left:?}");
    wait::until("no litter is left", || {
        janitor_says(&arena, &["sweep"]);
        arena.names().iter().all(|name| LABELS.iter().any(|label| name == label))
    });
}
