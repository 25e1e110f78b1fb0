//! `TMUX_TMPDIR` differs between the shell and the user's service manager.

use super::{Cure, Finding, Patient, Severity};
use crate::escape::{escaped, shell_word};
use crate::tmux::paths::DEFAULT_PARENT;
use std::path::{Path, PathBuf};

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let Some(managers) = patient.systemd.environment("TMUX_TMPDIR") else {
        return;
    };
    let managers = Some(managers).filter(|value| !value.is_empty()).map(PathBuf::from);
    let own = patient.around.tmux_tmpdir.as_deref();
    if leads_to(own) == leads_to(managers.as_deref()) {
        return;
    }
    let shown =
        |value: Option<&Path>| value.map_or_else(|| "unset".to_owned(), |path| escaped(path).to_string());
    let cure = match own {
        Some(own) => Cure::command(format!(
            "systemctl --user import-environment TMUX_TMPDIR && mkdir -p ~/.config/environment.d && echo TMUX_TMPDIR={} >~/.config/environment.d/tmux.conf",
            shell_word(own)
        )),
        None => Cure::command("systemctl --user unset-environment TMUX_TMPDIR"),
    };
    findings.push(Finding::new(
        Severity::Risk,
        format!("TMUX_TMPDIR is {} here and {} in the user's service manager", shown(own), shown(managers.as_deref())),
        "the same label is another socket in a unit than in a shell: sessions that a unit starts are not found, and are started twice",
        cure,
    ));
}

/// Where tmux ends up with a value.
fn leads_to(value: Option<&Path>) -> PathBuf {
    let parent = value.unwrap_or(Path::new(DEFAULT_PARENT));
    parent.canonicalize().unwrap_or_else(|_| parent.to_owned())
}
