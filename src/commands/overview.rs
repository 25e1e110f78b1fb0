//! What is there, and which command comes next: what is said without arguments.

use crate::cli::Global;
use crate::doctor::rounds::{self, Rounds};
use crate::exit::output::Output;
use crate::exit::{Error, Exit};
use crate::logging::journal;
use crate::pass::see;
use crate::view::people;
use std::fmt::Write;
use std::time::Duration;
use tmux_sockets::kernel::Uid;
use tmux_sockets::report::{Counts, Health, Report};
use tmux_sockets::sweep::discover::Surroundings;

pub(super) fn overview(global: &Global, output: &mut Output) -> Result<Exit, Error> {
    let report = super::look(global, false)?.report;
    see::say_why(&report);
    super::status::log_directories(&report);
    let user = Uid::ours();
    // Folders named with --dir are swept by no timer.
    let rounds =
        global.dir.is_empty().then(|| rounds::rounds(user, Surroundings::of_this_process().runtime_dir));
    if output.is_muted() {
        journal::looked(&report, &people::status(&report), report.health() == Health::Healthy);
    }
    output.text(&text(&report, rounds))?;
    Ok(super::exit_of(&report))
}

/// `rounds`: who sweeps by itself, where that was asked.
fn text(report: &Report, rounds: Option<Rounds>) -> String {
    let counts = report.counts();
    let mut text = people::status(report);
    let dirs = report.directories.iter().filter(|dir| dir.error.is_none()).count();
    let _ = writeln!(text, "in {}", plural_dirs(dirs));
    let _ = writeln!(text, "next: {}", next_command(report, &counts, rounds));
    text
}

fn plural_dirs(count: usize) -> String {
    if count == 1 { "1 socket directory".to_owned() } else { format!("{count} socket directories") }
}

/// A ghost comes first: somebody cannot get at their sessions. A dead socket harms nobody who waits.
fn next_command(report: &Report, counts: &Counts, rounds: Option<Rounds>) -> String {
    if counts.ghost > 0 {
        "`tmux-janitor rescue` gets the ghosts' sessions back (`--dry-run` shows them first)".to_owned()
    } else if counts.dead > 0 {
        let mut text =
            "`tmux-janitor sweep` removes the dead sockets (`--dry-run` shows them first)".to_owned();
        if let Some(Rounds::Timer(Some(left))) = rounds {
            let _ = write!(text, "; the timer does so in {}", span(left));
        }
        text
    } else if !report.held.is_empty() {
        "`tmux-janitor doctor` says who holds the start lock, and how to have it released".to_owned()
    } else if report.health() == Health::Unseen {
        "`tmux-janitor doctor` says what keeps it from looking".to_owned()
    } else if counts.unknown > 0 {
        "`tmux-janitor list` says why sockets are unknown".to_owned()
    } else if counts.elsewhere > 0 {
        let servers = people::plural(counts.elsewhere, "server");
        let are = if counts.elsewhere == 1 { "is" } else { "are" };
        format!(
            "{servers} {are} bound outside of the socket directories: `tmux-janitor list` shows where, `tmux-janitor doctor` says how to have a folder swept, or how to get there"
        )
    } else {
        format!("nothing to do{}", rounds.map(keeps_it_so).unwrap_or_default())
    }
}

fn keeps_it_so(rounds: Rounds) -> String {
    match rounds {
        Rounds::Timer(Some(left)) => format!("; the timer sweeps again in {}", span(left)),
        Rounds::Timer(None) => "; the timer sweeps every 10 minutes".to_owned(),
        Rounds::Watcher => "; tmux-janitor-watch.service removes each socket as its server ends".to_owned(),
        Rounds::Nobody => {
            "; to have it swept every 10 minutes: `systemctl --user enable --now tmux-janitor.timer`".to_owned()
        }
        Rounds::NoTimer => "; no timer and no watcher sweeps here: `tmux-janitor setup --now` has it done every 10 minutes".to_owned(),
        Rounds::NoSystemd => "; to have it swept every 10 minutes, without systemd, put this line into `crontab -e`: */10 * * * * tmux-janitor sweep -q".to_owned(),
        Rounds::Unknown => "; whether a timer sweeps is not known: the service manager does not answer".to_owned(),
    }
}

/// A span for people, in whole seconds.
fn span(span: Duration) -> String {
    humantime::format_duration(Duration::from_secs(span.as_secs())).to_string()
}
