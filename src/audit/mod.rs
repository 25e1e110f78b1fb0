//! `audit`: what in scripts and unit files endangers tmux servers.
//!
//! The parser is a big table and a piece of C that reads files of strangers. Neither belongs into a program that runs
//! as a service, so there are two. This is the janitor's side: [`run`] starts `tmux-janitor-audit` (crates/audit),
//! believes no more of it than its answers, and goes on with the next file where it crashed; the rest tells of them.

mod told;

pub(crate) use tmux_janitor_audit_wire::{AuditFinding, FileAudit};
pub(crate) use told::{error_line, exit, json, note_line, people};

use crate::exit::Error;
use crate::host::apart;
use crate::host::child::{self, End, Ended};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tmux_janitor_audit_wire::{NotAudited, ReaderEnd};

/// The program that reads scripts.
const READER: &str = "tmux-janitor-audit";
/// How many files one process is given.
const BATCH: usize = 64;
/// How long it may take for them. It gives up on a single file long before.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks at files; an answer for each, in their order.
pub(crate) fn run(files: &[PathBuf]) -> Result<Vec<FileAudit>, Error> {
    let reader = find_reader()?;
    let mut answers: Vec<FileAudit> = Vec::new();
    while let Some(rest) = files.get(answers.len()..).filter(|rest| !rest.is_empty()) {
        // On a mount that does not answer the reader would wait in the kernel, for ever.
        if let Err(why) = apart::reach_file(&rest[0]) {
            answers.push(FileAudit { refusal: Some(NotAudited::Silent(why)), ..FileAudit::default() });
            continue;
        }
        let more =
            rest[1..].iter().take(BATCH - 1).take_while(|file| apart::reach_file(file).is_ok()).count();
        let batch = &rest[..=more];
        let mut command = Command::new(&reader);
        // It may not look like an option.
        command.arg("--").args(
            batch
                .iter()
                .map(|file| if file.is_absolute() { file.clone() } else { Path::new(".").join(file) }),
        );
        let ended = child::run(&mut command, PATIENCE)
            .map_err(|error| cannot_run(&reader, &tmux_sockets::kernel::text::io_text(&error)))?;
        let more = answers_of(&ended);
        if more.is_empty() {
            answers.push(crashed(&ended));
        }
        answers.extend(more.into_iter().take(batch.len()));
    }
    Ok(answers)
}

/// The whole lines that it wrote.
fn answers_of(ended: &Ended) -> Vec<FileAudit> {
    let lines = ended.out.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    lines.map_while(|line| serde_json::from_slice(line).ok()).collect()
}

/// What is told of the first file when there was no answer for it.
fn crashed(ended: &Ended) -> FileAudit {
    let end = match ended.end {
        End::Signal(signal) => ReaderEnd::Signal(signal),
        End::Code(code) => ReaderEnd::Code(code),
        End::GivenUp => ReaderEnd::GivenUp,
    };
    FileAudit { refusal: Some(NotAudited::Crashed(end)), ..FileAudit::default() }
}

/// Beside our own program, or where distributions put what people do not call.
fn find_reader() -> Result<PathBuf, Error> {
    let own = std::env::current_exe()
        .map_err(|error| cannot_run(Path::new(READER), &tmux_sockets::kernel::text::io_text(&error)))?;
    let folder = own.parent().unwrap_or(Path::new("/"));
    let places = [
        folder.join(READER),
        folder.join("../libexec").join(READER),
        folder.join("../lib/tmux-janitor").join(READER),
    ];
    places.iter().find(|place| place.is_file()).cloned().ok_or_else(|| {
        Error::Incomplete(format!(
            "{READER} is missing, the part of tmux-janitor that reads scripts: it belongs beside {} or into {}; install it from the same build",
            tmux_sockets::kernel::escape::escaped(&own),
            tmux_sockets::kernel::escape::escaped(&folder.join("../libexec"))
        ))
    })
}

fn cannot_run(reader: &Path, why: &str) -> Error {
    Error::Incomplete(format!("{} cannot be run: {why}", tmux_sockets::kernel::escape::escaped(reader)))
}
