//! A model of its own: a newer server is set aside for a ghost (`rescue --aside`, `crates/sockets/src/ghost/aside.rs`).
//!
//! Two janitors, clients that start servers at both names, the ghost's answer to SIGUSR1 (unlink, bind) and a sweep
//! take one system call at a time, in every order; whoever may die, dies anywhere. A removal of what is dead is one
//! step here: that it takes nothing else away, and only under the name's lock, is what the other model shows.

use stateright::{Checker, Model, Property};

type Ino = u8;
const NONE: Ino = 0;
/// The newer server's socket, and the one that it makes when a person tells it to.
const NEWER: Ino = 1;
const NEWER_ANEW: Ino = 2;
/// The socket that the ghost makes.
const OLDER: Ino = 3;
/// Those of the clients' servers: one at each name.
const STARTED: [Ino; 2] = [4, 5];

/// The path, and the second name.
const PATH: usize = 0;
const SECOND: usize = 1;

/// A mistake put in on purpose, or an assumption dropped: the checker has to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The ghost is told first, and the newer server gets its second name afterwards.
    TellsFirst,
    /// The path's start lock is not taken.
    NoPathLock,
    /// The second name's start lock is not taken.
    NoSecondLock,
    /// The second name is taken away when the ghost did not answer in time.
    TrimsAfterTimeOut,
    /// A person tells the newer server, too, at any time.
    PersonTellsNewer,
}

#[derive(Clone, Debug)]
struct Setup {
    fault: Option<Fault>,
    /// Janitors may be killed, and may stop waiting; the ghost may fail to bind.
    harsh: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pc {
    Off,
    Pin,
    LockPath,
    LockSecond,
    Table,
    Link,
    Check,
    Tell,
    Wait,
    Back,
    TrimLook,
    TrimUnlink,
    Unlock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Janitor {
    pc: Pc,
    pinned: Ino,
    locks: [bool; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Ghost {
    Serves,
    Told,
    Unlinked,
    Bound,
    Dead,
}

/// A client that starts a server at a name (client.c: `client_connect`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    Connect,
    Lock,
    ConnectAgain,
    Unlink,
    Bind,
    Serves,
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    names: [Ino; 2],
    newer: Option<Ino>,
    ghost: Ghost,
    clients: [Client; 2],
    janitors: [Janitor; 2],
    deaths: u8,
    kills: u8,
    fails: u8,
    told_by_a_person: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Janitor(usize),
    Killed(usize),
    GivesUp(usize),
    Ghost,
    GhostFails,
    GhostDies,
    NewerDies,
    NewerAnew,
    Client(usize),
    Sweep(usize),
}

impl World {
    fn is_locked(&self, name: usize) -> bool {
        self.janitors.iter().any(|janitor| janitor.locks[name])
            || matches!(self.clients[name], Client::ConnectAgain | Client::Unlink | Client::Bind)
    }

    /// Whether somebody listens behind an inode.
    fn listens(&self, ino: Ino) -> bool {
        self.newer == Some(ino)
            || (ino == OLDER && self.ghost == Ghost::Bound)
            || (0..2).any(|at| ino == STARTED[at] && self.clients[at] == Client::Serves)
    }

    fn has_name(&self, ino: Ino) -> bool {
        self.names.contains(&ino)
    }
}

impl Setup {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// One step of a janitor.
    #[expect(clippy::match_same_arms, reason = "each arm is a step of its own")]
    fn step(&self, w: &mut World, j: usize) {
        let Janitor { pc, pinned, .. } = w.janitors[j];
        let is_free = |name| !w.is_locked(name);
        let next = match pc {
            Pc::Off => return,
            Pc::Pin => {
                w.janitors[j].pinned = w.names[PATH];
                if w.names[PATH] == NONE { Pc::Off } else { Pc::LockPath }
            }
            Pc::LockPath if self.has(Fault::NoPathLock) => Pc::LockSecond,
            Pc::LockPath if is_free(PATH) => {
                w.janitors[j].locks[PATH] = true;
                Pc::LockSecond
            }
            Pc::LockSecond if self.has(Fault::NoSecondLock) => Pc::Table,
            Pc::LockSecond if is_free(SECOND) => {
                w.janitors[j].locks[SECOND] = true;
                Pc::Table
            }
            Pc::LockPath | Pc::LockSecond => Pc::Unlock,
            // The newer server is listed with this socket, and the ghost is one still.
            Pc::Table if w.newer == Some(pinned) && w.ghost == Ghost::Serves => {
                if self.has(Fault::TellsFirst) { Pc::Tell } else { Pc::Link }
            }
            Pc::Table => Pc::Unlock,
            Pc::Link => {
                // By its handle: a socket that has lost its last name has none to be linked.
                if w.names[SECOND] == NONE && w.has_name(pinned) {
                    w.names[SECOND] = pinned;
                }
                if w.names[SECOND] == pinned { Pc::Check } else { Pc::Unlock }
            }
            Pc::Check if w.names == [pinned, pinned] => Pc::Tell,
            Pc::Check => Pc::TrimLook,
            Pc::Tell => {
                if w.ghost == Ghost::Serves {
                    w.ghost = Ghost::Told;
                }
                Pc::Wait
            }
            // Waiting: not a step, but when there is something to see.
            Pc::Wait if w.ghost == Ghost::Bound && self.has(Fault::TellsFirst) => Pc::Link,
            Pc::Wait if w.ghost == Ghost::Bound => Pc::Unlock,
            Pc::Wait if w.ghost == Ghost::Dead || w.ghost == Ghost::Serves => Pc::Back,
            Pc::Wait => return,
            Pc::Back => {
                if w.names[PATH] == NONE && w.has_name(pinned) {
                    w.names[PATH] = pinned;
                }
                if self.has(Fault::TrimsAfterTimeOut) { Pc::TrimLook } else { Pc::Unlock }
            }
            Pc::TrimLook if w.names == [pinned, pinned] => Pc::TrimUnlink,
            Pc::TrimLook => Pc::Unlock,
            Pc::TrimUnlink => {
                w.names[SECOND] = NONE;
                Pc::Unlock
            }
            Pc::Unlock => {
                w.janitors[j] = Janitor { pc: Pc::Off, pinned: NONE, locks: [false; 2] };
                return;
            }
        };
        w.janitors[j].pc = next;
    }

    /// One step of a client.
    #[expect(clippy::match_same_arms, reason = "each arm is a step of its own")]
    fn start(w: &mut World, c: usize) {
        let answers = w.listens(w.names[c]);
        w.clients[c] = match w.clients[c] {
            Client::Connect if answers => Client::Done,
            Client::Connect => Client::Lock,
            // It waits for whoever has the lock, and starts over.
            Client::Lock if w.is_locked(c) => Client::Connect,
            Client::Lock => Client::ConnectAgain,
            Client::ConnectAgain if answers => Client::Done,
            Client::ConnectAgain => Client::Unlink,
            Client::Unlink => {
                w.names[c] = NONE;
                Client::Bind
            }
            Client::Bind if w.names[c] == NONE => {
                w.names[c] = STARTED[c];
                Client::Serves
            }
            Client::Bind => Client::Done,
            end @ (Client::Serves | Client::Done) => end,
        };
    }
}

impl Model for Setup {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let ready = Janitor { pc: Pc::Pin, pinned: NONE, locks: [false; 2] };
        // The second one may come at any time: it begins before its first step.
        vec![World {
            names: [NEWER, NONE],
            newer: Some(NEWER),
            ghost: Ghost::Serves,
            clients: [Client::Connect; 2],
            janitors: [ready; 2],
            deaths: 1,
            kills: u8::from(self.harsh),
            fails: u8::from(self.harsh),
            told_by_a_person: false,
        }]
    }

    fn actions(&self, w: &World, steps: &mut Vec<Step>) {
        for j in 0..2 {
            if w.janitors[j].pc != Pc::Off {
                steps.push(Step::Janitor(j));
                if w.kills > 0 {
                    steps.push(Step::Killed(j));
                }
            }
            if self.harsh && w.janitors[j].pc == Pc::Wait {
                steps.push(Step::GivesUp(j));
            }
        }
        if matches!(w.ghost, Ghost::Told | Ghost::Unlinked) {
            steps.push(Step::Ghost);
        }
        if w.ghost == Ghost::Unlinked && w.fails > 0 {
            steps.push(Step::GhostFails);
        }
        if w.deaths > 0 {
            steps.extend([Step::GhostDies, Step::NewerDies]);
        }
        if self.has(Fault::PersonTellsNewer) && !w.told_by_a_person && w.newer.is_some() {
            steps.push(Step::NewerAnew);
        }
        for at in 0..2 {
            steps.push(Step::Client(at));
            if w.names[at] != NONE && !w.listens(w.names[at]) && !w.is_locked(at) {
                steps.push(Step::Sweep(at));
            }
        }
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut w = last.clone();
        match step {
            Step::Janitor(j) => self.step(&mut w, j),
            Step::Killed(j) => {
                w.kills -= 1;
                w.janitors[j] = Janitor { pc: Pc::Off, pinned: NONE, locks: [false; 2] };
            }
            Step::GivesUp(j) => w.janitors[j].pc = Pc::Back,
            Step::Ghost if w.ghost == Ghost::Told => {
                w.names[PATH] = NONE;
                w.ghost = Ghost::Unlinked;
            }
            // bind(2) is refused where something stands: it is a ghost still.
            Step::Ghost if w.names[PATH] == NONE => {
                w.names[PATH] = OLDER;
                w.ghost = Ghost::Bound;
            }
            Step::Ghost => w.ghost = Ghost::Serves,
            Step::GhostFails => {
                w.fails -= 1;
                w.ghost = Ghost::Serves;
            }
            Step::GhostDies => {
                w.deaths -= 1;
                w.ghost = Ghost::Dead;
            }
            Step::NewerDies => {
                w.deaths -= 1;
                w.newer = None;
            }
            Step::NewerAnew => {
                w.told_by_a_person = true;
                w.names[PATH] = NEWER_ANEW;
                w.newer = Some(NEWER_ANEW);
            }
            Step::Client(at) => Self::start(&mut w, at),
            Step::Sweep(at) => w.names[at] = NONE,
        }
        (w != *last).then_some(w)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(NEWER_HAS_A_NAME, |_, w: &World| w.newer.is_none_or(|ino| w.has_name(ino))),
            Property::sometimes(BOTH, |_, w: &World| w.names == [OLDER, NEWER] && w.newer == Some(NEWER)),
        ];
        if !self.harsh {
            properties.push(Property::always(STARTED_HAVE_THEIRS, |_, w: &World| {
                (0..2).all(|at| w.clients[at] != Client::Serves || w.names[at] == STARTED[at])
            }));
        }
        properties
    }
}

const NEWER_HAS_A_NAME: &str = "the newer server has a name";
const STARTED_HAVE_THEIRS: &str = "a server that a client started has its name";
const BOTH: &str = "both are reached";

/// Walks every state; the properties that failed, sorted.
fn failures(setup: &Setup) -> Vec<&'static str> {
    let checker = setup.clone().checker().threads(2).spawn_bfs().join();
    let mut found: Vec<_> = checker.discoveries().into_keys().filter(|name| *name != BOTH).collect();
    found.sort_unstable();
    eprintln!("{setup:?}: {} states, failed: {found:?}", checker.unique_state_count());
    assert!(checker.discovery(BOTH).is_some() || setup.fault.is_some(), "it never comes to its end");
    found
}

#[test]
fn setting_aside_leaves_nobody_without_a_name() {
    assert_eq!(failures(&Setup { fault: None, harsh: false }), Vec::<&str>::new());
}

#[test]
fn deaths_kills_and_a_ghost_that_does_not_answer_leave_nobody_without_a_name() {
    assert_eq!(failures(&Setup { fault: None, harsh: true }), Vec::<&str>::new());
}

#[test]
fn each_step_of_setting_aside_is_needed() {
    for (fault, harsh, expected) in [
        (Fault::TellsFirst, false, NEWER_HAS_A_NAME),
        (Fault::NoPathLock, false, STARTED_HAVE_THEIRS),
        (Fault::NoSecondLock, false, NEWER_HAS_A_NAME),
        (Fault::TrimsAfterTimeOut, true, NEWER_HAS_A_NAME),
    ] {
        let found = failures(&Setup { fault: Some(fault), harsh });
        assert!(found.contains(&expected), "{fault:?}: {found:?}");
    }
}

#[test]
fn only_a_person_who_tells_the_newer_one_at_that_moment_takes_its_name() {
    let found = failures(&Setup { fault: Some(Fault::PersonTellsNewer), harsh: false });
    assert!(found.contains(&NEWER_HAS_A_NAME), "{found:?}");
}
