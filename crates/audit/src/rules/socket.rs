//! Calls of tmux that name no socket.

use crate::call::{Call, Socket, What};

pub(super) fn check_default(calls: &[Call], number: usize) -> Option<String> {
    let What::Tmux(call) = &calls[number].what else { return None };
    let verbs = call.verbs.as_ref()?;
    if call.socket != Socket::Default || call.private || verbs.iter().any(|verb| verb.name == "kill-server") {
        return None;
    }
    Some(
        "tmux is called without -L or -S and falls back to the shared default socket, where one crash or kill-server takes everybody's sessions; name a socket of your own: tmux -L NAME"
            .to_owned(),
    )
}

pub(super) fn check_kill(calls: &[Call], number: usize) -> Option<String> {
    let What::Tmux(call) = &calls[number].what else { return None };
    let kills = call.verbs.as_ref()?.iter().any(|verb| verb.name == "kill-server");
    (kills && call.socket == Socket::Default && !call.private).then(|| {
        "kill-server without -L or -S ends the shared default server with everybody's sessions; name the server: tmux -L NAME kill-server"
            .to_owned()
    })
}
