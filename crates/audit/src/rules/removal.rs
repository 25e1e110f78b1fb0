//! Removals: of sockets, of start locks, and of whatever lies in `/tmp`.

use crate::call::{Call, Socket, What};
use crate::text::{DIGITS, Text, is_stand_in};

pub(super) fn check_lock(calls: &[Call], number: usize) -> Option<String> {
    let What::Remove(path) = &calls[number].what else { return None };
    is_lock(path, calls).then(|| {
        "removing tmux's start lock lets two servers start on one socket, and one of them is lost; leave *.lock files alone: tmux-janitor sweep clears the orphaned ones"
            .to_owned()
    })
}

pub(super) fn check_socket(calls: &[Call], number: usize) -> Option<String> {
    let What::Remove(path) = &calls[number].what else { return None };
    (!is_lock(path, calls) && is_socket(path.as_str(), calls)).then(|| {
        "removing a tmux socket by hand can make a live server unreachable: a busy, stopped or starting one looks dead; tmux-janitor sweep removes the dead ones under tmux's own lock"
            .to_owned()
    })
}

pub(super) fn check_tmp(calls: &[Call], number: usize) -> Option<String> {
    matches!(calls[number].what, What::Clear).then(|| {
        "this removes whatever lies in /tmp, the sockets of live tmux servers too: they can be reached no more; leave tmux's folders out (find: ! -path '/tmp/tmux-*') and the dead sockets in them to tmux-janitor sweep"
            .to_owned()
    })
}

fn is_lock(path: &Text, calls: &[Call]) -> bool {
    path.as_str().strip_suffix(".lock").is_some_and(|socket| is_socket(socket, calls))
}

/// A path in or of a `tmux-UID` folder, or one that a call of the same file names with `-S`.
fn is_socket(path: &str, calls: &[Call]) -> bool {
    let is_uid = |c: char| c.is_ascii_digit() || c == DIGITS || "*?[]-".contains(c);
    let is_folder =
        |name: &str| name.strip_prefix("tmux-").is_some_and(|uid| !uid.is_empty() && uid.chars().all(is_uid));
    if path.contains('/') && path.split('/').any(is_folder) {
        return true;
    }
    // A path of which nothing is known may be anything.
    let has_name = path.chars().any(|c| !is_stand_in(c) && c != '/');
    has_name
        && calls.iter().any(|call| match &call.what {
            What::Tmux(call) => matches!(&call.socket, Socket::Path(socket) if socket.as_str() == path),
            What::Remove(_) | What::Clear | What::Match(_) | What::Program(_) => false,
        })
}
