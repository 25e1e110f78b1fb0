//! A server that a oneshot service starts in its own cgroup.

use crate::call::{Call, ServiceKind, What};

pub(super) fn check(calls: &[Call], number: usize) -> Option<String> {
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
