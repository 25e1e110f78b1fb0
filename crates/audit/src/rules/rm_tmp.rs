//! A removal of whatever lies in `/tmp`.

use crate::call::{Call, What};

pub(super) fn check(calls: &[Call], number: usize) -> Option<String> {
    matches!(calls[number].what, What::Clear).then(|| {
        "this removes whatever lies in /tmp, the sockets of live tmux servers too: they can be reached no more; leave tmux's folders out (find: ! -path '/tmp/tmux-*') and the dead sockets in them to tmux-janitor sweep"
            .to_owned()
    })
}
