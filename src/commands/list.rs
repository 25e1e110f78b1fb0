//! `list`: a table of all sockets, for people, pipes and programs.

use crate::cli::{Global, List};
use crate::exit::Error;
use crate::exit::Exit;
use crate::exit::output::Output;
use crate::logging::journal;
use crate::pass::Narrator;
use crate::users::{self, Task};
use crate::view::json;
use crate::view::people;
use crate::view::table::{self, Listed, Screen};
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::time::SystemTime;
use tmux_sockets::kernel::Uid;
use tmux_sockets::report::{Entry, Report};
use tmux_sockets::sweep::Act;

/// A terminal that does not say how wide it is.
const COLUMNS: usize = 80;

pub(super) fn list(global: &Global, arguments: &List, output: &mut Output) -> Result<Exit, Error> {
    let List { all_users, label, state, json: as_json } = arguments;
    let is_told_to_people = !as_json && output.is_muted();
    let task = Task { act: Act::Look, rescue: false, details: !is_told_to_people };
    let report = super::pass_for(global, *all_users, task, &mut Narrator::default())?.report;
    journal::directories(&report);
    journal::unseen(&report);
    if is_told_to_people {
        journal::looked(&report, &people::status(&report), !report.has_failures());
        return Ok(super::exit_of(&report));
    }
    let is_wanted = |entry: &Entry| {
        label.as_ref().is_none_or(|glob| glob.matches(&entry.label))
            && (state.is_empty() || state.contains(&entry.verdict.state))
    };
    let is_table = !as_json && std::io::stdout().is_terminal();
    let names = if is_table && !all_users { BTreeMap::new() } else { names(&report, &is_wanted) };
    let listed = Listed { is_wanted: &is_wanted, names: &names, now: SystemTime::now() };
    let palette = super::palette(global.color);
    if *as_json {
        output.json(|to| json::run(to, &report, "list", false, json::Listing::Listed(&listed)))?;
    } else if is_table {
        let all_reasons = global.verbose > 0;
        let screen = Screen { width: width(), palette, all_reasons, users: *all_users };
        output.text(&table::table(&report, &listed, screen))?;
    } else {
        output.text(&table::fields(&report, &listed, palette))?;
        if report.untold.entries > 0 {
            tracing::warn!("{}", report.untold);
        }
    }
    Ok(super::exit_of(&report))
}

/// What the owners of what is listed are called.
fn names(report: &Report, is_wanted: &dyn Fn(&Entry) -> bool) -> BTreeMap<Uid, String> {
    let owners: BTreeSet<Uid> =
        report.entries.iter().filter(|entry| is_wanted(entry)).map(|entry| entry.uid).collect();
    users::names(&owners)
}

/// How many columns the terminal has that stdout is.
fn width() -> usize {
    let of_terminal =
        rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    // As in ncurses, a terminal without a size is believed what the environment says.
    let of_environment = || std::env::var("COLUMNS").ok()?.parse().ok();
    of_terminal
        .filter(|width| *width > 0)
        .or_else(of_environment)
        .filter(|width| *width > 0)
        .unwrap_or(COLUMNS)
}
