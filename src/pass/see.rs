//! What a look could not see. "Saw nothing" is not "nothing is there".

use crate::view::advice::Advised;
use rustix::io::Errno;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tmux_sockets::judge::{Reason, State};
use tmux_sockets::kernel::Mounts;
use tmux_sockets::kernel::Processes;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::lack::{self, is_lack};
use tmux_sockets::report::Outcome;
use tmux_sockets::report::{DirectoryReport, LeftAlone, Remark, Report, Why};
use tmux_sockets::sweep::Target;
use tmux_sockets::tmux::stuck;
use tmux_sockets::tmux::{DirectoryError, SocketDir, Strictness};
use tmux_sockets::witness::Witness;

const PROC: &str = "/proc";

/// Where every process finds its own descriptors: connect(2) goes through it, and ghosts are found by it.
const OWN_DESCRIPTORS: &str = "/proc/self/fd";

/// What keeps servers from being seen that were bound in a directory: no `/proc`, a table that is not to be believed. What
/// was only lacking for the moment is told otherwise: [`note_lack`].
pub(crate) fn what_hides_servers(witness: &mut Witness, dir: &Path) -> Option<Why> {
    let mut blind = || witness.blindness_in(dir).filter(|why| why.lack().is_none());
    if is_without_proc() { Some(Why::NoProc) } else { blind().map(|why| Why::Unjudged(Reason::Blind(why))) }
}

fn is_without_proc() -> bool {
    match Processes::open() {
        Ok(_) => !Path::new(OWN_DESCRIPTORS).is_dir(),
        Err(errno) => !is_lack(errno),
    }
}

/// Enters what could not be looked at or judged, although its directory could be read.
pub(crate) fn note_unseen(report: &mut Report, witness: &mut Witness, targets: &[Target]) {
    if is_without_proc() {
        report.unseen.push(Remark { path: PathBuf::from(PROC), why: Why::NoProc });
        return;
    }
    if let Some(blindness) = witness.blindness() {
        if let Some(errno) = blindness.lack() {
            return note_lack(report, Some(errno));
        }
        let why = Why::Unjudged(Reason::Blind(blindness));
        let mut blind: Vec<PathBuf> = report
            .directories
            .iter()
            .filter(|directory| directory.error.is_none())
            .map(|directory| directory.path.clone())
            .collect();
        if blind.is_empty() {
            // No directory is there; a server may still live, with its directory deleted.
            blind.extend(targets.first().map(|target| target.path.clone()));
        }
        report.unseen.extend(blind.into_iter().map(|path| Remark { path, why: why.clone() }));
        return;
    }
    // The table can be believed, but not for a folder that came from outside of a container.
    let readable = report.directories.iter().filter(|directory| directory.error.is_none());
    let blind = readable.filter_map(|DirectoryReport { path, .. }| {
        let why = Why::Unjudged(Reason::Blind(witness.blindness_in(path)?));
        Some(Remark { path: path.clone(), why })
    });
    let unheard = report.entries.iter().filter(|entry| entry.is_unheard());
    let unheard =
        unheard.map(|entry| Remark { path: report.path_of(entry), why: Why::Unjudged(entry.verdict.reason) });
    report.unseen = blind.chain(unheard).collect();
}

/// Enters the paths of which it cannot be told whether they are ghosts'.
pub(crate) fn note_doubtful(report: &mut Report, paths: Vec<PathBuf>) {
    report.unseen.extend(paths.into_iter().map(|path| Remark { path, why: Why::Doubtful }));
}

/// Enters that not all could be looked at: then nothing that is not in the report is not there.
pub(crate) fn note_lack(report: &mut Report, lack: Option<Errno>) {
    let is_told = report.left_alone().any(|(_, why)| matches!(why, LeftAlone::Lacking(_)));
    if let Some(errno) = lack.filter(|_| !is_told) {
        let error = Some(LeftAlone::Lacking(errno));
        report.add_directory(DirectoryReport { path: PathBuf::from(PROC), error });
    }
}

/// Enters the start locks that somebody holds and does not let go of.
pub(crate) fn note_held_locks(report: &mut Report, user: Uid) {
    let readable = report.directories.iter().filter(|directory| directory.error.is_none());
    let open = |path: &Path| {
        let dir = SocketDir::open(path, user, Strictness::Swept);
        if let Err(DirectoryError::Unreadable(errno)) = dir {
            lack::heed(errno);
        }
        dir.ok().flatten()
    };
    let dirs: Vec<SocketDir> = readable.filter_map(|directory| open(&directory.path)).collect();
    report.held = stuck::find(user, &dirs)
        .into_iter()
        .map(|lock| Remark { path: lock.path, why: Why::Held(lock.hold) })
        .collect();
}

/// Takes out of a worker's report what is not its user's own fault: a directory in a shared place that bears the
/// user's name and is a stranger's. Nobody can keep another one's health bad with it.
pub(crate) fn set_strays_apart(report: &mut Report, user: Uid) {
    let is_kept =
        |directory: &DirectoryReport| directory.error.is_none() || !is_strangers(&directory.path, user);
    for DirectoryReport { path, error } in report.retain_directories(is_kept) {
        report.strays.extend(error.map(|why| Remark { path, why: Why::Strangers(why) }));
    }
}

/// Whether what stands at a path is neither the user's nor root's; also if it is gone by now.
fn is_strangers(path: &Path, user: Uid) -> bool {
    // A file system that may not answer is not asked. A stranger's mount is no directory of this user's anyway.
    if !Mounts::read().lets_look_at(path) {
        return false;
    }
    match std::fs::symlink_metadata(path) {
        Ok(about) => about.uid() != user.raw() && about.uid() != 0,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// What only `-v` tells: where was looked.
pub(crate) fn say_where(report: &Report) {
    let dirs: Vec<String> =
        report.directories.iter().map(|directory| escaped(&directory.path).to_string()).collect();
    let dirs = if dirs.is_empty() { "no directory, there is none".to_owned() } else { dirs.join(", ") };
    tracing::debug!("looked into {dirs}, which took {:.1?}", report.elapsed);
}

/// And why what was kept was kept, where the result does not say it.
pub(crate) fn say_why(report: &Report) {
    for entry in &report.entries {
        let is_kept = entry.outcome == Outcome::Kept && !entry.is_litter();
        if is_kept && !matches!(entry.verdict.state, State::Live | State::NotASocket | State::Ghost) {
            let path = report.path_of(entry);
            tracing::debug!(
                "{}: {}: {}",
                escaped(&path),
                entry.verdict.state.word(),
                entry.verdict.reason.with_advice()
            );
        }
    }
    for stray in &report.strays {
        tracing::debug!("{}: {}", escaped(&stray.path), stray.why.with_advice());
    }
}
