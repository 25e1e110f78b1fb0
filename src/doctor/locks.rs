//! Start locks that stand in the way of starts: orphaned, of somebody else, no files.

use super::{Cure, Finding, Patient, Severity};
use crate::escape::{escaped, shell_word};
use crate::socket::verdict::{Reason, State};
use crate::tmux::paths;
use crate::words::kind_name;
use rustix::fs::FileType;

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    for entry in &patient.report.entries {
        if entry.verdict.state != State::NotASocket || paths::socket_of_lock(&entry.label).is_none() {
            continue;
        }
        let path = patient.report.path_of(entry);
        let (word, path) = (shell_word(&path), escaped(&path));
        let finding = match entry.verdict.reason {
            Reason::OrphanedLock => Finding::new(
                Severity::Note,
                format!("{path} is an orphaned start lock"),
                "a start or a janitor was killed there; whoever clears it by hand while a server starts loses that server",
                Cure::command(format!("{} sweep", patient.janitor())),
            ),
            Reason::NotASocket(FileType::RegularFile) if entry.uid != patient.user => Finding::new(
                Severity::Problem,
                format!("the start lock {path} belongs to uid {}", entry.uid),
                "tmux cannot lock it: several servers start on one path at once, and all but one become ghosts",
                Cure::advice(format!("when no server is starting: sudo rm -- {word}")),
            ),
            Reason::NotASocket(kind) if kind != FileType::RegularFile => Finding::new(
                Severity::Problem,
                format!("the start lock {path} is {}", kind_name(kind)),
                "tmux cannot lock it: no server can be started there safely",
                Cure::advice(format!("see what it is, then: mv -- {word} somewhere else")),
            ),
            _ => continue,
        };
        findings.push(finding);
    }
}
