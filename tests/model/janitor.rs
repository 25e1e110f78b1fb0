//! Our janitor, one system call at a time: the sweep, and what it does under a label's lock.
//! The lock is taken in `janitor_lock` and let go in `janitor_end`.

use crate::{
    janitor_end, janitor_lock,
    pc::Pc,
    setup::{Fault, Form, Setup},
    world::{Fd, Ino, JANITORS, Janitor, NONE, SLOTS, World},
};

/// The next step can be taken.
pub(crate) fn ready(w: &World, setup: &Setup, j: usize) -> bool {
    let jan = &w.janitors[j];
    match jan.pc {
        Pc::Off | Pc::Done | Pc::Dead => false,
        Pc::WaitOpeners | Pc::AwaitName | Pc::TravelLease | Pc::FinishLease => {
            janitor_end::ready(w, setup, j)
        }
        _ => true,
    }
}

/// One step of janitor `j`. `misses`: if it is a dump of the table, it misses what it looks for.
pub(crate) fn step(w: &mut World, setup: &Setup, j: usize, misses: bool) {
    let jan = w.janitors[j];
    let label = usize::from(jan.label);
    let next = match jan.pc {
        Pc::Begin => begin(w, setup, j),
        Pc::Table => {
            let listed = listed(w, setup, jan.pin, misses);
            if listed && w.quarantine[label] == NONE {
                return w.janitors[j].pc = next_label(w, j);
            }
            if listed && !setup.has(Fault::NoFirstTable) {
                // Only the quarantine is left to look at.
                w.janitors[j].pin = NONE;
            }
            if setup.has(Fault::ConnectThenUnlink) {
                Pc::ConnectLocked
            } else {
                janitor_lock::take(w, setup, j)
            }
        }
        Pc::RecoverPin
        | Pc::RecoverTable
        | Pc::RecoverConnect
        | Pc::RecoverUnlink
        | Pc::RecoverRestore
        | Pc::Exchange
        | Pc::StatExchanged
        | Pc::ExchangeBack => recover(w, setup, j, misses),
        // Steps 3 to 5.
        Pc::TableLocked if listed(w, setup, jan.pin, misses) => janitor_end::end(w, setup, j),
        Pc::TableLocked => Pc::ConnectLocked,
        Pc::ConnectLocked if w.listening(jan.pin) => unlocked(w, setup, j),
        Pc::ConnectLocked => look_done(setup),
        Pc::StatSock if w.sock[label] != jan.pin => janitor_end::end(w, setup, j),
        Pc::StatSock if setup.has(Fault::PlainUnlink) => Pc::UnlinkSock,
        Pc::StatSock if w.quarantine[label] != NONE && !setup.has(Fault::NoExchange) => Pc::Exchange,
        Pc::StatSock => Pc::Quarantine,
        Pc::Quarantine => {
            if w.sock[label] == NONE || w.quarantine[label] != NONE {
                janitor_end::end(w, setup, j)
            } else {
                w.quarantine[label] = w.sock[label];
                w.janitor_sets_sock(jan.label, NONE);
                Pc::StatQuarantine
            }
        }
        Pc::StatQuarantine if w.quarantine[label] == jan.pin || setup.has(Fault::NoInodeCheck) => {
            Pc::UnlinkQuarantine
        }
        Pc::StatQuarantine => Pc::Restore,
        Pc::UnlinkQuarantine => {
            w.quarantine[label] = NONE;
            janitor_end::end(w, setup, j)
        }
        Pc::Restore => {
            restore(w, setup, j);
            janitor_end::end(w, setup, j)
        }
        Pc::UnlinkSock => {
            w.janitor_sets_sock(jan.label, NONE);
            unlocked(w, setup, j)
        }
        // A lock file without a socket: a socket that stands there by now needs it.
        Pc::StatNoSock if w.sock[label] == NONE => janitor_end::end(w, setup, j),
        Pc::StatNoSock => Pc::Close,
        Pc::Off | Pc::Done | Pc::Dead => jan.pc,
        _ => janitor_lock::step(w, setup, j),
    };
    let jan = &mut w.janitors[j];
    jan.pc = next;
    if !next.critical() && next > Pc::StatNoSock {
        // The handles are closed with the removal: a number that nobody pins can be used again.
        jan.pin = NONE;
        jan.quarantined = NONE;
    }
}

/// Step 6, a quarantine left by a killed run: only the holder of the label's lock touches it.
fn recover(w: &mut World, setup: &Setup, j: usize, misses: bool) -> Pc {
    let jan = w.janitors[j];
    let label = usize::from(jan.label);
    match jan.pc {
        Pc::RecoverPin => {
            w.janitors[j].quarantined = w.quarantine[label];
            if w.quarantine[label] == NONE {
                after_recovery(w, setup, j)
            } else if setup.has(Fault::QuarantineUnlinked) {
                Pc::RecoverUnlink
            } else {
                Pc::RecoverTable
            }
        }
        Pc::RecoverTable if listed(w, setup, jan.quarantined, misses) => Pc::RecoverRestore,
        Pc::RecoverTable => Pc::RecoverConnect,
        Pc::RecoverConnect if w.listening(jan.quarantined) => Pc::RecoverRestore,
        Pc::RecoverConnect => Pc::RecoverUnlink,
        Pc::RecoverUnlink => {
            w.quarantine[label] = NONE;
            after_recovery(w, setup, j)
        }
        Pc::RecoverRestore => {
            restore(w, setup, j);
            after_recovery(w, setup, j)
        }
        // A live socket in quarantine and a dead one at NAME change places: NAME is never empty.
        Pc::Exchange => {
            let hidden = w.quarantine[label];
            if hidden == NONE || w.sock[label] == NONE {
                janitor_end::end(w, setup, j)
            } else {
                w.quarantine[label] = w.sock[label];
                w.janitor_sets_sock(jan.label, hidden);
                Pc::StatExchanged
            }
        }
        Pc::StatExchanged if w.quarantine[label] == jan.pin => Pc::UnlinkQuarantine,
        Pc::StatExchanged => Pc::ExchangeBack,
        // ExchangeBack: a starter without the lock bound NAME just then. It keeps it, the other
        // is reported.
        _ => {
            let theirs = w.quarantine[label];
            if w.sock[label] != NONE {
                w.quarantine[label] = w.sock[label];
                w.janitor_sets_sock(jan.label, theirs);
            }
            janitor_end::end(w, setup, j)
        }
    }
}

/// A dump of the table shows this socket.
fn listed(w: &World, setup: &Setup, ino: Ino, misses: bool) -> bool {
    w.bound(ino) && !misses && !setup.has(Fault::NoTable)
}

fn begin(w: &mut World, setup: &Setup, j: usize) -> Pc {
    let jan = &mut w.janitors[j];
    let label = usize::from(jan.label);
    if jan.label >= setup.labels {
        return finish(w, setup, j);
    }
    if w.sock[label] != NONE {
        jan.pin = w.sock[label];
        Pc::Table
    } else if w.quarantine[label] != NONE {
        janitor_lock::take(w, setup, j)
    } else if w.lock[label] != NONE && setup.form != Form::Leave {
        jan.lock_only = true;
        Pc::LookLocks
    } else {
        next_label(w, j)
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
        return Pc::FinishLease;
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

/// On to the next label.
pub(crate) fn next_label(w: &mut World, j: usize) -> Pc {
    let jan = &mut w.janitors[j];
    if jan.again {
        jan.again = false;
    } else {
        jan.label += 1;
    }
    jan.pin = NONE;
    jan.quarantined = NONE;
    jan.lock_only = false;
    jan.tries = 0;
    jan.cur = 0;
    Pc::Begin
}

fn after_recovery(w: &mut World, setup: &Setup, j: usize) -> Pc {
    w.janitors[j].quarantined = NONE;
    if w.janitors[j].pin == NONE {
        janitor_end::end(w, setup, j)
    } else if setup.has(Fault::NoSecondLook) {
        Pc::StatSock
    } else {
        Pc::TableLocked
    }
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
    if setup.has(Fault::ConnectThenUnlink) { next_label(w, j) } else { janitor_end::end(w, setup, j) }
}

/// renameat2(QNAME, NAME, `NOREPLACE`). If it fails, the file is left and reported.
fn restore(w: &mut World, setup: &Setup, j: usize) {
    let label = w.janitors[j].label;
    let at = usize::from(label);
    if w.sock[at] == NONE || setup.has(Fault::RestoreReplaces) {
        let ino = std::mem::replace(&mut w.quarantine[at], NONE);
        w.janitor_sets_sock(label, ino);
    }
}

/// SIGKILL: handles, locks and leases vanish, files stay.
pub(crate) fn dies(w: &mut World, j: usize) {
    w.janitors[j] = Janitor { pc: Pc::Dead, fds: [Fd::CLOSED; SLOTS], ..Janitor::OFF };
}
