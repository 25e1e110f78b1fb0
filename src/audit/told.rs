//! What is told of answers: the sentences, for people and for programs, and the exit code.

use super::READER;
use crate::exit::Exit;
use crate::view::json::{raw_bytes, text};
use crate::view::people::plural;
use rustix::fs::FileType;
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use tmux_janitor_audit_wire::{AuditFinding, AuditNote, FileAudit, NotAudited, NoteKind, ReaderEnd};
use tmux_sockets::kernel::escape::escaped;

/// Why a file was not looked at, its name before it.
pub(crate) fn error_line(file: &Path, why: &NotAudited) -> String {
    format!("{} {}", escaped(file), refusal(why))
}

/// A note, its place before it.
pub(crate) fn note_line(file: &Path, note: &AuditNote) -> String {
    format!("{}:{}:{}: {}", escaped(file), note.line, note.column, sentence(&note.kind))
}

/// A line per finding, as compilers do and editors read. That there is none is told of what was looked at as a whole,
/// and not when `quiet`.
pub(crate) fn people(files: &[PathBuf], audits: &[FileAudit], quiet: bool) -> String {
    let mut text = String::new();
    for (file, audit) in files.iter().zip(audits) {
        for AuditFinding { line, column, rule, message } in &audit.findings {
            let _ = writeln!(text, "{}:{line}:{column}: {rule}: {message}", escaped(file));
        }
    }
    let is_whole = |audit: &FileAudit| audit.refusal.is_none() && !audit.is_partial;
    if text.is_empty() && !quiet && audits.iter().all(is_whole) {
        let _ = writeln!(text, "nothing found in {}", plural(files.len(), "file"));
    }
    text
}

#[derive(Serialize)]
struct AuditObject<'a> {
    version: u32,
    command: &'static str,
    healthy: bool,
    files: Vec<File<'a>>,
    findings: Vec<PositionObject<'a>>,
    notes: Vec<PositionObject<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<&'a [u8]>,
    error: Option<String>,
}

#[derive(Serialize)]
struct PositionObject<'a> {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<&'a [u8]>,
    line: usize,
    column: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    message: String,
}

/// The object of `audit --json`: docs/json.md.
pub(crate) fn json(files: &[PathBuf], audits: &[FileAudit]) -> serde_json::Result<String> {
    let each = || files.iter().map(|file| file.as_os_str()).zip(audits);
    let findings = each().flat_map(|(file, audit)| {
        audit.findings.iter().map(move |finding| PositionObject {
            path: text(file),
            path_bytes: raw_bytes(file),
            line: finding.line,
            column: finding.column,
            rule: Some(&finding.rule),
            message: finding.message.clone(),
        })
    });
    let notes = each().flat_map(|(file, audit)| {
        audit.notes.iter().map(move |note| PositionObject {
            path: text(file),
            path_bytes: raw_bytes(file),
            line: note.line,
            column: note.column,
            rule: None,
            message: sentence(&note.kind),
        })
    });
    let is_clean =
        |audit: &FileAudit| audit.findings.is_empty() && audit.refusal.is_none() && !audit.is_partial;
    serde_json::to_string(&AuditObject {
        version: 1,
        command: "audit",
        healthy: audits.iter().all(is_clean),
        files: each()
            .map(|(file, audit)| File {
                path: text(file),
                path_bytes: raw_bytes(file),
                error: audit.refusal.as_ref().map(refusal),
            })
            .collect(),
        findings: findings.collect(),
        notes: notes.collect(),
    })
}

/// What was not looked at weighs more than what was found.
pub(crate) fn exit(audits: &[FileAudit]) -> Exit {
    let rank = |audit: &FileAudit| match &audit.refusal {
        Some(NotAudited::Crashed(_)) => (4, Exit::Bug),
        Some(NotAudited::Unreadable(_) | NotAudited::Silent(_)) => (3, Exit::NoPermission),
        Some(
            NotAudited::Directory | NotAudited::Special(_) | NotAudited::Binary | NotAudited::Foreign(_),
        ) => (2, Exit::Usage),
        Some(NotAudited::TooLong(_) | NotAudited::TooIntricate) => (1, Exit::Found),
        None if audit.is_partial || !audit.findings.is_empty() => (1, Exit::Found),
        None => (0, Exit::Done),
    };
    audits.iter().map(rank).max_by_key(|(weight, _)| *weight).map_or(Exit::Done, |(_, exit)| exit)
}

fn refusal(why: &NotAudited) -> String {
    match why {
        NotAudited::Directory => "is a directory; name the scripts and unit files in it".to_owned(),
        NotAudited::Special(mode) => {
            let kind = tmux_sockets::kernel::text::kind_name(FileType::from_raw_mode(*mode));
            format!("is {kind}, not a file with a script or a unit")
        }
        NotAudited::Binary => {
            "is not text: name only shell scripts, unit files and tables of cron".to_owned()
        }
        NotAudited::Foreign(program) => format!(
            "is a script for {}, which is not looked into: name only shell scripts, unit files and tables of cron",
            escaped(program)
        ),
        NotAudited::Unreadable(errno) => {
            format!(
                "cannot be read: {}",
                tmux_sockets::kernel::text::io_text(&std::io::Error::from_raw_os_error(*errno))
            )
        }
        NotAudited::Silent(why) => format!("cannot be read: {why}"),
        NotAudited::TooLong(most) => {
            format!("is longer than {} MiB; only shorter scripts are looked into", most >> 20)
        }
        NotAudited::TooIntricate => "takes too long to parse, so nothing was looked for in it".to_owned(),
        NotAudited::Crashed(end) => {
            let how = match end {
                ReaderEnd::Signal(signal) => format!("crashed on it (signal {signal})"),
                ReaderEnd::Code(code) => format!("ended on it with code {code}"),
                ReaderEnd::GivenUp => "did not get through it in time".to_owned(),
            };
            format!("cannot be audited: {READER} {how}; please report it")
        }
    }
}

fn sentence(note: &NoteKind) -> String {
    match note {
        NoteKind::NoSuchRule { asked, known } => {
            format!("there is no rule {} to allow; there are {}", escaped(asked), known.join(", "))
        }
        NoteKind::NotShell => {
            "this does not parse as shell, so lines near it may not have been looked at".to_owned()
        }
        NoteKind::Cut => "this is too long or nested too deep: not all of it was looked at".to_owned(),
        NoteKind::LeftOut(count) => format!("findings from here on are left out: there are {count}"),
    }
}
