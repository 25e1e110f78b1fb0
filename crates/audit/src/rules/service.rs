//! Servers that a service starts in its own cgroup: systemd ends them with it.

use crate::call::{Call, Judge, ServiceKind, TmuxCall, What};
use crate::tmux_words::has_flag;

/// Programs that end at once: a service that goes on with nothing else ends.
const QUICK: [&str; 28] = [
    ":", "[", "chmod", "chown", "command", "env", "grep", "hash", "type", "which", "cd", "cp", "date",
    "echo", "export", "false", "install", "ln", "logger", "mkdir", "mv", "printf", "rm", "rmdir", "set",
    "test", "touch", "true",
];

/// Commands of tmux in which its client stays.
const STAYING: [&str; 6] = ["attach-session", "attach", "a", "wait-for", "wait", "command-prompt"];

pub(super) fn check_oneshot(calls: &[Call], number: usize) -> Option<String> {
    let call = &calls[number];
    let service = call.service.filter(|service| service.kind == ServiceKind::Oneshot)?;
    let What::Tmux(tmux) = &call.what else { return None };
    let start = tmux.start()?;
    if tmux.scoped {
        return None;
    }
    let when = if service.remains { "is stopped or restarted" } else { "ends" };
    Some(format!(
        "{} in a oneshot service starts a server inside the service, which kills it when it {when}; start it with tmux-janitor spawn, or under systemd-run --scope --collect",
        start.name
    ))
}

pub(super) fn check_background(calls: &[Call], number: usize) -> Option<String> {
    let call = &calls[number];
    let service = call.service.filter(|service| service.kind == ServiceKind::Main && !service.remains)?;
    let What::Tmux(tmux) = &call.what else { return None };
    let start = tmux.start()?;
    let is_in_background = start.name == "start-server" || has_flag(start, 'd');
    if !is_in_background || tmux.foreground || tmux.scoped || stays(tmux) {
        return None;
    }
    // Of the same command line, or of the script in it.
    let is_same = |later: &&Call| later.service.is_some_and(|known| known.line == service.line);
    if calls[number + 1..].iter().filter(is_same).any(|later| may_stay(&later.what)) {
        return None;
    }
    Some(format!(
        "{} starts a server in the background of this service (Type={}), whose main process then ends, and systemd ends the server with it; take Type=forking, or start it with tmux-janitor spawn",
        start.name,
        if service.is_typed { "simple or exec" } else { "simple, as none is set" }
    ))
}

/// Whether the client of a call goes on living.
fn stays(call: &TmuxCall) -> bool {
    let has = |verb: &str| call.verbs.iter().flatten().any(|known| known.name == verb);
    call.verbs.is_none() || call.judge == Some(Judge::Loop) || STAYING.iter().any(|verb| has(verb))
}

/// Whether what is called later may take its time.
fn may_stay(what: &What) -> bool {
    match what {
        What::Tmux(call) => stays(call),
        What::Program(name) => !QUICK.contains(&name.as_str()),
        What::Remove(_) | What::Clear | What::Match(_) => false,
    }
}
