//! Ghosts in a report.

use super::{Aside, Ghost, Rescue, panes};
use crate::judge::{Reason, State, Verdict};
use crate::kernel::{Label, Uid};
use crate::kernel::{Mounts, Walk};
use crate::report::{Entry, Folder, Outcome, Report};
use std::path::Path;

/// Enters a newer server with the path that it has now, or would have.
fn enter_aside(report: &mut Report, user: Uid, aside: &Aside, is_dry: bool) {
    let folder = Folder::Other(parent_of(&aside.path).to_owned());
    let Some(label) = aside.path.file_name().and_then(Label::new) else { return };
    let outcome = if is_dry { Outcome::WouldSetAside } else { Outcome::SetAside };
    let verdict = Verdict::new(State::Live, Reason::Listening);
    let (server_pid, socket) = (Some(aside.pid), aside.socket);
    report.entries.push(Entry { server_pid, socket, ..Entry::new(folder, label, user, verdict, outcome) });
}

fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// Enters a ghost with what was done about it; `with_panes`: and with what runs in it.
pub fn enter(report: &mut Report, user: Uid, ghost: &Ghost, outcome: Outcome, with_panes: bool) {
    let dir = parent_of(&ghost.path);
    let settled = match Mounts::read().walk(dir) {
        Walk::Near(settled) | Walk::Far(settled) => settled,
        Walk::Broken(_) => dir.to_owned(),
    };
    let known = report.directory_at(&[dir, &settled]);
    let folder = known.map_or_else(|| Folder::Other(dir.to_owned()), Folder::Of);
    let Some(label) = ghost.path.file_name().and_then(Label::new) else { return };
    let verdict = Verdict::new(State::Ghost, Reason::Ghost(ghost.plight));
    report.entries.push(Entry {
        server_pid: ghost.pid,
        socket: Some(ghost.socket),
        panes: ghost.pid.filter(|_| with_panes).map(|pid| panes::of(user, pid)).unwrap_or_default(),
        ..Entry::new(folder, label, user, verdict, outcome)
    });
}

/// Enters a ghost that was to be rescued. One that ended or was reachable again by itself is none;
/// a dead socket that was removed from its path is entered too.
pub fn enter_rescue(report: &mut Report, user: Uid, ghost: &Ghost, rescue: Rescue) {
    if let Some(cleared) = rescue.cleared {
        for mut entry in cleared.entries {
            if matches!(entry.outcome, Outcome::Removed | Outcome::WouldRemove | Outcome::Failed(_)) {
                entry.folder = Folder::Other(parent_of(&ghost.path).to_owned());
                report.entries.push(entry);
            }
        }
    }
    if let Some(aside) = rescue.aside {
        enter_aside(report, user, &aside, rescue.outcome == Outcome::WouldRescue);
    }
    if rescue.outcome != Outcome::Vanished {
        let ghost = Ghost { plight: rescue.plight, ..ghost.clone() };
        enter(report, user, &ghost, rescue.outcome, false);
    }
}
