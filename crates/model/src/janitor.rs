//! Our janitor, one system call at a time: the sweep, and what it does under a label's lock.
//! The lock is taken in `janitor_lock` and let go in `janitor_end`.

use crate::{
    janitor_end::{self, next_name},
    janitor_lock,
    pc::Pc,
    setup::{Fault, Form, Setup},
    world::{DIR, Fd, Ino, JANITORS, Janitor, LABELS, NONE, SLOTS, World},
};

/// A janitor that is done with all labels looks at none.
#[expect(clippy::cast_possible_truncation, reason = "a handful of labels")]
const LAST_LABEL: u8 = LABELS as u8 - 1;

/// The next step can be taken.
pub(crate) fn ready(w: &World, setup: &Setup, j: usize) -> bool {
    let jan = &w.janitors[j];
    match jan.pc {
        Pc::Off | Pc::Done | Pc::Dead => false,
        Pc::WaitOpeners | Pc::AwaitName | Pc::TravelLease | Pc::OnLook | Pc::FinishLease => {
            janitor_end::ready(w, setup, j)
        }
        _ => true,
    }
}

/// One step of janitor `j`. `misses`: if it is a dump of the table, it misses what it looks for.
pub(crate) fn step(w: &mut World, setup: &Setup, j: usize, misses: bool) {
    let jan = w.janitors[j];
    let (label, depth) = (jan.label, jan.depth);
    let name = w.name(label.min(LAST_LABEL), depth);
    let next = match jan.pc {
        Pc::Begin => begin(w, setup, j),
        Pc::Table => table(w, setup, j, misses),
        // Steps 3 to 5.
        Pc::TableLocked if listed(w, setup, jan.pin, misses) => janitor_end::end(w, setup, j),
        Pc::TableLocked if setup.has(Fault::NoConnectBeforeMove) => look_done(setup),
        Pc::TableLocked => Pc::ConnectLocked,
        Pc::ConnectLocked if w.listening(jan.pin) => unlocked(w, setup, j),
        Pc::ConnectLocked => look_done(setup),
        Pc::StatSock if name != jan.pin => janitor_end::end(w, setup, j),
        Pc::StatSock if depth > 0 => {
            w.janitors[j].caught = depth;
            Pc::StatQuarantine
        }
        Pc::StatSock if replaces(&w.janitors[j], setup) => Pc::Replace,
        Pc::StatSock if setup.has(Fault::PlainUnlink) => Pc::UnlinkSock,
        Pc::StatSock if setup.exchange => Pc::MakePlace,
        Pc::StatSock => Pc::Quarantine,
        Pc::Replace | Pc::UnlinkSingle => single(w, setup, j),
        // Only who has the label's lock uses its quarantine names: one that is free stays free.
        Pc::Quarantine if setup.plain => {
            let free = (depth + 1..Janitor::ALL)
                .take(2)
                .find(|to| w.name(label, *to) == NONE || setup.has(Fault::QuarantineNotLookedAt));
            w.janitors[j].caught = free.unwrap_or(0);
            free.map_or_else(|| janitor_end::end(w, setup, j), |_| Pc::QuarantineFree)
        }
        Pc::QuarantineFree | Pc::StatNoSock if name == NONE => janitor_end::end(w, setup, j),
        Pc::QuarantineFree => {
            w.janitor_sets_name(label, depth, NONE);
            w.janitor_sets_name(label, jan.caught, name);
            Pc::StatQuarantine
        }
        Pc::Quarantine => {
            let names = if setup.has(Fault::NoSecondName) { 1 } else { 2 };
            let free = (depth + 1..Janitor::ALL).take(names).find(|to| w.janitor_renames(label, depth, *to));
            w.janitors[j].caught = free.unwrap_or(0);
            free.map_or_else(|| janitor_end::end(w, setup, j), |_| Pc::StatQuarantine)
        }
        Pc::StatQuarantine if w.name(label, jan.caught) == jan.pin || setup.has(Fault::NoInodeCheck) => {
            Pc::ConnectQuarantine
        }
        Pc::StatQuarantine => not_it(w, setup, j),
        Pc::ConnectQuarantine if w.listening(jan.pin) => not_it(w, setup, j),
        Pc::ConnectQuarantine if setup.exchange && name_is_kept(w, setup, j) => Pc::RmdirName,
        Pc::ConnectQuarantine if exchanges(&jan, setup) => Pc::RmdirName,
        Pc::ConnectQuarantine if jan.depth == 0 && replaces(&jan, setup) => {
            w.janitors[j].proven = true;
            janitor_end::end(w, setup, j)
        }
        Pc::ConnectQuarantine => Pc::UnlinkQuarantine,
        Pc::UnlinkQuarantine => {
            w.janitor_sets_name(label, jan.caught, NONE);
            janitor_end::end(w, setup, j)
        }
        Pc::MakePlace | Pc::Exchange | Pc::RmdirName | Pc::ExchangeBack | Pc::RmdirAside | Pc::GiveBack => {
            shared(w, setup, j)
        }
        Pc::Restore if setup.plain => {
            if links_back(w, label, jan.caught, depth) {
                Pc::Restored
            } else {
                janitor_end::end(w, setup, j)
            }
        }
        Pc::Restore => {
            restore(w, setup, label, jan.caught, depth);
            janitor_end::end(w, setup, j)
        }
        Pc::Restored => {
            w.janitor_sets_name(label, if jan.putting { depth } else { jan.caught }, NONE);
            janitor_end::end(w, setup, j)
        }
        // Step 6.
        Pc::PutBack if setup.plain => {
            if links_back(w, label, depth, 0) {
                Pc::Restored
            } else {
                janitor_end::end(w, setup, j)
            }
        }
        Pc::PutBack => {
            restore(w, setup, label, depth, 0);
            janitor_end::end(w, setup, j)
        }
        Pc::UnlinkSock => {
            w.janitor_sets_name(label, depth, NONE);
            unlocked(w, setup, j)
        }
        // A lock file without a socket: a socket that stands there by now needs it.
        Pc::StatNoSock => Pc::Close,
        Pc::Off | Pc::Done | Pc::Dead => jan.pc,
        _ => janitor_lock::step(w, setup, j),
    };
    let jan = &mut w.janitors[j];
    jan.pc = next;
    if !next.critical() && next > Pc::StatNoSock {
        // The handle is closed with the removal: a number that nobody pins can be used again.
        jan.pin = NONE;
        jan.caught = 0;
    }
}

/// What is in quarantine is not what was found dead: it goes back where it was taken from.
fn not_it(w: &World, setup: &Setup, j: usize) -> Pc {
    let jan = &w.janitors[j];
    if jan.caught == jan.depth {
        janitor_end::end(w, setup, j)
    } else if exchanges(jan, setup) {
        Pc::ExchangeBack
    } else {
        Pc::Restore
    }
}

/// Tried: it has one quarantine name.
fn replaces(jan: &Janitor, setup: &Setup) -> bool {
    setup.single && !jan.older
}

/// rename(NAME, its one quarantine name): what was found dead there is gone then. At the end of the run it is unlinked.
fn single(w: &mut World, setup: &Setup, j: usize) -> Pc {
    let Janitor { pc, label, proven, .. } = w.janitors[j];
    if pc == Pc::UnlinkSingle {
        (w.single[j], w.single_label[j], w.janitors[j].proven) = (NONE, 0, false);
        return Pc::Begin;
    }
    let name = w.name(label, 0);
    if name == NONE || w.single[j] != NONE && !proven {
        return janitor_end::end(w, setup, j);
    }
    let single = Janitor::ALL + u8::try_from(j).unwrap();
    w.janitor_sets_name(label, 0, NONE);
    w.janitor_sets_name(label, single, name);
    (w.janitors[j].caught, w.janitors[j].proven) = (single, false);
    Pc::StatQuarantine
}

/// A janitor's one quarantine name is its own as long as it lives: a flock of it says so. Older versions do not know them.
fn is_anybodys(w: &World, setup: &Setup, j: usize, depth: u8) -> bool {
    let Some(owner) = depth.checked_sub(Janitor::ALL).map(usize::from) else { return true };
    let is_over = matches!(w.janitors[owner].pc, Pc::Off | Pc::Done | Pc::Dead);
    owner != j && replaces(&w.janitors[j], setup) && (is_over || setup.has(Fault::OwnerNotAsked))
}

/// A killed run's directory stands at NAME, and what is worked on is the socket that it stands for.
fn name_is_kept(w: &World, setup: &Setup, j: usize) -> bool {
    let jan = &w.janitors[j];
    jan.depth > 0 && w.name(jan.label, 0) == DIR && !setup.has(Fault::NameNotFreed)
}

/// What is worked on is NAME itself, in a folder that everybody may write.
fn exchanges(jan: &Janitor, setup: &Setup) -> bool {
    setup.exchange && jan.depth == 0
}

/// One step of the removal where NAME and its quarantine name change places.
fn shared(w: &mut World, setup: &Setup, j: usize) -> Pc {
    let Janitor { label, pc, .. } = w.janitors[j];
    match pc {
        Pc::MakePlace => match w.name(label, 1) {
            NONE | DIR => {
                w.janitor_sets_name(label, 1, DIR);
                Pc::Exchange
            }
            _ => janitor_end::end(w, setup, j),
        },
        Pc::Exchange if w.janitor_exchanges(label, 0, 1) => {
            w.janitors[j].caught = 1;
            Pc::StatQuarantine
        }
        Pc::RmdirName if w.janitor_rmdirs(label, 0) => Pc::UnlinkQuarantine,
        Pc::ExchangeBack if w.janitor_exchanges(label, 1, 0) => Pc::RmdirAside,
        Pc::RmdirAside => {
            w.janitor_rmdirs(label, 1);
            given(w, setup, j)
        }
        Pc::GiveBack if w.name(label, 0) == DIR && !matches!(w.name(label, 1), NONE | DIR) => {
            w.janitor_exchanges(label, 1, 0);
            Pc::RmdirAside
        }
        Pc::GiveBack if !setup.has(Fault::NameNotFreed) && w.janitor_rmdirs(label, 0) => Pc::RmdirAside,
        // Nothing stands at NAME any more; nothing of a killed run does.
        Pc::Exchange | Pc::GiveBack => Pc::RmdirAside,
        _ => janitor_end::end(w, setup, j),
    }
}

/// The end of what was done under the lock, if it was done under it.
fn given(w: &mut World, setup: &Setup, j: usize) -> Pc {
    if w.janitors[j].giving && setup.has(Fault::GivenBackUnlocked) {
        next_name(w, j)
    } else {
        janitor_end::end(w, setup, j)
    }
}

/// Whether a run that was killed has left something of a label: our directory at one of its names.
fn is_left(w: &World, label: u8) -> bool {
    [0, 1].iter().any(|depth| w.name(label, *depth) == DIR)
}

/// The first dump, which decides whether the lock is wanted at all.
fn table(w: &mut World, setup: &Setup, j: usize, misses: bool) -> Pc {
    let jan = &w.janitors[j];
    let found = jan.depth > 0;
    let is_listed = listed(w, setup, jan.pin, misses);
    if found && setup.has(Fault::QuarantineUnlinked) {
        janitor_lock::take(w, setup, j)
    } else if is_listed && (found || !setup.has(Fault::NoFirstTable)) {
        let jan = &mut w.janitors[j];
        // Nobody binds a quarantine name: it was moved there.
        jan.live |= u8::from(found) << jan.depth;
        next_name(w, j)
    } else if setup.has(Fault::ConnectThenUnlink) {
        Pc::ConnectLocked
    } else {
        janitor_lock::take(w, setup, j)
    }
}

/// A dump of the table shows this socket.
fn listed(w: &World, setup: &Setup, ino: Ino, misses: bool) -> bool {
    w.bound(ino) && !misses && !setup.has(Fault::NoTable)
}

fn begin(w: &mut World, setup: &Setup, j: usize) -> Pc {
    let jan = w.janitors[j];
    if jan.label >= setup.labels {
        return finish(w, setup, j);
    }
    if setup.exchange && !jan.gave && !setup.has(Fault::NotGivenBack) && is_left(w, jan.label) {
        w.janitors[j].giving = true;
        let unlocked = setup.has(Fault::GivenBackUnlocked);
        return if unlocked { Pc::GiveBack } else { janitor_lock::take(w, setup, j) };
    }
    w.janitors[j].gave = true;
    let is_socket =
        |depth: &u8| !matches!(w.name(jan.label, *depth), NONE | DIR) && is_anybodys(w, setup, j, *depth);
    if let Some(depth) = (0..jan.todo).rev().find(is_socket) {
        let pin = w.name(jan.label, depth);
        let jan = &mut w.janitors[j];
        (jan.depth, jan.pin) = (depth, pin);
        Pc::Table
    } else if jan.live != 0 {
        let jan = &mut w.janitors[j];
        jan.todo = 0;
        jan.depth = (1..Janitor::EVERY).rev().find(|depth| jan.live & 1 << depth != 0).unwrap_or_default();
        jan.putting = true;
        janitor_lock::take(w, setup, j)
    } else if jan.todo == Janitor::EVERY
        && w.lock[usize::from(jan.label)] != NONE
        && setup.form != Form::Leave
    {
        w.janitors[j].lock_only = true;
        Pc::LookLocks
    } else {
        w.janitors[j].todo = 0;
        next_name(w, j)
    }
}

/// All labels are done: the own lock files go, then those that killed janitors left.
fn finish(w: &mut World, setup: &Setup, j: usize) -> Pc {
    if setup.form != Form::Travelling {
        return Pc::Done;
    }
    let jan = &mut w.janitors[j];
    if let Some(slot) = jan.fds.iter().position(|fd| fd.ino != NONE) {
        jan.cur = u8::try_from(slot).unwrap();
        return if w.stands(setup, j, slot) { Pc::OnLook } else { Pc::FinishLease };
    }
    if jan.proven {
        return Pc::UnlinkSingle;
    }
    while usize::from(jan.stale) < JANITORS * SLOTS {
        let (row, slot) = (usize::from(jan.stale) / SLOTS, usize::from(jan.stale) % SLOTS);
        if row != j && w.rest[row][slot] != NONE {
            return Pc::StaleLook;
        }
        jan.stale += 1;
    }
    jan.stale = 0;
    Pc::Done
}

fn look_done(setup: &Setup) -> Pc {
    match setup.fault {
        Some(Fault::ConnectThenUnlink) => Pc::UnlinkSock,
        Some(Fault::NoInodeCheck) => Pc::Quarantine,
        _ => Pc::StatSock,
    }
}

/// The end of a removal, which has no lock to let go in the oldest of mistakes.
fn unlocked(w: &mut World, setup: &Setup, j: usize) -> Pc {
    if setup.has(Fault::ConnectThenUnlink) { next_name(w, j) } else { janitor_end::end(w, setup, j) }
}

/// renameat2(QNAME, NAME, `NOREPLACE`). If it fails, the file is left and reported.
fn restore(w: &mut World, setup: &Setup, label: u8, from: u8, to: u8) {
    if setup.has(Fault::RestoreReplaces) && w.name(label, from) != NONE {
        w.janitor_sets_name(label, to, NONE);
    }
    w.janitor_renames(label, from, to);
}

/// link(QNAME, NAME); whether NAME leads there now.
fn links_back(w: &mut World, label: u8, from: u8, to: u8) -> bool {
    let ino = w.name(label, from);
    if ino != NONE && w.name(label, to) == NONE {
        w.janitor_sets_name(label, to, ino);
    }
    ino != NONE && w.name(label, to) == ino
}

/// SIGKILL: handles, locks and leases vanish, files stay.
pub(crate) fn dies(w: &mut World, j: usize) {
    w.janitors[j] = Janitor { pc: Pc::Dead, fds: [Fd::CLOSED; SLOTS], ..Janitor::OFF };
}
