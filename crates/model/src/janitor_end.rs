//! How a janitor lets go of a label's lock, in each of the forms, and how its run ends.

use crate::{
    pc::Pc,
    setup::{Fault, Form, Open, Setup},
    world::{Fd, Ino, Janitor, Lease, NONE, SLOTS, World},
};

/// The steps that have to wait.
pub(crate) fn ready(w: &World, setup: &Setup, j: usize) -> bool {
    let jan = &w.janitors[j];
    let ino = jan.fd().ino;
    match jan.pc {
        Pc::WaitOpeners => setup.has(Fault::FixedGrace) || waited(w, setup, j),
        Pc::AwaitName => {
            let name = w.lock[usize::from(jan.fd().label)];
            name == NONE || w.rest[j][usize::from(jan.cur)] == NONE || !shown_locked(w, setup, name)
        }
        // A file rests until whoever looked up its lock name before it left has met its lease.
        Pc::TravelLease | Pc::OnLook if setup.has(Fault::NoRest) => true,
        Pc::OnLook => setup.open != Open::Brief || !w.walked_to_before(ino, jan.fd().label),
        Pc::TravelLease | Pc::FinishLease => setup.open != Open::Brief || !w.walked_to(ino),
        _ => true,
    }
}

/// `/proc/locks` shows a flock on this file: looking there breaks no lease.
pub(crate) fn shown_locked(w: &World, setup: &Setup, ino: Ino) -> bool {
    w.flocked(ino) && !setup.has(Fault::NoProcLocks)
}

/// Every opener of the nameless file waits for it in flock(2).
fn waited(w: &World, setup: &Setup, j: usize) -> bool {
    let ino = w.janitors[j].fd().ino;
    if setup.form == Form::NamelessGrace {
        let brief = setup.open == Open::Brief && w.walked_to(ino);
        !brief && !w.opener_on_its_way(ino)
    } else {
        // F_SETLEASE tells whether anybody has it open, /proc/locks who waits; an opener that is
        // still inside open(2) is in no table.
        !w.open_elsewhere(ino, j) || (w.waited_for(ino) && !w.opener_on_its_way(ino))
    }
}

/// The work under the lock is done.
pub(crate) fn end(w: &World, setup: &Setup, j: usize) -> Pc {
    match setup.form {
        Form::Leave => Pc::Close,
        Form::UnlinkAndClose | Form::NamelessGrace => Pc::UnlinkLock,
        Form::Travelling if w.janitors[j].fd().lease == Lease::Never => Pc::Close,
        Form::Travelling => Pc::EndLease,
    }
}

/// A broken lease on a file at its rest name: it is the lock of the label where it was last. Only
/// another janitor can have opened one that never had a lock name.
pub(crate) fn settle(fd: Fd) -> Pc {
    if fd.label == NONE { Pc::UnlinkRest } else { Pc::MoveBack }
}

/// One step of letting go (7, 8) or of the end of the run (9).
pub(crate) fn step(w: &mut World, setup: &Setup, j: usize) -> Pc {
    match w.janitors[j].pc {
        pc if (Pc::SwapOpen..=Pc::SwapUndone).contains(&pc) => swap(w, setup, j),
        Pc::StaleLook
        | Pc::StaleOpen
        | Pc::StaleFlock
        | Pc::StaleCompare
        | Pc::StaleLease
        | Pc::StaleUnlink => stale(w, setup, j),
        _ => let_go(w, setup, j),
    }
}

fn let_go(w: &mut World, setup: &Setup, j: usize) -> Pc {
    let jan = w.janitors[j];
    let fd = jan.fd();
    let slot = usize::from(jan.cur);
    match jan.pc {
        Pc::UnlinkLock => {
            w.janitor_sets_lock(jan.label, NONE);
            if setup.form == Form::NamelessGrace { Pc::WaitOpeners } else { Pc::Close }
        }
        // By which name its opener came is not known.
        Pc::EndLease if fd.lease != Lease::Held && fd.before != NONE => Pc::LinkBack,
        // Its opener's lock keeps its name; the one that it rests under goes.
        Pc::EndLease if fd.lease != Lease::Held && w.rest[j][slot] == fd.ino => Pc::UnlinkRest,
        Pc::EndLease if fd.lease != Lease::Held => Pc::Close,
        Pc::EndLease if setup.onward && !jan.lock_only => next_name(w, j),
        Pc::EndLease => Pc::MoveOut,
        Pc::MoveOut if w.rest[j][slot] == fd.ino => {
            w.janitor_sets_lock(fd.label, NONE);
            if setup.has(Fault::NoSecondLeaseCheck) { Pc::UnlinkRest } else { Pc::RestLease }
        }
        Pc::MoveOut => {
            let moved = w.lock[usize::from(fd.label)];
            w.janitor_sets_lock(fd.label, NONE);
            w.rest[j][slot] = moved;
            if setup.has(Fault::NoSecondLeaseCheck) { Pc::UnlinkRest } else { Pc::RestLease }
        }
        Pc::RestLease | Pc::FinishLease if fd.lease != Lease::Held => settle(fd),
        Pc::RestLease => next_name(w, j),
        // Its rest name is gone: nothing is left to move back.
        Pc::MoveBack | Pc::AwaitName if w.rest[j][slot] == NONE => Pc::Close,
        Pc::MoveBack => {
            if w.lock[usize::from(fd.label)] == NONE || setup.has(Fault::MoveBackReplaces) {
                w.janitor_sets_lock(fd.label, w.rest[j][slot]);
                if setup.plain {
                    return Pc::MovedBack;
                }
                w.rest[j][slot] = NONE;
                Pc::Close
            } else if setup.has(Fault::WaitsForOpeners) {
                Pc::DropLease
            } else {
                Pc::AwaitName
            }
        }
        Pc::MovedBack => {
            w.rest[j][slot] = NONE;
            Pc::Close
        }
        Pc::AwaitName if w.lock[usize::from(fd.label)] == NONE => Pc::MoveBack,
        Pc::AwaitName => Pc::SwapOpen,
        Pc::DropLease => {
            w.janitors[j].fd_mut().lease = Lease::Gone;
            Pc::WaitOpeners
        }
        Pc::WaitOpeners if setup.form == Form::NamelessGrace => Pc::Close,
        Pc::UnlinkRest => {
            if w.rest[j][slot] == fd.ino {
                w.rest[j][slot] = NONE;
            }
            Pc::Close
        }
        Pc::WaitOpeners | Pc::FinishLease => Pc::UnlinkRest,
        // Pc::Close
        _ => {
            *w.janitors[j].fd_mut() = Fd::CLOSED;
            if jan.label >= setup.labels {
                w.janitors[j].cur = 0;
                Pc::Begin
            } else {
                next_name(w, j)
            }
        }
    }
}

/// A lock file that nobody holds stands where ours has to go back: taken with care, the two change
/// places, so that ours has its name before we let go of it.
fn swap(w: &mut World, setup: &Setup, j: usize) -> Pc {
    let jan = w.janitors[j];
    let mine = jan.fd();
    let name = w.lock[usize::from(mine.label)];
    let slot = jan.fds.iter().position(|fd| fd.ino == NONE);
    let other = usize::from(jan.other);
    match jan.pc {
        Pc::SwapOpen if name == NONE => return Pc::MoveBack,
        Pc::SwapOpen if w.leased(name) => w.break_lease(name),
        // Without a slot as without a descriptor: it is tried again.
        Pc::SwapOpen if slot.is_none() => {}
        Pc::SwapOpen => {
            let slot = slot.unwrap();
            w.janitors[j].other = u8::try_from(slot).unwrap();
            w.janitors[j].fds[slot] = Fd { ino: name, ..Fd::CLOSED };
            return Pc::SwapFlock;
        }
        Pc::SwapFlock if !w.flocked(jan.fds[other].ino) => {
            w.janitors[j].fds[other].flocked = true;
            return Pc::SwapCompare;
        }
        Pc::SwapCompare if name == jan.fds[other].ino => return Pc::SwapLease,
        Pc::SwapLease if !w.open_elsewhere(jan.fds[other].ino, j) => {
            w.janitors[j].fds[other].lease = Lease::Held;
            w.janitors[j].fds[other].label = mine.label;
            return if setup.plain { Pc::SwapOut } else { Pc::Swap };
        }
        Pc::SwapOut if name != NONE => {
            w.janitor_sets_lock(mine.label, NONE);
            w.rest[j][other] = name;
            if name == jan.fds[other].ino {
                w.janitors[j].other = 0;
                return Pc::MoveBack;
            }
            return Pc::SwapUndo;
        }
        Pc::SwapUndo if name == NONE => {
            let moved = w.rest[j][other];
            w.janitor_sets_lock(mine.label, moved);
            return Pc::SwapUndone;
        }
        Pc::SwapUndone => w.rest[j][other] = NONE,
        Pc::Swap if name != NONE && w.rest[j][usize::from(jan.cur)] != NONE => {
            exchange(w, j);
            return Pc::SwapLook;
        }
        Pc::SwapLook
            if w.rest[j][usize::from(jan.cur)] != jan.fds[other].ino
                && !setup.has(Fault::NoLookAfterSwap) =>
        {
            return Pc::SwapBack;
        }
        Pc::SwapLook => {
            w.rest[j].swap(usize::from(jan.cur), other);
            w.janitors[j].other = 0;
            return Pc::Close;
        }
        Pc::SwapBack if name != NONE && w.rest[j][usize::from(jan.cur)] != NONE => exchange(w, j),
        _ => {}
    }
    if jan.pc != Pc::SwapOpen {
        w.janitors[j].fds[other] = Fd::CLOSED;
        w.janitors[j].other = 0;
    }
    Pc::AwaitName
}

/// renameat2(rest, NAME.lock, EXCHANGE).
fn exchange(w: &mut World, j: usize) {
    let jan = w.janitors[j];
    let (label, slot) = (jan.fd().label, usize::from(jan.cur));
    let name = w.lock[usize::from(label)];
    w.janitor_sets_lock(label, w.rest[j][slot]);
    w.rest[j][slot] = name;
}

/// A rest name that is not ours: taken as a lock file alone, unless its janitor lives.
fn stale(w: &mut World, setup: &Setup, j: usize) -> Pc {
    let jan = w.janitors[j];
    let (row, slot) = (usize::from(jan.stale) / SLOTS, usize::from(jan.stale) % SLOTS);
    let name = w.rest[row][slot];
    let ino = jan.fd().ino;
    match jan.pc {
        Pc::StaleLook if name == NONE || shown_locked(w, setup, name) => stale_done(w, j),
        Pc::StaleLook => Pc::StaleOpen,
        Pc::StaleOpen if name == NONE => stale_done(w, j),
        Pc::StaleOpen if w.leased(name) => {
            w.break_lease(name);
            stale_done(w, j)
        }
        Pc::StaleOpen => {
            w.janitors[j].cur = 0;
            w.janitors[j].fds[0] = Fd { ino: name, ..Fd::CLOSED };
            Pc::StaleFlock
        }
        Pc::StaleFlock if w.flocked(ino) => stale_close(w, j),
        Pc::StaleFlock => {
            w.janitors[j].fd_mut().flocked = true;
            Pc::StaleCompare
        }
        Pc::StaleCompare if name == ino => Pc::StaleLease,
        Pc::StaleLease if !w.open_elsewhere(ino, j) => {
            w.janitors[j].fd_mut().lease = Lease::Held;
            Pc::StaleUnlink
        }
        Pc::StaleCompare | Pc::StaleLease => stale_close(w, j),
        _ => {
            // A rest name is used by one file alone: with another file there it is another name, of a later number.
            if name == ino {
                w.rest[row][slot] = NONE;
            }
            stale_close(w, j)
        }
    }
}

fn stale_close(w: &mut World, j: usize) -> Pc {
    *w.janitors[j].fd_mut() = Fd::CLOSED;
    stale_done(w, j)
}

fn stale_done(w: &mut World, j: usize) -> Pc {
    w.janitors[j].stale += 1;
    Pc::Begin
}

/// On to the next name, of the next label if this was the last.
pub(crate) fn next_name(w: &mut World, j: usize) -> Pc {
    let jan = &mut w.janitors[j];
    if jan.again {
        jan.again = false;
    } else if jan.giving {
        jan.gave = true;
    } else if jan.putting {
        jan.live &= !(1 << jan.depth);
    } else {
        jan.todo = if jan.lock_only { 0 } else { jan.todo.min(jan.depth) };
    }
    (jan.depth, jan.pin, jan.caught, jan.putting, jan.giving) = (0, NONE, 0, false, false);
    (jan.lock_only, jan.creates, jan.tries, jan.cur) = (false, false, 0, 0);
    if jan.todo == 0 && jan.live == 0 {
        (jan.label, jan.todo, jan.gave) = (jan.label + 1, Janitor::EVERY, false);
    }
    Pc::Begin
}
