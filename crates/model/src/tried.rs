//! What would make a removal cheaper and is not done: `docs/protocol.md` has the traces.

use crate::{
    checking::{first_world, run},
    properties,
    scenarios::{ALONE, CLEARS, HOLE, ORPHAN, SIGUSR1, TRAVELLING, TWO_LABELS, clean, finds},
    setup::{Begin, Fault, Kill, Setup},
    world::NONE,
};

#[test]
fn what_was_tried_fails() {
    // connect asked once, in quarantine. Both dumps miss a server that listens.
    let missed = ALONE.with(|s| (s.misses, s.no_tmux_hole) = (2, true));
    clean("tried: as it is, two misses", &missed);
    let once = missed.with(|s| s.fault = Some(Fault::NoConnectBeforeMove));
    finds("tried: no connect before the move", &once, ORPHAN);
    // A lock that goes straight on to the next label: no server is lost, and what one run leaves another has to clear.
    let onward = TWO_LABELS.with(|s| s.onward = true);
    let outcome = run("tried: onward, two labels", &onward, None);
    assert_eq!(outcome.failed, [CLEARS], "{}", outcome.trace);
    let mut left = first_world(&onward, Begin::Empty);
    let file = left.new_lock();
    left.lock = [file; 2];
    let swept = properties::sweep(&onward, &left).unwrap();
    assert_eq!(swept.lock, [NONE, file], "a file under two names: one of them stays");
    // What opened it by the name before is lost where it does not get that name, too.
    let once = onward.with(|s| s.fault = Some(Fault::NoLinkBack));
    finds("tried: onward, no second name", &once, HOLE);
    let onward = onward.with(|s| s.clients = &[0, 1]);
    finds("tried: onward, a sweep", &onward, CLEARS);
    let killed = TWO_LABELS.with(|s| (s.kills, s.kill, s.clients) = (1, Kill::NotWhileAwaited, &[0, 1]));
    clean("tried: as it is, two labels, a kill while nobody waits", &killed);
    let outcome = run("tried: onward, a kill while nobody waits", &killed.with(|s| s.onward = true), None);
    assert_eq!(outcome.failed, [CLEARS], "{}", outcome.trace);
}

/// A lock file that keeps its rest name: link(2) and unlink(2) instead of two renames.
#[test]
fn a_lock_name_that_is_unlinked_can_be_another_lock() {
    let linked = |setup: &Setup| setup.with(|s| s.linked = true);
    clean("tried: linked, one janitor", &linked(&ALONE));
    clean("tried: linked, two labels", &linked(&TWO_LABELS));
    finds("tried: linked, two janitors", &linked(&TRAVELLING), HOLE);
}

/// SIGUSR1 to a server that lost its name, while two janitors work on two labels and one of them is killed.
const TWO_AND_KILL: Setup = Setup {
    janitors: 2,
    labels: 2,
    clients: &[],
    begins: &[Begin::TwoDeadAndLost],
    kills: 1,
    kill: Kill::NotWhileAwaited,
    ..SIGUSR1
};

/// One quarantine name, whose dead socket the next one replaces.
#[test]
fn a_quarantine_that_is_replaced_is_recovered_by_its_own_version_alone() {
    clean("tried: as it is, two labels, SIGUSR1 and a kill", &TWO_AND_KILL);
    let single = TWO_AND_KILL.with(|s| s.single = true);
    clean("tried: single, two labels, SIGUSR1 and a kill", &single);
    let client = single.with(|s| (s.kills, s.clients) = (0, &[1]));
    clean("tried: single, two labels, SIGUSR1 and a client", &client);
    let lock_only = single.with(|s| s.fault = Some(Fault::OwnerNotAsked));
    finds("tried: single, under its label's lock alone", &lock_only, ORPHAN);
    let older = single.with(|s| s.older = true);
    finds("tried: single, an older version sweeps next", &older, ORPHAN);
}
