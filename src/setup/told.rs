//! What was done, for people.

use super::folders::Folders;
use super::manager::State;
use super::take_away::Gone;
use super::write::{Fate, Put};
use std::path::Path;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;

/// Root may have meant the machine.
pub(super) fn of_root(user: Uid) -> Option<String> {
    (user == Uid::ROOT).then(|| {
        "This is for root's own sessions. For every user of the machine: a package, or `packaging/install --prefix /usr --system`.".to_owned()
    })
}

/// Each file that was written, and the sum.
pub(super) fn written(put: &Put, program: &Path) -> Vec<String> {
    let count = |wanted: &dyn Fn(&Fate) -> bool| put.0.iter().filter(|(_, fate)| wanted(fate)).count();
    let line = |(path, fate): &(_, Fate)| {
        let word = match fate {
            Fate::Written => "wrote",
            Fate::Replaced => "replaced",
            Fate::Edited(copy) => {
                let (path, copy) = (escaped::<std::path::PathBuf>(path), escaped(copy));
                return Some(format!("replaced {path}, which had been edited: as it was it is {copy} now"));
            }
            Fate::Same | Fate::Failed(_) => return None,
        };
        Some(format!("{word} {}", escaped::<std::path::PathBuf>(path)))
    };
    let mut lines: Vec<String> = put.0.iter().filter_map(line).collect();
    let failed = count(&|fate| matches!(fate, Fate::Failed(_)));
    let program = escaped(program);
    lines.push(match (lines.len(), failed) {
        (0, 0) => format!("Nothing to do: the units, which start {program}, man pages and completions are as they are to be."),
        (done, 0) => format!(
            "The units, which start {program}, man pages, and completions for bash, zsh and fish are in place: {done} of {} files written.",
            put.0.len()
        ),
        (done, failed) => format!("{done} files written, {failed} not."),
    });
    lines
}

/// Where the units for all users are there already. `shadows`: those in the home take their place.
pub(super) fn packaged(folder: &Path, program: &Path, shadows: bool) -> Vec<String> {
    let shown = escaped(folder);
    let mut lines = vec![format!(
        "The units for all users are there, in {shown}: nothing was written, as copies in your home would take their place."
    )];
    let service = std::fs::read_to_string(folder.join("tmux-janitor.service")).unwrap_or_default();
    let started = service.lines().find_map(|line| line.strip_prefix("ExecStart=")?.split(' ').next());
    if let Some(started) = started.filter(|started| Path::new(started) != program) {
        lines.push(format!("They start {}, not {}.", escaped(started), escaped(program)));
    }
    if shadows {
        lines.push(
            "Units in your home, from an earlier set-up, take their place now: `tmux-janitor setup --remove` ends that."
                .to_owned(),
        );
    }
    lines
}

/// What no list of a user's has.
pub(super) fn packaged_stays(folder: &Path) -> String {
    format!(
        "The units in {} are the machine's, and stay. Those that you enabled are yours to disable.",
        escaped(folder)
    )
}

/// `changed`: it was not so before.
pub(super) fn enabled(state: State, changed: bool) -> Option<String> {
    let text = match state {
        State::Runs if !changed => "The timer is enabled and runs already.",
        State::Runs => {
            "The timer is enabled and started: a sweep every 10 minutes, the first within 10 minutes, and one at each start of your user manager."
        }
        State::Silent => "The timer is enabled. It starts with your user manager, which does not answer now.",
        State::Asleep => "The timer is enabled.",
        State::Missing => return None,
    };
    Some(text.to_owned())
}

/// A drop-in that was needed here once.
pub(super) fn retired(path: &Path) -> String {
    format!("removed {}: the whole sandbox can be had here now", escaped(path))
}

/// It ran another program, or by another unit.
pub(super) fn restarted() -> String {
    "The watcher was restarted, and runs this version now.".to_owned()
}

pub(super) fn removed(gone: &Gone, folders: &Folders, program: Option<&Path>) -> Vec<String> {
    let mut lines: Vec<String> = gone.files.iter().map(|path| format!("removed {}", escaped(path))).collect();
    lines.extend(gone.edited.iter().map(|(path, copy)| {
        format!("removed {}, which had been edited: as it was it is {} now", escaped(path), escaped(copy))
    }));
    lines.extend(gone.left.iter().map(|path| format!("{} is no file of ours now, and stays", escaped(path))));
    if gone.failed.is_empty() {
        lines.push(format!(
            "All that was set up under {} is gone{}. Configuration files and sockets were not touched.",
            folders.shown(),
            if gone.edited.is_empty() { "" } else { ", but for what was edited" }
        ));
    }
    if let Some(program) = program.filter(|program| !gone.files.iter().any(|path| path == program)) {
        lines.push(format!("The program stays: {}", escaped(program)));
    }
    lines
}
