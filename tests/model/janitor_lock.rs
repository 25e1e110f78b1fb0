//! How a janitor takes a label's lock: its own file where there is none, else with care.

use crate::{
    janitor::next_label,
    janitor_end::{self, settle, shown_locked},
    pc::Pc,
    setup::{Fault, Form, Setup},
    world::{Fd, Ino, Lease, NONE, World},
};

/// Times an existing lock file is tried when its name changes under us (three in the code).
const TRIES: u8 = 2;

/// The lock of the current label is wanted.
pub(crate) fn take(w: &mut World, setup: &Setup, j: usize) -> Pc {
    let jan = &mut w.janitors[j];
    if setup.form != Form::Travelling {
        return Pc::OpenLock;
    }
    if let Some(slot) = jan.fds.iter().position(|fd| fd.ino != NONE) {
        jan.cur = u8::try_from(slot).unwrap();
        Pc::TravelLease
    } else {
        jan.cur = 0;
        Pc::Create
    }
}

/// One step of taking; the others are those of letting go.
pub(crate) fn step(w: &mut World, setup: &Setup, j: usize) -> Pc {
    let pc = w.janitors[j].pc;
    match pc {
        Pc::Create | Pc::CreateFlock | Pc::CreateLease => create(w, j),
        Pc::TravelLease | Pc::MoveIn => move_in(w, j),
        Pc::LookLocks | Pc::OpenLock | Pc::FlockLock | Pc::CompareLock | Pc::LeaseLock => {
            existing(w, setup, j)
        }
        _ => janitor_end::step(w, setup, j),
    }
}

/// A new lock file at its rest name: create, flock, lease.
fn create(w: &mut World, j: usize) -> Pc {
    let jan = w.janitors[j];
    let slot = usize::from(jan.cur);
    let ino = jan.fd().ino;
    match jan.pc {
        Pc::Create => {
            let ino = w.new_lock();
            w.rest[j][slot] = ino;
            w.janitors[j].fds[slot] = Fd { ino, ..Fd::CLOSED };
            Pc::CreateFlock
        }
        // Another janitor took it for litter: it removes it.
        Pc::CreateFlock if w.flocked(ino) => Pc::Close,
        Pc::CreateFlock => {
            w.janitors[j].fd_mut().flocked = true;
            Pc::CreateLease
        }
        _ if w.open_elsewhere(ino, j) => Pc::UnlinkRest,
        _ => {
            w.janitors[j].fd_mut().lease = Lease::Held;
            Pc::TravelLease
        }
    }
}

/// Step 2: the resting file goes to NAME.lock, if there is none.
fn move_in(w: &mut World, j: usize) -> Pc {
    let jan = w.janitors[j];
    let fd = jan.fd();
    match jan.pc {
        Pc::TravelLease if fd.lease == Lease::Held => Pc::MoveIn,
        Pc::TravelLease => {
            w.janitors[j].again = true;
            settle(fd)
        }
        _ if w.lock[usize::from(jan.label)] == NONE => {
            w.janitor_sets_lock(jan.label, fd.ino);
            w.rest[j][usize::from(jan.cur)] = NONE;
            w.janitors[j].fd_mut().label = jan.label;
            Pc::RecoverPin
        }
        _ => Pc::LookLocks,
    }
}

/// Step 2, the careful way: somebody's lock file is there.
fn existing(w: &mut World, setup: &Setup, j: usize) -> Pc {
    let jan = w.janitors[j];
    let name = w.lock[usize::from(jan.label)];
    let ino = jan.fd().ino;
    match jan.pc {
        Pc::LookLocks if name == NONE || shown_locked(w, setup, name) => next_label(w, j),
        Pc::LookLocks => Pc::OpenLock,
        Pc::OpenLock => open(w, setup, j, name),
        Pc::FlockLock if w.flocked(ino) => Pc::Close,
        Pc::FlockLock => {
            w.janitors[j].fd_mut().flocked = true;
            Pc::CompareLock
        }
        Pc::CompareLock if name == ino || setup.has(Fault::NoLockCompare) => {
            if setup.form == Form::Travelling { Pc::LeaseLock } else { taken(w, j) }
        }
        Pc::CompareLock => {
            let jan = &mut w.janitors[j];
            jan.tries += 1;
            jan.again = jan.tries < TRIES;
            Pc::Close
        }
        _ if w.open_elsewhere(ino, j) && !setup.has(Fault::AdoptsOpenFile) => {
            if jan.lock_only {
                Pc::Close
            } else {
                taken(w, j)
            }
        }
        _ => {
            let fd = w.janitors[j].fd_mut();
            fd.lease = Lease::Held;
            fd.label = jan.label;
            taken(w, j)
        }
    }
}

fn open(w: &mut World, setup: &Setup, j: usize, name: Ino) -> Pc {
    let jan = w.janitors[j];
    let mut ino = name;
    if name == NONE {
        // The travelling form never creates NAME.lock: it moves one there.
        if setup.form == Form::Travelling || jan.lock_only {
            return next_label(w, j);
        }
        ino = w.new_lock();
        w.janitor_sets_lock(jan.label, ino);
    }
    if w.leased(ino) {
        // O_NONBLOCK: we do not wait, yet the holder sees its lease break.
        w.break_lease(ino);
        return next_label(w, j);
    }
    let slot = jan.fds.iter().position(|fd| fd.ino == NONE).unwrap();
    let jan = &mut w.janitors[j];
    jan.cur = u8::try_from(slot).unwrap();
    *jan.fd_mut() = Fd { ino, ..Fd::CLOSED };
    Pc::FlockLock
}

fn taken(w: &World, j: usize) -> Pc {
    if w.janitors[j].lock_only { Pc::StatNoSock } else { Pc::RecoverPin }
}
