//! A record of sweeps and removals that cannot be read.

use super::{Cure, Finding, Patient, Severity};
use crate::host::apart;
use crate::record::{self, Unread};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tmux_sockets::kernel::escape::shell_word;

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let Some(Err(Unread(errno))) = patient.record else { return };
    let folder = record::folder(patient.user);
    let is_in = |path: &Path| folder.parent() == Some(path);
    if patient.report.directories.iter().any(|dir| dir.error.is_some() && is_in(&dir.path)) {
        // What keeps tmux out of the directory keeps us out; another check tells that, with its cure.
        return;
    }
    if !apart::answers(&folder) {
        // Another check tells of that mount.
        return;
    }
    let word = shell_word(&folder);
    let cure = match folder.symlink_metadata() {
        Ok(about) if about.is_dir() && about.uid() != patient.user.raw() => {
            Cure::command(format!("mv -- {word} {}", shell_word(&folder.with_extension("aside"))))
        }
        Ok(about) if about.is_dir() && about.mode() & 0o7777 != 0o700 => {
            Cure::command(format!("chmod 700 {word}"))
        }
        Ok(about) if about.is_dir() => {
            Cure::command(format!("rm -- {}", shell_word(&folder.join(record::FILE))))
        }
        Ok(_) => Cure::command(format!("rm -- {word}")),
        Err(_) => Cure::advice(format!(
            "ls -ld {}; it must be a folder of this user's that nobody else can write, or tmux cannot use it either",
            shell_word(folder.parent().unwrap_or(&folder))
        )),
    };
    findings.push(Finding::new(
        Severity::Risk,
        record::unread(patient.user, *errno),
        "two alerts are silent: whether sweeps fail, and whether they are made at all",
        cure,
    ));
}
