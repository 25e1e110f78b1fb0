//! tmux as it is: `client_connect` and `client_get_lock` in client.c, `server_start` and
//! `server_create_socket` in server.c. One step is one system call.

use crate::{
    pc::{Client, Server},
    setup::{Open, Setup},
    world::{DIR, Ino, Janitor, NONE, Start, World},
};

/// The client's next step can be taken.
pub(crate) fn client_ready(w: &World, i: usize) -> bool {
    let s = &w.starts[i];
    match s.client {
        Client::Done => false,
        Client::Blocked => !w.leased(s.lock),
        Client::Wait => !w.flocked(s.lock),
        _ => true,
    }
}

/// One step of a client.
pub(crate) fn client_step(w: &mut World, setup: &Setup, i: usize) {
    let s = w.starts[i];
    let label = usize::from(s.label);
    let next = match s.client {
        Client::Connect if w.listening(w.sock[label]) => Client::Done,
        Client::Connect => Client::Open,
        Client::Open => {
            if w.lock[label] == NONE {
                w.lock[label] = w.new_lock();
            }
            w.starts[i].lock = w.lock[label];
            if setup.open == Open::Atomic { meet_lease(w, i) } else { Client::Walked }
        }
        Client::Walked => meet_lease(w, i),
        Client::Blocked => opened(w, i),
        Client::Flock if w.flocked(s.lock) => Client::Wait,
        Client::Flock => {
            w.starts[i].flocked = true;
            Client::ConnectLocked
        }
        Client::Wait => {
            w.starts[i].flocked = true;
            Client::Got
        }
        Client::Got => close_copy(w, i, Client::Connect),
        Client::ConnectLocked if w.listening(w.sock[label]) => Client::CloseLive,
        Client::ConnectLocked => {
            w.starts[i].misled = matches!(w.sock[label], NONE | DIR)
                && (1..Janitor::EVERY).any(|depth| w.listening(w.name(s.label, depth)));
            Client::Unlink
        }
        Client::CloseLive | Client::CloseCopy => close_copy(w, i, Client::Done),
        Client::Unlink => {
            w.tmux_unlinks(i);
            w.starts[i].server = Server::Unlink;
            w.starts[i].server_copy = true;
            Client::CloseCopy
        }
        Client::Done => Client::Done,
    };
    w.starts[i].client = next;
}

fn meet_lease(w: &mut World, i: usize) -> Client {
    let ino = w.starts[i].lock;
    if w.leased(ino) {
        w.break_lease(ino);
        Client::Blocked
    } else {
        opened(w, i)
    }
}

fn opened(w: &mut World, i: usize) -> Client {
    w.starts[i].client_copy = true;
    Client::Flock
}

fn close_copy(w: &mut World, i: usize, next: Client) -> Client {
    w.starts[i].client_copy = false;
    w.starts[i].drop_unheld_lock();
    next
}

/// A signal interrupts open(2) while it waits: it looks the name up again.
pub(crate) fn reopen(w: &mut World, i: usize) {
    w.starts[i].lock = NONE;
    w.starts[i].client = Client::Open;
}

/// The client is killed.
pub(crate) fn client_dies(w: &mut World, i: usize) {
    if !w.starts[i].client_copy && !w.starts[i].server_copy {
        w.starts[i].lock = NONE;
    }
    let next = close_copy(w, i, Client::Done);
    w.starts[i].client = next;
}

/// The server's next step can be taken without anybody telling it to.
pub(crate) fn server_ready(server: Server) -> bool {
    !matches!(server, Server::Never | Server::Serve | Server::Dead)
}

/// One step of a server.
pub(crate) fn server_step(w: &mut World, setup: &Setup, i: usize) {
    let s = w.starts[i];
    let next = match s.server {
        Server::Unlink => {
            w.tmux_unlinks(i);
            w.starts[i].misled = false;
            Server::Bind
        }
        Server::Bind => match bind(w, setup, s.label, NONE) {
            NONE => Server::FailUnlinkLock,
            ino => {
                w.starts[i].sock = ino;
                w.starts[i].displaced = false;
                Server::Listen
            }
        },
        Server::Listen => Server::UnlinkLock,
        Server::UnlinkLock | Server::FailUnlinkLock => {
            w.lock[usize::from(s.label)] = NONE;
            if s.server == Server::UnlinkLock { Server::CloseLock } else { Server::FailExit }
        }
        Server::CloseLock => {
            w.starts[i].server_copy = false;
            w.starts[i].drop_unheld_lock();
            Server::Serve
        }
        Server::FailExit => {
            server_dies(w, i);
            Server::Dead
        }
        Server::Rebind => match bind(w, setup, s.label, s.sock) {
            // The old socket is kept. If it is what stands at NAME, nothing is lost.
            NONE => Server::Serve,
            ino => {
                w.starts[i].next_sock = ino;
                Server::Relisten
            }
        },
        Server::Relisten => Server::CloseOld,
        Server::CloseOld => {
            w.starts[i].sock = s.next_sock;
            w.starts[i].next_sock = NONE;
            Server::Serve
        }
        Server::Never | Server::Serve | Server::Dead => s.server,
    };
    w.starts[i].server = next;
}

/// bind(NAME): a new inode, or `NONE` for "Address already in use".
fn bind(w: &mut World, setup: &Setup, label: u8, own: Ino) -> Ino {
    let there = w.sock[usize::from(label)];
    if there == DIR {
        // A start fails by us. A server that is sent SIGUSR1 keeps the socket that it has.
        w.bind_failed |= own == NONE;
        return NONE;
    }
    if there != NONE {
        if there == own {
            return NONE;
        }
        // Where starters meet each other without our help, only what we put in the way counts.
        if !setup.only_ours || w.put_back & (1 << label) != 0 {
            w.bind_failed = true;
        }
        return NONE;
    }
    w.tmux_binds(label)
}

/// SIGUSR1: `server_create_socket` anew, without the lock. Its first call is unlink(NAME).
pub(crate) fn sigusr1(w: &mut World, i: usize) {
    w.tmux_unlinks(i);
    // From here on the old socket is tmux's own loss.
    w.starts[i].displaced = false;
    w.starts[i].server = Server::Rebind;
}

/// The server is gone. Its socket stays where it is.
pub(crate) fn server_dies(w: &mut World, i: usize) {
    let s: &mut Start = &mut w.starts[i];
    s.server = Server::Dead;
    s.sock = NONE;
    s.next_sock = NONE;
    s.displaced = false;
    s.misled = false;
    s.server_copy = false;
    s.drop_unheld_lock();
}
