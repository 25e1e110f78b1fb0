//! What runs in a server's panes, as `/proc` tells it: the server cannot be asked.

use crate::kernel::Pid;
use crate::kernel::Uid;
use crate::kernel::{Process, Processes};

/// How many panes of one server are named.
const NAMED: usize = 16;

/// The names (`comm`) of what is in the foreground of the server's panes, in the order of their pids.
pub fn of(user: Uid, server: Pid) -> Vec<String> {
    let Ok(processes) = Processes::open() else {
        return Vec::new();
    };
    let Ok(all) = processes.of_user(user) else {
        return Vec::new();
    };
    let mut panes: Vec<(Pid, String)> = all
        .filter_map(|process| {
            let stat = process.stat().filter(|stat| stat.parent == server && !stat.has_ended())?;
            // A command that the server runs by itself has no terminal.
            let front = processes.by_pid(Pid::new(stat.foreground)).filter(|_| stat.foreground > 0)?;
            Some((process.pid, name(&front).or_else(|| name(&process))?))
        })
        .collect();
    panes.sort();
    panes.truncate(NAMED);
    panes.into_iter().map(|(_, name)| name).collect()
}

fn name(process: &Process) -> Option<String> {
    process.comm().map(|comm| crate::kernel::escape::escaped_bytes(&comm).to_string())
}
