//! Ghosts get their socket back.

use super::{exit_of, pass, paths};
use crate::cli::{Global, Rescue};
use crate::exit::output::Output;
use crate::exit::{Error, Exit};
use crate::logging;
use crate::logging::journal;
use crate::pass::{Narrator, Rescuing, one_name};
use crate::view::{json, people};
use tmux_sockets::ghost::Anew;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::report::Health;

pub(super) fn rescue(global: &Global, arguments: &Rescue, output: &mut Output) -> Result<Exit, Error> {
    let only = match arguments.path.as_ref().map(|path| paths::whole("PATH", path)).transpose()? {
        Some(path) if one_name(&path).is_none() => {
            return Err(Error::Usage(format!("{}: that is not the path of a socket", escaped(&path))));
        }
        Some(_) if !global.dir.is_empty() => {
            return Err(Error::Usage("PATH says where to look: it cannot be combined with --dir".to_owned()));
        }
        only => only,
    };
    let dry_run = arguments.dry_run;
    let rescuing = Rescuing {
        rescue: true,
        dry_run,
        anew: Anew::Parents,
        aside: arguments.aside,
        only: only.as_deref(),
    };
    let report = pass(global, None, rescuing, &mut Narrator::default())?.report;
    // Without a ghost, the text says what could not be looked at.
    if report.counts().ghost > 0 || arguments.json || global.quiet || logging::is_in_journal() {
        journal::rescue(&report);
    }
    if arguments.json || global.quiet || logging::is_in_journal() {
        journal::unseen(&report);
    }
    if arguments.json {
        output.json(|to| json::run(to, &report, "rescue", dry_run, json::Listing::All))?;
    } else {
        let text = people::rescue(&report, dry_run, only.as_deref());
        if output.is_muted() {
            journal::looked(&report, &text, !report.leaves_ghosts());
        }
        if !global.quiet {
            output.text(&text)?;
        }
    }
    // "No ghost" is no answer where the place could not be looked at.
    let unseen = report.health() == Health::Unseen;
    Ok(if unseen || report.leaves_ghosts() { Exit::Found } else { exit_of(&report) })
}
