//! The configurations that are walked, and what has to come out.

use std::collections::BTreeSet;

use crate::{
    checking::{Outcome, first_world, run, walk},
    pc::Pc,
    properties,
    setup::{Begin, Fault, Form, Kill, Open, Setup},
    world::NONE,
};

pub(crate) const ORPHAN: &str = "no orphan";
pub(crate) const HOLE: &str = "no lock hole";
const FAILED_START: &str = "no failed start";
pub(crate) const CLEARS: &str = "a sweep clears";

pub(crate) const TRAVELLING: Setup = Setup::new(Form::Travelling);

/// One janitor.
pub(crate) const ALONE: Setup = Setup { janitors: 1, ..TRAVELLING };

/// One without `RENAME_NOREPLACE`.
const PLAIN: Setup = Setup { plain: true, ..ALONE };

/// A lock file that travels between two labels, where clients can be slow inside open(2).
pub(crate) const TWO_LABELS: Setup =
    Setup { labels: 2, begins: &[Begin::TwoDead], clients: &[0, 0, 1], open: Open::Brief, ..ALONE };

/// SIGUSR1 while a janitor works. tmux alone steals names here.
pub(crate) const SIGUSR1: Setup =
    Setup { signals: 1, clients: &[0], begins: &[Begin::Live, Begin::DeadAndLost], only_ours: true, ..ALONE };

/// The same with two janitors, two signals, and a dump of the table that misses a socket.
const SIGUSR1_STORM: Setup = Setup { janitors: 2, signals: 2, misses: 1, ..SIGUSR1 };

/// The same with a janitor that is killed.
const SIGUSR1_AND_KILL: Setup = Setup { kills: 1, kill: Kill::NotWhileAwaited, ..SIGUSR1 };

/// Without anything in quarantine, which makes a world four times as big.
pub(crate) const TIDY: Setup =
    Setup { begins: &[Begin::Empty, Begin::Dead, Begin::DeadAndLock, Begin::LockOnly], ..TRAVELLING };

/// As many dumps that miss a socket as a run of two janitors makes.
const BLIND: Setup = Setup { misses: 4, no_tmux_hole: true, ..TIDY };

/// Three clients, as long as tmux's own lock holds.
pub(crate) const THREE_CLIENTS: Setup = Setup { clients: &[0, 0, 0], no_tmux_hole: true, ..ALONE };

/// Bigger configurations, for a machine with time.
fn full() -> bool {
    std::env::var_os("TMUX_JANITOR_MODEL").is_some_and(|value| value == "full")
}

/// Every state is visited and nothing fails.
#[track_caller]
pub(crate) fn clean(name: &str, setup: &Setup) -> Outcome {
    let outcome = run(name, setup, None);
    assert!(outcome.failed.is_empty(), "{}", outcome.trace);
    outcome
}

/// The checker finds that this property fails.
#[track_caller]
pub(crate) fn finds(name: &str, setup: &Setup, property: &'static str) {
    let outcome = run(name, setup, Some(property));
    assert!(outcome.failed.contains(&property), "{name}: the checker did not find it");
}

/// What tmux does without us: the properties can only be asked where it fails nothing itself.
#[test]
fn tmux_alone_fails_only_by_an_early_death_and_by_sigusr1() {
    let two = TRAVELLING.with(|s| s.janitors = 0);
    clean("tmux alone, two clients", &two);
    let frozen = two.with(|s| s.open = Open::Frozen);
    clean("tmux alone, two clients, slow open", &frozen);
    let killed = two.with(|s| s.client_kills = 1);
    clean("tmux alone, two clients, one killed", &killed);
    let three = THREE_CLIENTS.with(|s| s.janitors = 0);
    clean("tmux alone, three clients, no early death", &three);
    // A server that dies as soon as it listens: its client's rival has locked a nameless file.
    let early_death = three.with(|s| s.no_tmux_hole = false);
    finds("tmux alone, three clients", &early_death, ORPHAN);
    let signals = SIGUSR1.with(|s| (s.janitors, s.only_ours) = (0, false));
    finds("tmux alone, SIGUSR1", &signals, ORPHAN);
}

#[test]
fn unlink_and_close_loses_servers() {
    let form = Setup::new(Form::UnlinkAndClose).with(|s| s.janitors = 1);
    for property in [HOLE, ORPHAN, FAILED_START] {
        finds("unlink and close, one janitor, nobody killed", &form, property);
    }
}

#[test]
fn a_lock_kept_for_a_while_without_its_name_is_safe_until_we_are_killed() {
    let form = Setup::new(Form::NamelessGrace).with(|s| s.no_tmux_hole = true);
    clean("nameless grace", &form);
    let killed = form.with(|s| s.kills = 1);
    finds("nameless grace, a kill", &killed, ORPHAN);
    let spared = killed.with(|s| s.kill = Kill::NotWhileAwaited);
    clean("nameless grace, a kill while nobody waits", &spared);
    let frozen = form.with(|s| s.open = Open::Frozen);
    finds("nameless grace, frozen in open", &frozen, ORPHAN);
    // A fixed time proves nothing about a client between open and flock.
    let fixed = form.with(|s| s.fault = Some(Fault::FixedGrace));
    finds("nameless grace, a fixed time", &fixed, HOLE);
}

#[test]
fn a_lock_that_is_left_is_safe_and_leaves_lock_files() {
    let form = Setup::new(Form::Leave);
    clean("leave", &form);
    let killed = form.with(|s| (s.kills, s.open) = (2, Open::Frozen));
    clean("leave, two kills, frozen in open", &killed);
    let swept = properties::sweep(&form, &first_world(&form, Begin::DeadAndLock)).unwrap();
    assert_eq!(swept.sock[0], NONE);
    assert_ne!(swept.lock[0], NONE, "free of litter: then this form is the one to take");
}

#[test]
fn a_lock_that_travels_is_safe() {
    let mut taken = BTreeSet::new();
    let mut clean = |name, setup: &Setup| taken.extend(clean(name, setup).taken);
    clean("travelling, one janitor", &ALONE);
    clean("travelling", &TRAVELLING);
    let slow = TIDY.with(|s| s.open = Open::Brief);
    clean("travelling, slow open", &slow);
    let interrupts = ALONE.with(|s| (s.interrupts, s.client_kills) = (true, 1));
    clean("travelling, interrupts", &interrupts);
    let no_locks = TIDY.with(|s| s.fault = Some(Fault::NoProcLocks));
    clean("travelling, no /proc/locks", &no_locks);
    clean("travelling, two labels", &TWO_LABELS);
    clean("travelling, dumps that miss", &BLIND);
    clean("travelling, three clients", &THREE_CLIENTS);
    clean("travelling, SIGUSR1", &SIGUSR1);
    clean("travelling, SIGUSR1 storm", &SIGUSR1_STORM);
    let clients = SIGUSR1.with(|s| (s.clients, s.no_tmux_hole) = (&[0, 0], true));
    clean("travelling, SIGUSR1, two clients", &clients);
    let spared = TRAVELLING.with(|s| (s.kills, s.kill) = (1, Kill::NotWhileAwaited));
    clean("travelling, a kill while nobody waits", &spared);
    // What only a residual case reaches was taken, too.
    let kill = SIGUSR1_AND_KILL.with(|s| (s.janitors, s.signals) = (2, 2));
    taken.extend(run("travelling, SIGUSR1 and a kill", &kill, None).taken);

    // Every step of the janitor was taken somewhere, but for those of other forms and of faults.
    let mut others =
        vec![Pc::UnlinkSock, Pc::UnlinkLock, Pc::DropLease, Pc::WaitOpeners, Pc::Off, Pc::Done, Pc::Dead];
    others.extend(PLAIN_STEPS);
    others.extend(SHARED_STEPS);
    others.extend(TRIED_STEPS);
    assert!(others.iter().all(|pc| !taken.contains(pc)));
    assert_eq!(taken.len() + others.len(), Pc::COUNT, "taken: {taken:?}");
}

/// The steps of a lock that goes straight on, and of a quarantine name that is used again.
const TRIED_STEPS: [Pc; 7] =
    [Pc::OnLook, Pc::MoveOn, Pc::OnLease, Pc::LinkBack, Pc::LinkRest, Pc::Replace, Pc::UnlinkSingle];

/// The steps of a janitor whose renames cannot promise to replace nothing.
const PLAIN_STEPS: [Pc; 7] =
    [Pc::MovedIn, Pc::QuarantineFree, Pc::Restored, Pc::MovedBack, Pc::SwapOut, Pc::SwapUndo, Pc::SwapUndone];

/// Without `RENAME_NOREPLACE` and `RENAME_EXCHANGE`: link(2), plain renames to names of our own.
#[test]
fn plain_renames_are_safe() {
    let mut taken = BTreeSet::new();
    let mut clean = |name, setup: &Setup| {
        taken.extend(clean(name, &setup.with(|s| s.plain = true)).taken);
    };
    clean("plain renames, one janitor", &ALONE);
    let no_locks = ALONE.with(|s| s.fault = Some(Fault::NoProcLocks));
    clean("plain renames, no /proc/locks", &no_locks);
    let spared = ALONE.with(|s| (s.kills, s.kill) = (1, Kill::NotWhileAwaited));
    clean("plain renames, a kill while nobody waits", &spared);
    clean("plain renames, three clients", &THREE_CLIENTS);
    clean("plain renames, SIGUSR1", &SIGUSR1);
    let clients = SIGUSR1.with(|s| (s.clients, s.no_tmux_hole) = (&[0, 0], true));
    clean("plain renames, SIGUSR1, two clients", &clients);
    let two = TRAVELLING.with(|s| (s.clients, s.kills, s.kill) = (&[0], 1, Kill::NotWhileAwaited));
    clean("plain renames, two janitors, one client, a kill while nobody waits", &two);
    if full() {
        let interrupts = ALONE.with(|s| (s.interrupts, s.client_kills) = (true, 1));
        clean("plain renames, interrupts", &interrupts);
        clean("plain renames, two labels", &TWO_LABELS);
    }
    assert!(PLAIN_STEPS[..5].iter().all(|pc| taken.contains(pc)), "taken: {taken:?}");
}

/// Two janitors and two clients without `RENAME_NOREPLACE`: too many states to visit them all.
#[test]
fn plain_renames_hold_on_random_walks() {
    let steps = if full() { 200_000_000 } else { 1_000_000 };
    let two = TRAVELLING.with(|s| s.plain = true);
    let failed = walk("plain renames, two janitors", &two, steps, None);
    assert!(failed.is_empty(), "{failed:?}");
    // They find the mistakes of the lock. What loses a server only in a rare order they do not find.
    for (fault, property) in
        [(Fault::PlainMoveIn, HOLE), (Fault::NoSecondLeaseCheck, HOLE), (Fault::MoveBackReplaces, HOLE)]
    {
        let setup = two.with(|s| s.fault = Some(fault));
        let failed = walk(&format!("walk: {fault:?}"), &setup, steps, Some(property));
        assert!(failed.contains(&property), "{fault:?}: {failed:?}");
    }
}

/// In a folder that everybody may write: `sweep -S`.
const SHARED: Setup = Setup { exchange: true, ..TRAVELLING };

/// What runs that were killed there have left.
const LEFT: &[Begin] = &[Begin::PlaceLeft, Begin::LeftAside, Begin::Quarantine, Begin::Dead];

/// The steps of a janitor where names change places.
const SHARED_STEPS: [Pc; 6] =
    [Pc::MakePlace, Pc::Exchange, Pc::RmdirName, Pc::ExchangeBack, Pc::RmdirAside, Pc::GiveBack];

/// A name that changes places with a directory (`RENAME_EXCHANGE`).
#[test]
fn a_lock_that_changes_places_is_safe() {
    let mut taken = BTreeSet::new();
    // As long as tmux's own lock holds.
    let mut clean = |name, setup: &Setup| {
        taken.extend(clean(name, &setup.with(|s| (s.exchange, s.no_tmux_hole) = (true, true))).taken);
    };
    clean("shared folder, one janitor", &ALONE);
    clean("shared folder, three clients", &THREE_CLIENTS);
    clean("shared folder, SIGUSR1", &SIGUSR1);
    clean("shared folder, SIGUSR1 storm", &SIGUSR1_STORM);
    if full() {
        clean("shared folder, two janitors", &TRAVELLING);
        clean("shared folder, dumps that miss", &BLIND);
    } else {
        clean("shared folder, two janitors, one client", &TRAVELLING.with(|s| s.clients = &[0]));
    }
    // A directory stands at NAME while names change places, and after a killed run. A start that meets it fails; nothing
    // else does.
    let mut fails_only_starts = |name, setup: &Setup| {
        let outcome = run(name, &setup.with(|s| s.exchange = true), None);
        assert_eq!(outcome.failed, [FAILED_START], "{}", outcome.trace);
        taken.extend(outcome.taken);
    };
    fails_only_starts("shared folder, tmux's hole", &ALONE);
    let clients = SIGUSR1.with(|s| (s.clients, s.no_tmux_hole) = (&[0, 0], true));
    fails_only_starts("shared folder, SIGUSR1, two clients", &clients);
    let killed = TRAVELLING.with(|s| (s.kills, s.kill, s.clients) = (1, Kill::NotWhileAwaited, &[0]));
    fails_only_starts("shared folder, a kill while nobody waits", &killed);
    let left = TRAVELLING.with(|s| (s.begins, s.clients) = (LEFT, &[0]));
    fails_only_starts("shared folder, what killed runs left", &left);
    assert!(SHARED_STEPS.iter().all(|pc| taken.contains(pc)), "taken: {taken:?}");
}

/// What remains, each of them in `docs/protocol.md`. Who mends one sees it here.
#[test]
fn each_case_that_remains_still_does() {
    // A client waits in open(2) for a file that has left its lock name, and we die just then.
    let kill = ALONE.with(|s| s.kills = 1);
    finds("residual: kill", &kill, ORPHAN);
    // A client looks the lock's name up and is frozen until the file is gone.
    let frozen = ALONE.with(|s| s.open = Open::Frozen);
    finds("residual: frozen in open", &frozen, ORPHAN);
    // SIGUSR1 between fstatat and rename, and we die before the socket is put back.
    finds("residual: SIGUSR1 and a kill", &SIGUSR1_AND_KILL, ORPHAN);
    // Both dumps miss a socket that is bound by a starter without the lock and does not listen yet.
    let misses = SIGUSR1.with(|s| s.misses = 2);
    finds("residual: SIGUSR1, two misses", &misses, ORPHAN);
    let misses = ALONE.with(|s| s.misses = 2);
    finds("residual: tmux's hole, two misses", &misses, ORPHAN);
    // Two starters without the lock meet our rename.
    let both = SIGUSR1.with(|s| {
        (s.clients, s.signals, s.no_tmux_hole) = (&[0, 0], 2, true);
    });
    finds("residual: two starters without the lock", &both, FAILED_START);
    // tmux's own hole, and a third client that looks while the socket is in quarantine.
    let three = THREE_CLIENTS.with(|s| (s.no_tmux_hole, s.only_ours) = (false, true));
    finds("residual: tmux's hole, three clients", &three, ORPHAN);
}

/// Mistakes put in on purpose.
#[test]
fn each_mistake_put_in_on_purpose_is_found() {
    let faults = [
        (Fault::ConnectThenUnlink, ALONE, ORPHAN),
        (Fault::NoInodeCheck, ALONE, ORPHAN),
        (Fault::NoInodeCheck, SIGUSR1, ORPHAN),
        (Fault::PlainUnlink, SIGUSR1, ORPHAN),
        (Fault::PlainUnlink, ALONE, ORPHAN),
        (Fault::NoTable, ALONE, ORPHAN),
        (Fault::NoFirstTable, SIGUSR1_STORM, ORPHAN),
        (Fault::NoSecondLook, BLIND, ORPHAN),
        (Fault::QuarantineUnlinked, TRAVELLING, ORPHAN),
        (Fault::RestoreReplaces, SIGUSR1_STORM, ORPHAN),
        (Fault::NoSecondName, SIGUSR1_AND_KILL, CLEARS),
        (Fault::NoSecondLeaseCheck, ALONE, HOLE),
        (Fault::MoveBackReplaces, ALONE, HOLE),
        (Fault::NoLookAfterSwap, TRAVELLING, HOLE),
        (Fault::WaitsForOpeners, TRAVELLING, HOLE),
        (Fault::NoLockCompare, TRAVELLING, HOLE),
        (Fault::AdoptsOpenFile, ALONE, HOLE),
        (Fault::NoRest, TWO_LABELS, HOLE),
        (Fault::PlainMoveIn, PLAIN, HOLE),
        (Fault::NoInodeCheck, Setup { exchange: true, ..SIGUSR1 }, ORPHAN),
        (Fault::NameNotFreed, Setup { kills: 1, clients: &[0], ..SHARED }, CLEARS),
        (Fault::NotGivenBack, Setup { begins: LEFT, ..SHARED }, CLEARS),
        (Fault::GivenBackUnlocked, Setup { exchange: true, ..SIGUSR1_STORM }, ORPHAN),
        (Fault::QuarantineNotLookedAt, Setup { plain: true, ..SIGUSR1_AND_KILL }, ORPHAN),
    ];
    for (fault, setup, property) in faults {
        let setup = setup.with(|s| s.fault = Some(fault));
        finds(&format!("fault: {fault:?}"), &setup, property);
    }
}

/// Minutes, with `TMUX_JANITOR_MODEL=full`.
#[test]
fn bigger_configurations_are_safe_too() {
    if !full() {
        eprintln!("bigger configurations: only with TMUX_JANITOR_MODEL=full");
        return;
    }
    let three = THREE_CLIENTS.with(|s| (s.janitors, s.begins) = (2, TIDY.begins));
    clean("full: three clients, two janitors", &three);
    let slow = TRAVELLING.with(|s| s.open = Open::Brief);
    clean("full: slow open, a quarantine", &slow);
    let no_locks = TRAVELLING.with(|s| s.fault = Some(Fault::NoProcLocks));
    clean("full: no /proc/locks, a quarantine", &no_locks);
    let blind = BLIND.with(|s| s.begins = TRAVELLING.begins);
    clean("full: dumps that miss, a quarantine", &blind);
    let storm = TIDY.with(|s| (s.interrupts, s.client_kills, s.misses) = (true, 1, 1));
    clean("full: interrupts, a client killed, a miss", &storm);
    let labels = TWO_LABELS.with(|s| (s.janitors, s.clients) = (2, &[0, 1]));
    clean("full: two labels, two janitors", &labels);
    let kills = TRAVELLING.with(|s| (s.kills, s.kill) = (2, Kill::NotWhileAwaited));
    clean("full: two kills while nobody waits", &kills);
    let leave = three.with(|s| (s.form, s.kills) = (Form::Leave, 2));
    clean("full: leave, three clients", &leave);
    let grace = three.with(|s| s.form = Form::NamelessGrace);
    clean("full: nameless grace, three clients", &grace);
}
