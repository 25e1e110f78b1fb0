//! What must hold in every reachable state.

use crate::{
    janitor,
    pc::{Client, Pc, Server},
    setup::{Form, Setup},
    tmux::{client_ready, server_ready},
    world::{Janitor, NONE, World},
};

/// No more steps than this are needed for one sweep of this small directory.
const SWEEP_STEPS: usize = 400;

/// Nobody is in the middle of anything.
pub(crate) fn quiet(w: &World) -> bool {
    let tmux = w
        .starts
        .iter()
        .all(|s| matches!(s.client, Client::Connect | Client::Done) && !server_ready(s.server));
    tmux && w.janitors.iter().all(|j| {
        matches!(j.pc, Pc::Off | Pc::Done | Pc::Dead)
            || (j.pc == Pc::Begin && j.label == 0 && j.fds.iter().all(|fd| fd.ino == NONE))
    })
}

/// A live server whose name no longer leads to it.
fn orphan(w: &World, setup: &Setup) -> bool {
    w.starts.iter().any(|s| {
        s.server == Server::Serve
            && w.sock[usize::from(s.label)] != s.sock
            && (!setup.only_ours || s.displaced)
    })
}

/// In quiet, every live server is found at its name. After a janitor was killed, its successor's
/// first sweep may put things right first.
pub(crate) fn no_orphan(setup: &Setup, w: &World) -> bool {
    if !orphan(w, setup) || !quiet(w) {
        return true;
    }
    w.janitors.iter().any(|j| j.pc == Pc::Dead) && sweep(setup, w).is_some_and(|swept| !orphan(&swept, setup))
}

/// Two processes act on the lock of one label, and it was a janitor's step that took the name away
/// from the file that one of them holds.
pub(crate) fn no_lock_hole(_: &Setup, w: &World) -> bool {
    (0..w.lock.len()).all(|label| {
        let torn = |ino: u8| w.lock[label] != ino && w.torn[usize::from(ino)] & (1 << label) != 0;
        let (mut owners, mut ours) = (0, false);
        for s in &w.starts {
            let acts = matches!(s.client, Client::ConnectLocked | Client::Unlink)
                || matches!(s.server, Server::Unlink | Server::Bind | Server::Listen);
            if acts && s.lock != NONE && usize::from(s.label) == label {
                owners += 1;
                ours |= torn(s.lock);
            }
        }
        for j in &w.janitors {
            if j.pc.critical() && usize::from(j.label) == label && j.fd().ino != NONE {
                owners += 1;
                ours |= torn(j.fd().ino);
            }
        }
        owners < 2 || !ours
    })
}

/// No start fails because a name is in its way.
pub(crate) fn no_failed_start(_: &Setup, w: &World) -> bool {
    !w.bind_failed
}

/// Nobody waits for ever: where no step is left, everybody is done.
pub(crate) fn no_deadlock(setup: &Setup, w: &World) -> bool {
    let moves = (0..w.starts.len()).any(|i| client_ready(w, i) || server_ready(w.starts[i].server))
        || (0..w.janitors.len()).any(|j| janitor::ready(w, setup, j));
    moves || (quiet(w) && w.starts.iter().all(|s| s.client == Client::Done))
}

/// From every quiet state one sweep, alone, leaves no dead socket and no litter.
pub(crate) fn converges(setup: &Setup, w: &World) -> bool {
    !quiet(w) || sweep(setup, w).is_some_and(|swept| clean(setup, &swept))
}

fn clean(setup: &Setup, w: &World) -> bool {
    let labels = (0..w.sock.len()).all(|label| {
        let sock = w.sock[label];
        let live = w.listening(sock);
        // An empty lock file beside a live socket is what tmux leaves itself.
        (sock == NONE || live)
            // Two live servers claim the name: reported, and never unlinked.
            && w.quarantine[label].iter().all(|ino| *ino == NONE || (live && w.listening(*ino)))
            && (w.lock[label] == NONE || live || setup.form == Form::Leave)
    });
    // Of what lies at a single name the same is asked.
    let singles =
        w.single.iter().zip(&w.single_label).all(|(ino, label)| {
            *ino == NONE || (w.listening(*ino) && w.listening(w.sock[usize::from(*label)]))
        });
    labels && singles && w.rest.iter().flatten().all(|&ino| ino == NONE)
}

/// A client has a lock file open whose name a tmux server removed.
pub(crate) fn tmux_hole(w: &World) -> bool {
    w.starts.iter().any(|s| {
        s.lock != NONE
            && (Client::Walked..=Client::Unlink).contains(&s.client)
            && s.client != Client::Wait
            && !w.lock.contains(&s.lock)
            && w.torn[usize::from(s.lock)] == 0
    })
}

/// Somebody has open, or is opening, a lock file that janitor `j` has taken from its name.
pub(crate) fn awaited(w: &World, j: usize) -> bool {
    w.janitors[j].fds.iter().filter(|fd| fd.ino != NONE).any(|fd| {
        (!w.lock.contains(&fd.ino) && w.open_elsewhere(fd.ino, j)) || w.opened_by_a_lost_name(fd.ino)
    })
}

/// The world after one run of a new janitor, or `None` if the run does not end.
pub(crate) fn sweep(setup: &Setup, w: &World) -> Option<World> {
    let mut w = w.clone();
    let j = w.janitors.iter().position(|jan| jan.pc == Pc::Off)?;
    w.janitors[j] = Janitor { pc: Pc::Begin, older: setup.older, ..Janitor::OFF };
    for _ in 0..SWEEP_STEPS {
        if w.janitors[j].pc == Pc::Done {
            return Some(w);
        }
        if !janitor::ready(&w, setup, j) {
            return None;
        }
        janitor::step(&mut w, setup, j, false);
    }
    None
}
