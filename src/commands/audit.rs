//! What endangers tmux servers in scripts and units.

use crate::audit;
use crate::cli::Global;
use crate::exit::output::Output;
use crate::exit::{Error, Exit};
use crate::logging::journal;
use std::path::PathBuf;
use tmux_sockets::kernel::escape::escaped;

pub(super) fn audit(
    global: &Global,
    files: &[PathBuf],
    as_json: bool,
    output: &mut Output,
) -> Result<Exit, Error> {
    let audits = audit::run(files)?;
    for (file, audit) in files.iter().zip(&audits) {
        for note in &audit.notes {
            tracing::warn!("{}", audit::note_line(file, note));
        }
        if let Some(why) = &audit.refusal {
            tracing::error!("{}", audit::error_line(file, why));
        } else {
            tracing::debug!("{}: looked at, {} found", escaped(file), audit.findings.len());
        }
    }
    if as_json {
        output.line(&audit::json(files, &audits)?)?;
    } else {
        let text = audit::people(files, &audits, global.quiet);
        if output.is_muted() && !text.is_empty() {
            journal::said(&text, audits.iter().all(|audit| audit.findings.is_empty()));
        }
        output.text(&text)?;
    }
    Ok(audit::exit(&audits))
}
