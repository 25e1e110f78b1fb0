//! The real removal, stopped at each of its steps in turn, while an adversary acts on the real directory with
//! the real tmux; then two adversaries in a row. Afterwards every live server is reachable at its path,
//! unless an adversary himself took it away, and everything dead goes.

mod scene;

use crate::common::arena::start;
use crate::common::wait;
use rustix::process::Signal;
use scene::{ALL, Adversary, Scene, kill_servers_of, listeners_of, pid_at, set_immutable};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::checkpoint::{self, Checkpoint};
use tmux_sockets::sweep::{Act, Pass, RefuseFar, SpareNothing, Target};
use tmux_sockets::witness::Witness;

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
    let pass = Pass { policy: &SpareNothing, far: &RefuseFar, user: Uid::new(user), act: Act::Remove };
    pass.run(&mut Witness::new(Uid::new(user)), &[Target::whole(dir.to_owned())]);
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
fn no_adversary_makes_us_lose_a_server_where_a_rename_may_replace() {
    let stories = stories(false);
    let visited = play_all(&stories, true);
    assert_eq!(visited, CHECKPOINTS.into_iter().collect(), "a checkpoint was never come to");
}

#[test]
fn no_two_adversaries_in_a_row_make_us_lose_a_server() {
    let stories = stories(true);
    let begun = Instant::now();
    play_all(&stories, false);
    println!("{} stories in {:.0?}", stories.len(), begun.elapsed());
}
