//! Which processes serve the live sockets of a report.

use crate::judge::State;
use crate::kernel::Processes;
use crate::kernel::{SocketNumber, Uid};
use crate::report::Report;
use std::collections::HashSet;

/// Finds the pids of live servers by their sockets' numbers.
pub(super) fn find(user: Uid, report: &mut Report) {
    let mut live: Vec<_> =
        report.entries.iter_mut().filter(|entry| entry.verdict.state == State::Live).collect();
    let sockets: HashSet<SocketNumber> = live.iter().filter_map(|entry| entry.socket).collect();
    if sockets.is_empty() {
        return;
    }
    let Ok(processes) = Processes::open() else {
        return;
    };
    let holders = processes.holders(user, &sockets);
    for entry in &mut live {
        if let Some(socket) = entry.socket {
            entry.server_pid = holders.get(&socket).copied();
        }
    }
}
