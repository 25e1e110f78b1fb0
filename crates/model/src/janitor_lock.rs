//! How a janitor takes a label's lock: its own file where there is none, else with care.

use crate::{
    janitor_end::{self, next_name, settle, shown_locked},
    pc::Pc,
    setup::{Fault, Form, Setup},
    world::{Fd, Ino, Lease, NONE, SLOTS, World},
};

/// Times an existing lock file is tried when its name changes under us (three in the code).
const TRIES: u8 = 2;

/// The lock of the current label is wanted.
pub(crate) fn take(w: &mut World, setup: &Setup, j: usize) -> Pc {
    if setup.form != Form::Travelling {
        return Pc::OpenLock;
    }
    let label = w.janitors[j].label;
    let own = (0..SLOTS).find(|slot| w.stands(setup, j, *slot) && w.janitors[j].fds[*slot].label == label);
    let jan = &mut w.janitors[j];
    if let Some(slot) = own.or_else(|| jan.fds.iter().position(|fd| fd.ino != NONE)) {
        jan.cur = u8::try_from(slot).unwrap();
        if w.stands(setup, j, slot) { Pc::OnLook } else { Pc::TravelLease }
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
        Pc::TravelLease | Pc::MoveIn | Pc::MovedIn => move_in(w, setup, j),
        Pc::OnLook | Pc::MoveOn | Pc::OnLease | Pc::LinkBack | Pc::LinkRest => move_on(w, setup, j),
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
        // Another janitor took it for litter.
        Pc::CreateFlock if w.flocked(ino) => without(w, j),
        Pc::CreateFlock => {
            w.janitors[j].fd_mut().flocked = true;
            Pc::CreateLease
        }
        _ if w.open_elsewhere(ino, j) => without(w, j),
        _ => {
            w.janitors[j].fd_mut().lease = Lease::Held;
            Pc::TravelLease
        }
    }
}

/// The new lock file is given up; the label's own is taken.
fn without(w: &mut World, j: usize) -> Pc {
    let slot = usize::from(w.janitors[j].cur);
    w.rest[j][slot] = NONE;
    w.janitors[j].fds[slot] = Fd::CLOSED;
    w.janitors[j].creates = true;
    Pc::LookLocks
}

/// Step 2: the resting file goes to NAME.lock, if there is none.
fn move_in(w: &mut World, setup: &Setup, j: usize) -> Pc {
    let jan = w.janitors[j];
    let fd = jan.fd();
    match jan.pc {
        Pc::TravelLease if fd.lease == Lease::Held => Pc::MoveIn,
        Pc::TravelLease => {
            w.janitors[j].again = true;
            settle(fd)
        }
        Pc::MovedIn => {
            w.rest[j][usize::from(jan.cur)] = NONE;
            locked(w, setup, j)
        }
        // Another janitor took it for litter: it is let go, and another one made.
        _ if w.rest[j][usize::from(jan.cur)] == NONE => {
            w.janitors[j].again = true;
            Pc::Close
        }
        _ if w.lock[usize::from(jan.label)] == NONE || setup.has(Fault::PlainMoveIn) => {
            w.janitor_sets_lock(jan.label, w.rest[j][usize::from(jan.cur)]);
            w.janitors[j].fd_mut().label = jan.label;
            if setup.linked {
                return locked(w, setup, j);
            }
            if setup.plain {
                return Pc::MovedIn;
            }
            w.rest[j][usize::from(jan.cur)] = NONE;
            locked(w, setup, j)
        }
        _ => Pc::LookLocks,
    }
}

/// Tried: the file stands at the lock name of the label before, and moves straight on.
fn move_on(w: &mut World, setup: &Setup, j: usize) -> Pc {
    let jan = w.janitors[j];
    let fd = jan.fd();
    let is_over = jan.label >= setup.labels;
    match jan.pc {
        Pc::OnLook if fd.lease != Lease::Held => {
            w.janitors[j].again = !is_over;
            if fd.before == NONE { Pc::Close } else { Pc::LinkBack }
        }
        Pc::OnLook => {
            w.janitors[j].fd_mut().before = NONE;
            if is_over {
                Pc::MoveOut
            } else if fd.label == jan.label {
                locked(w, setup, j)
            } else {
                Pc::MoveOn
            }
        }
        Pc::MoveOn => {
            let moved = w.lock[usize::from(fd.label)];
            if moved == NONE {
                w.janitors[j].again = true;
                return Pc::Close;
            }
            if w.lock[usize::from(jan.label)] != NONE {
                return Pc::LookLocks;
            }
            w.janitor_sets_lock(fd.label, NONE);
            w.janitor_sets_lock(jan.label, moved);
            let fd = w.janitors[j].fd_mut();
            (fd.label, fd.before) = (jan.label, fd.label);
            Pc::OnLease
        }
        Pc::OnLease if fd.lease == Lease::Held => locked(w, setup, j),
        Pc::OnLease => {
            w.janitors[j].again = true;
            Pc::LinkBack
        }
        Pc::LinkBack if setup.has(Fault::NoLinkBack) => Pc::Close,
        Pc::LinkBack if w.lock[usize::from(fd.before)] != NONE => Pc::LinkRest,
        Pc::LinkBack => {
            w.janitor_sets_lock(fd.before, fd.ino);
            Pc::Close
        }
        _ => {
            w.rest[j][usize::from(jan.cur)] = fd.ino;
            w.janitors[j].fd_mut().label = fd.before;
            Pc::MoveBack
        }
    }
}

/// Step 2, the careful way: somebody's lock file is there.
fn existing(w: &mut World, setup: &Setup, j: usize) -> Pc {
    let jan = w.janitors[j];
    let name = w.lock[usize::from(jan.label)];
    let ino = jan.fd().ino;
    match jan.pc {
        Pc::LookLocks if name == NONE && !jan.creates => next_name(w, j),
        Pc::LookLocks if name != NONE && shown_locked(w, setup, name) => next_name(w, j),
        Pc::LookLocks => Pc::OpenLock,
        Pc::OpenLock => open(w, setup, j, name),
        Pc::FlockLock if w.flocked(ino) => Pc::Close,
        Pc::FlockLock => {
            w.janitors[j].fd_mut().flocked = true;
            Pc::CompareLock
        }
        Pc::CompareLock if name == ino || setup.has(Fault::NoLockCompare) => {
            if setup.form == Form::Travelling { Pc::LeaseLock } else { locked(w, setup, j) }
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
                locked(w, setup, j)
            }
        }
        _ => {
            let fd = w.janitors[j].fd_mut();
            fd.lease = Lease::Held;
            fd.label = jan.label;
            locked(w, setup, j)
        }
    }
}

fn open(w: &mut World, setup: &Setup, j: usize, name: Ino) -> Pc {
    let jan = w.janitors[j];
    let mut ino = name;
    if name == NONE {
        // The travelling form moves one there, if it can.
        if setup.form == Form::Travelling && !jan.creates || jan.lock_only {
            return next_name(w, j);
        }
        ino = w.new_lock();
        w.janitor_sets_lock(jan.label, ino);
    }
    if w.leased(ino) {
        // O_NONBLOCK: we do not wait, yet the holder sees its lease break.
        w.break_lease(ino);
        return next_name(w, j);
    }
    let Some(slot) = jan.fds.iter().position(|fd| fd.ino == NONE) else {
        return next_name(w, j);
    };
    let jan = &mut w.janitors[j];
    jan.cur = u8::try_from(slot).unwrap();
    *jan.fd_mut() = Fd { ino, ..Fd::CLOSED };
    Pc::FlockLock
}

/// The label's lock is ours: what it was wanted for.
fn locked(w: &mut World, setup: &Setup, j: usize) -> Pc {
    let jan = &mut w.janitors[j];
    if jan.lock_only {
        Pc::StatNoSock
    } else if jan.giving {
        Pc::GiveBack
    } else if jan.putting {
        Pc::PutBack
    } else if jan.depth > 0 && setup.has(Fault::QuarantineUnlinked) {
        jan.caught = jan.depth;
        Pc::UnlinkQuarantine
    } else if setup.has(Fault::NoSecondLook) {
        Pc::StatSock
    } else {
        Pc::TableLocked
    }
}
