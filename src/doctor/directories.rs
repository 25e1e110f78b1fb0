//! Socket directories that tmux would refuse, that cannot be written, or that lie on a network file system.

use super::{Cure, Finding, Patient, Severity};
use crate::escape::{escaped, shell_word};
use crate::socket::directory::{Rule, SocketDir};
use crate::socket::file_system::{self, FileSystem};
use crate::words::errno_text;
use rustix::fs::{Access, AtFlags};

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    for directory in &patient.report.directories {
        let (word, path) = (shell_word(&directory.path), escaped(&directory.path));
        if let Some(error) = &directory.error {
            findings.push(Finding::new(
                Severity::Problem,
                format!("{path}: {error}"),
                "tmux does not start there, and the janitor does not clean there",
                Cure::advice(format!("ls -ld {word}, then what is said above")),
            ));
            continue;
        }
        let Ok(Some(dir)) = SocketDir::open(&directory.path, patient.user, Rule::LookedAt) else {
            continue;
        };
        if let FileSystem::Other(magic) = dir.file_system() {
            let name = file_system::name(magic).unwrap_or("a file system that is not known to be local");
            findings.push(Finding::new(
                Severity::Risk,
                format!("{path} lies on {name}"),
                "a server of another machine may listen there: its sockets are foreign and never removed, and tmux's lock may not hold",
                Cure::advice("put TMUX_TMPDIR on a local file system, such as /tmp or $XDG_RUNTIME_DIR"),
            ));
        }
        // With the ids that count, as bind(2) would.
        if let Err(errno) = rustix::fs::accessat(&dir, ".", Access::WRITE_OK, AtFlags::EACCESS) {
            findings.push(Finding::new(
                Severity::Problem,
                format!("{path} cannot be written: {}", errno_text(errno)),
                "tmux says \"error creating …\" there, before 3.8 with exit code 0, and a dead socket blocks its label",
                Cure::advice(format!("findmnt -T {word}; ls -ld {word}; in a unit: ReadWritePaths=")),
            ));
        }
    }
    if let Some(parent) = &patient.around.tmux_tmpdir
        && !parent.is_dir()
    {
        let path = escaped(parent);
        findings.push(Finding::new(
            Severity::Risk,
            format!("TMUX_TMPDIR is {path}, which is no directory"),
            "tmux since 3.2 then uses /tmp without a word: the same label is another server in a shell that has the directory",
            Cure::advice(format!("mkdir -p -m 700 {}, or: unset TMUX_TMPDIR", shell_word(parent))),
        ));
    }
}
