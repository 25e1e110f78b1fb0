//! What a script takes as said: the exit code of a start, and one of the two sentences about a server that is gone.

use crate::call::{Call, TmuxCall, What};
use crate::text::is_stand_in;
use crate::tmux_words::option;

/// Where the socket is there and nobody listens.
const REFUSED: &str = "no server running";
/// Where it is not there: after a removal, or before the first start.
const ABSENT: [&str; 2] = ["error connecting", "no such file"];

pub(super) fn check_exit_code(calls: &[Call], number: usize) -> Option<String> {
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

pub(super) fn check_text(calls: &[Call], number: usize) -> Option<String> {
    let says = |what: &What, text: &str| matches!(what, What::Match(matched) if matched.as_str().to_lowercase().contains(text));
    if !says(&calls[number].what, REFUSED) {
        return None;
    }
    let knows_both = calls.iter().any(|call| ABSENT.iter().any(|text| says(&call.what, text)));
    (!knows_both).then(|| {
        "tmux says \"no server running on …\" only while the dead server's socket is there; where it was removed it says \"error connecting to … (No such file or directory)\", both with exit code 1; look for both, or ask tmux-janitor probe"
            .to_owned()
    })
}
