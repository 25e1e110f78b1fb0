//! What `list` tells of live servers besides: from `/proc`, and from what the pass has seen of their sockets. None of
//! them is asked.

use crate::host::cgroup;
use std::cell::OnceCell;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use tmux_sockets::judge::State;
use tmux_sockets::kernel::{Families, Mounts, Pid, Process, Processes};
use tmux_sockets::report::{Details, Entry, Folder, Outside, Report};

/// How the name of a tmux server's process ends (proc.c: `proc_start`), whichever of tmux's kind it is of.
const SERVER: &[u8] = b": server";

/// Enters the details of every live server.
pub(crate) fn gather(report: &mut Report) {
    let is_live = |entry: &&mut Entry| matches!(entry.verdict.state, State::Live | State::Ghost);
    let mut live: Vec<&mut Entry> = report.entries.iter_mut().filter(is_live).collect();
    if live.is_empty() {
        return;
    }
    let (processes, mounts) = (Processes::open().ok(), OnceCell::new());
    let families = processes.as_ref().and_then(|processes| Families::look(processes).ok());
    for entry in &mut live {
        if let (Some(Outside::Reached), Folder::Other(folder)) = (entry.outside, &entry.folder) {
            entry.is_executable = is_executable(&folder.join(&entry.label), mounts.get_or_init(Mounts::read));
        }
        let server = entry.server_pid.and_then(|pid| processes.as_ref()?.by_pid(pid));
        let details = match (&processes, server) {
            (Some(processes), Some(server)) => Details {
                started: server.started(),
                attached: entry.is_executable.filter(|_| is_tmux(&server)),
                unit: cgroup::unit_of_process(server.pid),
                memory: families.as_ref().and_then(|families| memory(processes, families, server.pid)),
            },
            _ => Details::default(),
        };
        entry.details = Some(Box::new(details));
    }
}

/// Whether a socket has an execute bit whose directory was not looked into.
fn is_executable(path: &Path, mounts: &Mounts) -> Option<bool> {
    let about = mounts.lets_look_at(path).then(|| std::fs::symlink_metadata(path).ok()).flatten()?;
    about.file_type().is_socket().then(|| about.mode() & 0o111 != 0)
}

/// Whether the execute bits of its socket mean what tmux means by them.
fn is_tmux(server: &Process) -> bool {
    server.comm().is_some_and(|comm| comm.ends_with(SERVER))
}

/// What the server and all that descend from it take, in bytes. Whoever ends meanwhile takes nothing any more.
fn memory(processes: &Processes, families: &Families, server: Pid) -> Option<u64> {
    let of = |pid: &Pid| processes.by_pid(*pid)?.memory();
    let own = of(&server)?;
    let rest = families.of(server).iter().skip(1).filter_map(of).fold(0, u64::saturating_add);
    Some(own.saturating_add(rest))
}
