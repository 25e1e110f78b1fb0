//! Results for people: lines that stay lines.

use super::advice::{self, Advised};
use std::fmt::Write;
use std::path::Path;
use tmux_sockets::judge::State;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::report::Outcome;
use tmux_sockets::report::{Entry, EntryNumber, Report};

/// How many paths a one-line text names before it only counts.
const NAMED: usize = 5;

/// Whether and how states are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Palette {
    /// Escape sequences may be written.
    pub colored: bool,
}

impl Palette {
    /// A word for a state, padded to `width` and coloured.
    pub(crate) fn state(self, state: State, width: usize) -> String {
        let word = format!("{:width$}", state.word());
        let code = match state {
            State::Live => "32",
            State::Dead => "31",
            State::Ghost => "35",
            State::Starting | State::Unknown => "33",
            State::Foreign | State::NotASocket => "2",
        };
        if self.colored { format!("\x1b[{code}m{word}\x1b[0m") } else { word }
    }
}

/// `1 dead socket`, `2 dead sockets`.
pub(crate) fn plural(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// What `sweep` prints: a line per removed socket, but for those that were told already, and a summary.
pub(crate) fn sweep(report: &Report, dry_run: bool, is_told: &dyn Fn(EntryNumber) -> bool) -> String {
    let left = report.numbered().filter(|(number, _)| !is_told(*number));
    let mut text: String = left.filter_map(|(_, entry)| deed(report, entry)).collect();
    text.extend(untold(report));
    let _ = writeln!(text, "{}", summary(report, dry_run));
    text
}

/// The line for what is only counted.
pub(super) fn untold(report: &Report) -> Option<String> {
    (report.untold.entries > 0).then(|| format!("{}\n", report.untold))
}

/// A line for everything that was done or would be.
fn deeds(report: &Report) -> String {
    report.entries.iter().filter_map(|entry| deed(report, entry)).collect()
}

/// The line for an entry with which something was done or would be.
pub(crate) fn deed(report: &Report, entry: &Entry) -> Option<String> {
    let done = match entry.outcome {
        Outcome::Removed => "removed",
        Outcome::WouldRemove => "would remove",
        Outcome::Resurrected => "put back",
        Outcome::Rescued => "rescued",
        Outcome::WouldRescue => "would rescue",
        Outcome::SetAside => "set aside as",
        Outcome::WouldSetAside => "would set aside as",
        Outcome::Kept | Outcome::Vanished | Outcome::Busy | Outcome::Failed(_) => return None,
    };
    let more = match entry.server_pid {
        _ if entry.is_litter() => format!(" ({})", entry.verdict.reason),
        Some(pid) => format!(" (pid {pid})"),
        None => String::new(),
    };
    Some(format!("{done} {}{more}\n", escaped(&report.path_of(entry))))
}

/// `swept 1 dead socket; 2 live`, and whatever else there was.
pub(crate) fn summary(report: &Report, dry_run: bool) -> String {
    let counts = report.counts();
    let (verb, swept) =
        if dry_run { ("would sweep", counts.would_remove) } else { ("swept", counts.removed) };
    let mut text = format!("{verb} {}; {} live", plural(swept, "dead socket"), counts.live);
    let kept = counts.dead.saturating_sub(swept + counts.failed);
    if counts.rescued > 0 {
        let _ = write!(text, ", {} rescued", plural(counts.rescued, "ghost"));
    }
    let ghosts = counts.ghost.saturating_sub(counts.rescued);
    if ghosts > 0 {
        let _ = write!(text, ", {}", plural(ghosts, "ghost"));
    }
    for (count, word) in [
        (counts.starting, "starting"),
        (counts.spared, "spared"),
        (kept, "dead kept"),
        (counts.unknown.saturating_sub(counts.not_reached), "unknown"),
        (counts.not_reached, "not reached before the end"),
        (counts.foreign, "foreign"),
        (counts.failed, "failed"),
        (counts.orphaned_locks, plural_of(counts.orphaned_locks)),
        (counts.strays, if counts.strays == 1 { "stray" } else { "strays" }),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {word}");
        }
    }
    text
}

/// What `rescue` prints: a line per ghost that has its socket again, and a summary; `only` is the path that was asked for.
pub(crate) fn rescue(report: &Report, dry_run: bool, only: Option<&Path>) -> String {
    let mut text = deeds(report);
    let counts = report.counts();
    let (verb, done) =
        if dry_run { ("would rescue", counts.would_rescue) } else { ("rescued", counts.rescued) };
    let left = counts.ghost.saturating_sub(done);
    let _ = match (counts.ghost, left) {
        (0, _) => match unseen(report) {
            Some(unseen) => writeln!(text, "no ghost is seen, but not all could be looked at: {unseen}"),
            None => match only {
                Some(path) => writeln!(
                    text,
                    "no ghost at {}; `tmux-janitor rescue --dry-run` shows each ghost with its path",
                    escaped(path)
                ),
                None => writeln!(text, "no ghosts"),
            },
        },
        (_, 0) => writeln!(text, "{verb} {}", plural(done, "ghost")),
        (_, 1) => writeln!(text, "{verb} {}; 1 left as it is", plural(done, "ghost")),
        _ => writeln!(text, "{verb} {}; {left} left as they are", plural(done, "ghost")),
    };
    // Of a directory that was left alone the log tells.
    let blind = report.unseen.iter().map(|place| (place.path.as_path(), place.why.with_advice()));
    if let (1.., Some(blind)) = (counts.ghost, named_places(blind)) {
        let _ = writeln!(text, "not all could be looked at: {blind}");
    }
    text
}

/// The health row: `tmux sockets: 3 live, 1 dead, 0 ghosts (dead: /tmp/tmux-1000/stale)`.
pub(crate) fn status(report: &Report) -> String {
    let counts = report.counts();
    let mut text = format!(
        "tmux sockets: {} live, {} dead, {}",
        counts.live,
        counts.dead,
        plural(counts.ghost, "ghost")
    );
    for (count, word) in [
        (counts.spared, "spared"),
        (counts.unknown, "unknown"),
        (counts.orphaned_locks, plural_of(counts.orphaned_locks)),
        (counts.strays, if counts.strays == 1 { "stray" } else { "strays" }),
        (counts.elsewhere, "elsewhere"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {word}");
        }
    }
    let named = |count: usize, state| {
        let paths = report
            .entries
            .iter()
            .filter(|entry| entry.verdict.state == state && (state != State::Dead || entry.is_dead()))
            .map(|entry| escaped(&report.path_of(entry)).to_string());
        let paths: Vec<_> = paths.take(NAMED).collect();
        let mut text = paths.join(", ");
        if paths.is_empty() {
            text.push_str("not listed one by one");
        } else if count > paths.len() {
            let _ = write!(text, " and {} more", count - paths.len());
        }
        text
    };
    let lists = [("dead", counts.dead, State::Dead), ("ghosts", counts.ghost, State::Ghost)]
        .into_iter()
        .filter(|(_, count, _)| *count > 0)
        .map(|(word, count, state)| format!("{word}: {}", named(count, state)))
        .collect::<Vec<_>>();
    if !lists.is_empty() {
        let _ = write!(text, " ({})", lists.join("; "));
    }
    if let Some(held) =
        named_places(report.held.iter().map(|place| (place.path.as_path(), place.why.with_advice())))
    {
        let _ = write!(text, "; held: {held}");
    }
    if let Some(unseen) = unseen(report) {
        let _ = write!(text, "; not looked at: {unseen}");
    }
    text.push('\n');
    text
}

/// Start locks that stay: a run without leases cannot remove them.
fn plural_of(locks: usize) -> &'static str {
    if locks == 1 { "orphaned lock" } else { "orphaned locks" }
}

/// What could not be looked at, and why; `None`: there is no such thing.
fn unseen(report: &Report) -> Option<String> {
    named_places(advice::not_looked_at(report))
}

/// A few places with what is said of each; `None`: there is none.
fn named_places<'a>(places: impl Iterator<Item = (&'a Path, String)>) -> Option<String> {
    let mut all = places.map(|(path, why)| format!("{}: {why}", escaped(path)));
    let mut text = all.by_ref().take(NAMED).collect::<Vec<_>>().join("; ");
    let more = all.count();
    if more > 0 {
        let _ = write!(text, "; and {more} more");
    }
    (!text.is_empty()).then_some(text)
}
