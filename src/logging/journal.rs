//! What a run writes to the log: an entry per removal and per failure, and one at the end.

use super::id;
use crate::view::advice::Advised;
use crate::view::cause::Cause;
use crate::view::events::Event;
use crate::view::{json, people};
use std::collections::HashSet;
use tmux_sockets::judge::{Reason, State};
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::report::Outcome;
use tmux_sockets::report::{DirectoryReport, Entry, EntryNumber, Folder, LeftAlone, Remark, Report, Why};

/// Logs a pass that was made to remove, but for entries that were logged already. A dry run tells of ghosts and
/// directories, and of what could not be removed.
pub(crate) fn rest_of_pass(report: &Report, dry_run: bool, is_told: &dyn Fn(EntryNumber) -> bool) {
    entries(report, is_told);
    directories(report);
    unseen(report);
    if report.untold.entries > 0 {
        tracing::info!("{}", report.untold);
    }
    if !dry_run {
        let counts = report.counts();
        tracing::info!(
            message_id = id::SWEEP_FINISHED,
            tmux_janitor.live = counts.live,
            tmux_janitor.dead = counts.dead,
            tmux_janitor.removed = counts.removed,
            tmux_janitor.failed = counts.failed,
            tmux_janitor.ghosts = counts.ghost,
            "{}",
            people::summary(report, false)
        );
    }
}

/// Logs a run that was made to rescue.
pub(crate) fn rescue(report: &Report) {
    entries(report, &|_| false);
    directories(report);
}

/// One warning for what is of a whole directory, and an entry each for everything else.
pub(crate) fn entries(report: &Report, is_told: &dyn Fn(EntryNumber) -> bool) {
    let mut told = HashSet::new();
    for (number, one) in report.numbered() {
        match one.outcome {
            _ if is_told(number) => {}
            Outcome::Failed(failure) if failure.is_of_all() => {
                if told.insert(&one.folder) {
                    no_room(report, one, &failure.with_advice());
                }
            }
            _ => entry(report, one),
        }
    }
}

/// Logs an entry that was removed, failed, or is a ghost.
pub(crate) fn entry(report: &Report, entry: &Entry) {
    match entry.outcome {
        Outcome::Rescued => ghost_rescued(report, entry),
        Outcome::Failed(failure) if entry.verdict.state == State::Ghost => {
            ghost_found(report, entry, Some(&failure.with_advice()));
        }
        Outcome::SetAside => set_aside(report, entry),
        Outcome::WouldRescue => {}
        _ if entry.verdict.state == State::Ghost => ghost_found(report, entry, None),
        Outcome::Removed => removed(report, entry),
        Outcome::Failed(failure) => failed(report, entry, &failure.with_advice()),
        _ => {}
    }
}

/// Logs the directories that were left alone, and those in which nothing could be judged.
pub(crate) fn directories(report: &Report) {
    for (number, directory) in report.numbered_directories() {
        let of_it =
            |entry: &&Entry| entry.folder == Folder::Of(number) && entry.verdict.reason.is_blindness();
        if let Some(blind) = report.entries.iter().find(of_it) {
            blinded(directory, &blind.verdict.reason.with_advice());
        }
        unheard(report, directory, &Folder::Of(number));
        self::directory(directory);
    }
}

/// Logs what could not be looked at or judged besides, where nothing says so already: of sockets that are there, and of
/// patterns, something does.
pub(crate) fn unseen(report: &Report) {
    for Remark { path, why } in &report.unseen {
        let is_told = match why {
            Why::Unjudged(Reason::Blind(_)) => report
                .entries
                .iter()
                .any(|entry| entry.verdict.reason.is_blindness() && report.folder_of(entry) == path),
            Why::NoProc => report.entries.iter().any(Entry::is_unheard),
            Why::Pattern(_) | Why::Unjudged(_) => true,
            Why::Doubtful
            | Why::Match(_)
            | Why::Stray(_)
            | Why::Strangers(_)
            | Why::Held(_)
            | Why::More(_) => false,
        };
        if !is_told {
            let why = why.with_advice();
            tracing::warn!(
                message_id = id::DIRECTORY_LEFT_ALONE,
                tmux_janitor.dir = json::text(path.as_os_str()),
                tmux_janitor.error = why,
                "{}: {why}",
                escaped(path)
            );
        }
    }
}

/// Logs that sockets in a directory could not be asked: one warning, however many they are.
fn unheard(report: &Report, directory: &DirectoryReport, folder: &Folder) {
    let of_it = |entry: &&Entry| entry.folder == *folder && entry.is_unheard();
    let mut those = report.entries.iter().filter(of_it);
    let Some(first) = those.next() else { return };
    let (path, more, reason) = (report.path_of(first), those.count(), first.verdict.reason.to_string());
    let more = if more > 0 { format!(" and {more} more there") } else { String::new() };
    tracing::warn!(
        message_id = id::DIRECTORY_LEFT_ALONE,
        tmux_janitor.dir = json::text(directory.path.as_os_str()),
        tmux_janitor.error = reason,
        "{}{more}: whether a server listens is not known: {reason}; kept",
        escaped(&path)
    );
}

/// Logs that nothing can be judged in a directory.
fn blinded(directory: &DirectoryReport, reason: &str) {
    tracing::warn!(
        message_id = id::DIRECTORY_LEFT_ALONE,
        tmux_janitor.dir = json::text(directory.path.as_os_str()),
        tmux_janitor.error = reason,
        "{}: nothing is removed: {reason}",
        escaped(&directory.path)
    );
}

/// Logs a directory that was left alone, if it was.
pub(crate) fn directory(directory: &DirectoryReport) {
    if let Some(error) = directory.error.as_ref().map(LeftAlone::with_advice) {
        tracing::warn!(
            message_id = id::DIRECTORY_LEFT_ALONE,
            tmux_janitor.dir = json::text(directory.path.as_os_str()),
            tmux_janitor.error = error,
            "{}: {error}",
            escaped(&directory.path)
        );
    }
}

/// Logs the result of a command that only looks, where nobody reads its stdout but the journal. `text`: what it
/// would print; `healthy`: as its exit code says.
pub(crate) fn looked(report: &Report, text: &str, healthy: bool) {
    let counts = report.counts();
    let text = text.trim_end();
    macro_rules! say {
        ($level:ident) => {
            tracing::$level!(
                message_id = id::LOOKED,
                tmux_janitor.live = counts.live,
                tmux_janitor.dead = counts.dead,
                tmux_janitor.removed = counts.removed,
                tmux_janitor.failed = counts.failed,
                tmux_janitor.ghosts = counts.ghost,
                "{text}"
            )
        };
    }
    if healthy {
        say!(info);
    } else {
        say!(warn);
    }
}

/// The same for one that counts nothing.
pub(crate) fn said(text: &str, healthy: bool) {
    let text = text.trim_end();
    if healthy {
        tracing::info!(message_id = id::LOOKED, "{text}");
    } else {
        tracing::warn!(message_id = id::LOOKED, "{text}");
    }
}

/// The same for one socket.
pub(crate) fn probed(path: &std::path::Path, state: &str, reason: &str, server_pid: Option<Pid>, text: &str) {
    let dir = path.parent().unwrap_or(path);
    tracing::info!(
        message_id = id::LOOKED,
        tmux_janitor.socket = json::text(path.as_os_str()),
        tmux_janitor.label = json::text(path.file_name().unwrap_or_default()),
        tmux_janitor.dir = json::text(dir.as_os_str()),
        tmux_janitor.uid = Uid::ours().raw(),
        tmux_janitor.state = state,
        tmux_janitor.reason = reason,
        tmux_janitor.server_pid = server_pid.map(Pid::raw),
        "{}",
        text.trim_end()
    );
}

/// Logs the end of a server.
pub(crate) fn server_gone(event: &Event) {
    let dir = event.path.parent().unwrap_or(&event.path);
    let pid = event.server_pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    let cause = event.cause.map(|cause| format!(", {cause}")).unwrap_or_default();
    tracing::info!(
        message_id = id::SERVER_GONE,
        tmux_janitor.socket = json::text(event.path.as_os_str()),
        tmux_janitor.label = json::text(event.path.file_name().unwrap_or_default()),
        tmux_janitor.dir = json::text(dir.as_os_str()),
        tmux_janitor.uid = Uid::ours().raw(),
        tmux_janitor.server_pid = event.server_pid.map(Pid::raw),
        tmux_janitor.cause = event.cause.map(Cause::field),
        "server gone: {}{pid}{cause}",
        escaped(&event.path)
    );
}

/// The fields that every event about an entry has.
macro_rules! entry_event {
    ($level:ident, $id:expr, $report:expr, $entry:expr, $error:expr, $($message:tt)+) => {{
        let (report, entry): (&Report, &Entry) = ($report, $entry);
        let path = report.path_of(entry);
        let dir = path.parent().unwrap_or(&path);
        let error: Option<&str> = $error;
        tracing::$level!(
            message_id = $id,
            tmux_janitor.socket = json::text(path.as_os_str()),
            tmux_janitor.label = json::text(&entry.label),
            tmux_janitor.dir = json::text(dir.as_os_str()),
            tmux_janitor.uid = entry.uid.raw(),
            tmux_janitor.state = entry.verdict.state.word(),
            tmux_janitor.reason = entry.verdict.reason.with_advice(),
            tmux_janitor.outcome = entry.outcome.word(),
            tmux_janitor.server_pid = entry.server_pid.map(Pid::raw),
            tmux_janitor.error = error,
            $($message)+
        );
    }};
}

/// Logs a removal.
pub(crate) fn removed(report: &Report, entry: &Entry) {
    let path = report.path_of(entry);
    let what = if entry.is_litter() { entry.verdict.reason.with_advice() } else { "dead socket".to_owned() };
    entry_event!(info, id::SOCKET_REMOVED, report, entry, None, "removed {what} {}", escaped(&path));
}

/// Logs a dead socket that could not be removed.
pub(crate) fn failed(report: &Report, entry: &Entry, error: &str) {
    let path = report.path_of(entry);
    entry_event!(
        warn,
        id::REMOVAL_FAILED,
        report,
        entry,
        Some(error),
        "cannot remove dead socket {}: {error}; keeping it",
        escaped(&path)
    );
}

/// Logs that nothing in a directory can be removed: one cause, one warning. `first` is the first of those sockets.
pub(crate) fn no_room(report: &Report, first: &Entry, error: &str) {
    let is_of_all = |outcome| matches!(outcome, Outcome::Failed(failure) if failure.is_of_all());
    let of_it = |entry: &&Entry| entry.folder == first.folder && is_of_all(entry.outcome);
    let count = report.entries.iter().filter(of_it).count();
    let path = report.path_of(first);
    let dir = path.parent().unwrap_or(&path);
    let sockets = if count == 1 { "1 dead socket".to_owned() } else { format!("{count} dead sockets") };
    tracing::warn!(
        message_id = id::REMOVAL_FAILED,
        tmux_janitor.dir = json::text(dir.as_os_str()),
        tmux_janitor.uid = first.uid.raw(),
        tmux_janitor.error = error,
        "{}: {sockets} cannot be removed: {error}",
        escaped(dir)
    );
}

/// Logs a live server that cannot be reached; `error`: why its rescue failed.
pub(crate) fn ghost_found(report: &Report, entry: &Entry, error: Option<&str>) {
    let path = report.path_of(entry);
    let (path, pid) = (escaped(&path), pid_text(entry));
    let reason = entry.verdict.reason.with_advice();
    match error {
        None => entry_event!(warn, id::GHOST_FOUND, report, entry, None, "ghost {path}{pid}: {reason}"),
        Some(error) => entry_event!(
            warn,
            id::GHOST_FOUND,
            report,
            entry,
            Some(error),
            "cannot rescue the ghost {path}{pid}: {error}; leaving it"
        ),
    }
}

/// Logs a ghost that has its socket again.
pub(crate) fn ghost_rescued(report: &Report, entry: &Entry) {
    let path = report.path_of(entry);
    let (path, pid) = (escaped(&path), pid_text(entry));
    entry_event!(info, id::GHOST_RESCUED, report, entry, None, "rescued the ghost {path}{pid}");
}

/// Logs a newer server whose socket has a second name since a ghost has its path again.
pub(crate) fn set_aside(report: &Report, entry: &Entry) {
    let path = report.path_of(entry);
    let (path, pid) = (escaped(&path), pid_text(entry));
    entry_event!(
        warn,
        id::SERVER_SET_ASIDE,
        report,
        entry,
        None,
        "the newer server{pid} is reached at {path} now (`tmux -S`); in its panes $TMUX names the path of before, where the older one answers"
    );
}

fn pid_text(entry: &Entry) -> String {
    entry.server_pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}
