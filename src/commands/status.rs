//! `status`: the health row, for people, programs and monitoring.

use crate::cli::{Global, Status};
use crate::exit::Error;
use crate::exit::Exit;
use crate::exit::output::Output;
use crate::host::apart;
use crate::logging::{self, journal};
use crate::pass::{Run, see};
use crate::record::metrics;
use crate::record::row::Row;
use crate::view::{json, people};
use std::io::ErrorKind;
use std::path::Path;
use tmux_sockets::kernel::Uid;
use tmux_sockets::report::{Health, Report};

pub(super) fn status(global: &Global, arguments: &Status, output: &mut Output) -> Result<Exit, Error> {
    let run = super::look(global, arguments.all_users)?;
    let report = &run.report;
    see::say_why(report);
    log_directories(report);
    if let Some(path) = &arguments.metrics_file {
        apart::replace(path, metrics_of(&run, arguments.all_users).as_bytes())
            .map_err(|error| not_written(path, &error))?;
    } else if arguments.metrics {
        output.bytes(metrics_of(&run, arguments.all_users).as_bytes())?;
    } else if arguments.json {
        output.line(&json::status(report)?)?;
    } else {
        if output.is_muted() {
            journal::looked(report, &people::status(report), report.health() == Health::Healthy);
        }
        output.text(&people::status(report))?;
    }
    Ok(match report.health() {
        Health::Healthy => Exit::Done,
        Health::Found => Exit::Found,
        Health::Unseen => Exit::Undecided,
    })
}

/// The line for people says what was left alone, and why; the journal is to have it, too.
pub(super) fn log_directories(report: &Report) {
    if logging::is_in_journal() {
        journal::directories(report);
    }
}

fn not_written(path: &Path, error: &std::io::Error) -> Error {
    let why = metrics::not_written(path, error);
    match error.kind() {
        ErrorKind::PermissionDenied => Error::NoPermission(format!("the metrics cannot be written: {why}")),
        kind => Error::Output(std::io::Error::new(kind, why)),
    }
}

fn metrics_of(run: &Run, all_users: bool) -> String {
    if all_users {
        return metrics::text(&run.rows);
    }
    metrics::text(&[Row::of(Uid::ours(), &run.report, run.record.as_ref())])
}
