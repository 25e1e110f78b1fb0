//! What `list` prints: a table where somebody looks at it, fields between tabs where a program reads them. Pure.

use super::advice::Advised;
use super::columns::{Column, Cut, Side, folded, line, total};
use super::people::{Palette, untold};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::{Duration, SystemTime};
use tmux_sockets::judge::State;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::report::{Entry, Health, Report};

/// Which entries are listed, and what is known of their owners.
pub(crate) struct Listed<'a> {
    /// Whether an entry was asked for.
    pub is_wanted: &'a dyn Fn(&Entry) -> bool,
    /// What users are called.
    pub names: &'a BTreeMap<Uid, String>,
    /// The time of day, from which ages are told.
    pub now: SystemTime,
}

/// Who looks at a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    /// In columns.
    pub width: usize,
    /// Whether states are coloured.
    pub palette: Palette,
    /// Whether the reason of every entry is told.
    pub all_reasons: bool,
    /// Whether it is told whose each is.
    pub users: bool,
}

/// A column of the table, by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnName {
    State,
    Label,
    Pid,
    Age,
    Attached,
    Unit,
    Memory,
    User,
    Path,
    Reason,
}

/// Those of every line of fields.
const FIELDS: [ColumnName; 10] = [
    ColumnName::State,
    ColumnName::Label,
    ColumnName::Pid,
    ColumnName::Age,
    ColumnName::Attached,
    ColumnName::Unit,
    ColumnName::Memory,
    ColumnName::User,
    ColumnName::Path,
    ColumnName::Reason,
];

/// What is done where a screen is too narrow, one after the other.
#[derive(Debug, Clone, Copy)]
enum Step {
    Narrow(ColumnName, usize),
    Drop(ColumnName),
}

const STEPS: [Step; 8] = [
    Step::Narrow(ColumnName::Unit, 16),
    Step::Drop(ColumnName::Memory),
    Step::Drop(ColumnName::Unit),
    Step::Narrow(ColumnName::User, 8),
    Step::Drop(ColumnName::Attached),
    Step::Drop(ColumnName::Age),
    Step::Drop(ColumnName::User),
    Step::Drop(ColumnName::Pid),
];

/// The room that a label has before other columns are given up for it: so much, or its part of the screen.
const LABEL: usize = 20;
const LABELS_PART: usize = 3;

/// What is not known, or not there.
const NONE: &str = "-";

/// Behind a path that does not lead to its server from here.
const UNREACHABLE: &str = " !";

/// Before a reason, below what it is the reason of.
const INDENT: &str = "  ";

/// For whatever reads a pipe: a header, and the same fields in every line, between tabs. Nothing is cut, and no field
/// holds a tab or a line break.
pub(crate) fn fields(report: &Report, listed: &Listed<'_>, palette: Palette) -> String {
    let mut text = FIELDS.map(ColumnName::header).join("\t") + "\n";
    for entry in wanted(report, listed) {
        let cells = FIELDS.map(|name| match name {
            ColumnName::State => palette.state(entry.verdict.state, 0),
            name => name.of(report, entry, listed),
        });
        text += &cells.join("\t");
        text.push('\n');
    }
    text
}

/// For who looks at a terminal: a table that is no wider than it. What is to be said of an entry stands below it.
pub(crate) fn table(report: &Report, listed: &Listed<'_>, screen: Screen) -> String {
    let entries: Vec<&Entry> = wanted(report, listed).collect();
    let mut text = String::new();
    if !entries.is_empty() {
        let columns = columns(report, &entries, listed, screen);
        for row in 0..=entries.len() {
            let entry = row.checked_sub(1).and_then(|at| entries.get(at));
            let cells: Vec<String> = columns
                .iter()
                .map(|column| match entry {
                    Some(entry) if column.name == ColumnName::State => {
                        screen.palette.state(entry.verdict.state, column.width)
                    }
                    _ => column.cell(row),
                })
                .collect();
            let _ = writeln!(text, "{}", line(&cells));
            let reason = entry.filter(|entry| screen.all_reasons || has_reason(entry));
            for line in reason.into_iter().flat_map(|entry| {
                folded(&reason_of(report, entry), screen.width.saturating_sub(INDENT.len()))
            }) {
                let _ = writeln!(text, "{INDENT}{line}");
            }
        }
    }
    text.extend(untold(report));
    if text.is_empty() {
        text = nothing(report);
    }
    text
}

/// What could not be looked at is told by the log.
fn nothing(report: &Report) -> String {
    match (report.entries.len(), report.health()) {
        (0, Health::Unseen) => "no tmux sockets seen\n".to_owned(),
        (0, Health::Healthy | Health::Found) => "no tmux sockets\n".to_owned(),
        (1, _) => "nothing matches; `tmux-janitor list` shows the one that is there\n".to_owned(),
        (all, _) => format!("nothing matches; `tmux-janitor list` shows all {all}\n"),
    }
}

fn wanted<'r>(report: &'r Report, listed: &Listed<'_>) -> impl Iterator<Item = &'r Entry> {
    report.entries.iter().filter(|entry| (listed.is_wanted)(entry))
}

/// What is alive, and can be reached, and what is dead says enough.
fn has_reason(entry: &Entry) -> bool {
    !matches!(entry.verdict.state, State::Live | State::Dead) || entry.is_reachable() == Some(false)
}

fn reason_of(report: &Report, entry: &Entry) -> String {
    let mut text = entry.verdict.reason.with_advice();
    if let Some(whereabouts) = entry.whereabouts(&report.path_of(entry), Uid::ours()) {
        let _ = write!(text, "; {whereabouts}");
    }
    if !entry.panes.is_empty() {
        let _ = write!(text, "; panes: {}", entry.panes.join(", "));
    }
    text
}

/// The columns that fit.
fn columns(
    report: &Report,
    entries: &[&Entry],
    listed: &Listed<'_>,
    screen: Screen,
) -> Vec<Column<ColumnName>> {
    let folders: BTreeSet<_> = entries.iter().map(|entry| report.folder_of(entry)).collect();
    let is_outside = entries.iter().any(|entry| entry.outside.is_some());
    let label = if folders.len() > 1 || is_outside { ColumnName::Path } else { ColumnName::Label };
    let names = [
        ColumnName::State,
        label,
        ColumnName::Pid,
        ColumnName::Age,
        ColumnName::Attached,
        ColumnName::Unit,
        ColumnName::Memory,
    ];
    let names = names.into_iter().chain(screen.users.then_some(ColumnName::User));
    let mut columns: Vec<Column<ColumnName>> = names
        .map(|name| {
            let cells = entries.iter().map(|entry| {
                let is_marked = name == label && entry.is_reachable() == Some(false);
                name.of(report, entry, listed) + if is_marked { UNREACHABLE } else { "" }
            });
            let cells = std::iter::once(name.header().to_owned()).chain(cells).collect();
            Column::new(name, cells, name.cut(), name.side())
        })
        .collect();
    let room = LABEL.max(screen.width / LABELS_PART);
    narrow(&mut columns, label, room);
    for step in STEPS {
        if total(&columns) <= screen.width {
            break;
        }
        match step {
            Step::Narrow(name, width) => narrow(&mut columns, name, width),
            Step::Drop(name) => columns.retain(|column| column.name != name),
        }
    }
    // What is left over goes to what was cut.
    for name in [label, ColumnName::Unit, ColumnName::User] {
        let (used, width) = (total(&columns), screen.width);
        if let Some(column) = columns.iter_mut().find(|column| column.name == name) {
            column.width = (column.width + width).saturating_sub(used).clamp(1, column.natural().max(1));
        }
    }
    columns
}

fn narrow(columns: &mut [Column<ColumnName>], name: ColumnName, width: usize) {
    if let Some(column) = columns.iter_mut().find(|column| column.name == name) {
        column.width = column.width.min(width);
    }
}

impl ColumnName {
    fn header(self) -> &'static str {
        match self {
            Self::State => "STATE",
            Self::Label => "LABEL",
            Self::Pid => "PID",
            Self::Age => "AGE",
            Self::Attached => "ATTACHED",
            Self::Unit => "UNIT",
            Self::Memory => "MEMORY",
            Self::User => "USER",
            Self::Path => "PATH",
            Self::Reason => "REASON",
        }
    }

    fn cut(self) -> Cut {
        if self == Self::Path { Cut::Start } else { Cut::End }
    }

    fn side(self) -> Side {
        if matches!(self, Self::Pid | Self::Age | Self::Memory) { Side::Right } else { Side::Left }
    }

    /// What is said of an entry.
    fn of(self, report: &Report, entry: &Entry, listed: &Listed<'_>) -> String {
        let details = entry.details.as_deref();
        let known = match self {
            Self::State => Some(entry.verdict.state.word().to_owned()),
            Self::Label => Some(escaped(&entry.label).to_string()),
            Self::Path => Some(escaped(&report.path_of(entry)).to_string()),
            Self::Pid => entry.server_pid.map(|pid| pid.to_string()),
            Self::Age => details.and_then(|details| details.started).map(|started| {
                // Clocks step.
                age(listed.now.duration_since(started).unwrap_or_default())
            }),
            Self::Attached => details
                .and_then(|details| details.attached)
                .map(|attached| if attached { "yes" } else { "no" }.to_owned()),
            Self::Unit => {
                details.and_then(|details| details.unit.as_ref()).map(|unit| escaped(unit).to_string())
            }
            Self::Memory => details.and_then(|details| details.memory).map(memory),
            Self::User => {
                let name = listed.names.get(&entry.uid);
                Some(name.map_or_else(|| entry.uid.to_string(), |name| escaped(name).to_string()))
            }
            Self::Reason => Some(reason_of(report, entry)),
        };
        known.unwrap_or_else(|| NONE.to_owned())
    }
}

/// A span in its two largest units: `42s`, `3h12m`, `5d`.
fn age(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |large: u64, size: u64, large_unit: &str, small: u64, small_unit: &str| {
        let rest = large % size / small;
        let rest = if rest > 0 { format!("{rest}{small_unit}") } else { String::new() };
        format!("{}{large_unit}{rest}", large / size)
    };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => two(seconds, 60, "m", 1, "s"),
        3600..86_400 => two(seconds, 3600, "h", 60, "m"),
        _ => two(seconds, 86_400, "d", 3600, "h"),
    }
}

/// Bytes as systemd writes them: `512B`, `3.4M`, `120M`.
fn memory(bytes: u64) -> String {
    let (mut unit, mut shift) = ('B', 0);
    for (at, larger) in (1..).zip(['K', 'M', 'G', 'T', 'P', 'E']) {
        if bytes >> (10 * at) > 0 {
            (unit, shift) = (larger, 10 * at);
        }
    }
    let whole = bytes >> shift;
    if shift == 0 || whole >= 10 {
        return format!("{whole}{unit}");
    }
    let tenths = (u128::from(bytes) * 10) >> shift;
    format!("{whole}.{}{unit}", tenths % 10)
}

#[cfg(test)]
mod tests;
