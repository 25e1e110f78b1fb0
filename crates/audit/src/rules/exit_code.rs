//! A start whose success is judged by its exit code alone.

use crate::call::{Call, TmuxCall, What};
use crate::text::is_stand_in;
use crate::tmux_words::option;

pub(super) fn check(calls: &[Call], number: usize) -> Option<String> {
    let What::Tmux(call) = &calls[number].what else { return None };
    let start = call.start()?;
    let judge = call.judge?.word();
    let is_verified = calls[number + 1..].iter().any(|later| verifies(later, call));
    (!is_verified).then(|| {
        format!(
            "`{judge}` judges {} by its exit code, which proves nothing: tmux may fail and say 0; ask tmux has-session -t =NAME afterwards, or start it with tmux-janitor spawn",
            start.name
        )
    })
}

/// Whether a later call asks the server for the session that was started.
fn verifies(later: &Call, started: &TmuxCall) -> bool {
    let What::Tmux(later) = &later.what else { return false };
    let asked = later.verbs.iter().flatten().find(|verb| verb.name == "has-session");
    let Some(asked) = asked.filter(|_| later.socket.may_be(&started.socket)) else { return false };
    let name = started.start().and_then(|start| option(start, 's'));
    let target = option(asked, 't');
    match (name, target) {
        (Some(name), Some(target)) => {
            let target = target.trim_start_matches('=');
            let target = target.split(':').next().unwrap_or_default();
            name == target || name.contains(is_stand_in) || target.contains(is_stand_in)
        }
        _ => true,
    }
}
