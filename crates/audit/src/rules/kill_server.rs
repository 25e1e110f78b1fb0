//! `kill-server` that names no socket.

use crate::call::{Call, Socket, What};

pub(super) fn check(calls: &[Call], number: usize) -> Option<String> {
    let What::Tmux(call) = &calls[number].what else { return None };
    let kills = call.verbs.as_ref()?.iter().any(|verb| verb.name == "kill-server");
    (kills && call.socket == Socket::Default && !call.private).then(|| {
        "kill-server without -L or -S ends the shared default server with everybody's sessions; name the server: tmux -L NAME kill-server"
            .to_owned()
    })
}
