//! Whether a server that is known listens still, and is reached. No effects.

use crate::watch::deaths::Deaths;
use crate::watch::engine::{Listens, Name, Server};
use std::collections::HashSet;
use tmux_sockets::kernel::{Pid, SocketNumber};
use tmux_sockets::witness::Witness;

/// By the table, which `is_reached` looks up, and its process; these have `ended`. [`Listens::Maybe`]: its process goes on and has closed its socket, as
/// far as this look tells.
pub(super) fn listens(
    witness: &Witness,
    deaths: &Deaths,
    server: &Server,
    name: &Name,
    ended: &HashSet<Pid>,
    is_reached: impl FnOnce(SocketNumber) -> bool,
) -> Listens {
    let Some(socket) = server.socket else { return Listens::No };
    if witness.table().shows_socket(socket) {
        return if is_reached(socket) { Listens::Renamed } else { Listens::Yes };
    }
    let Some(pid) = server.pid else {
        // Of a table that could not be read nothing is concluded.
        return if witness.was_read() { Listens::No } else { Listens::Yes };
    };
    if ended.contains(&pid) && !deaths.is_watching(pid, name) {
        return Listens::No;
    }
    // A dump can miss one.
    if deaths.holds(pid, socket) {
        return Listens::Yes;
    }
    let heir = deaths.listens_anew(pid, witness.table(), name);
    match heir {
        _ if !deaths.is_alive(pid, name) => Listens::No,
        Some(heir) => Listens::Anew(heir.raw()),
        None => Listens::Maybe,
    }
}
