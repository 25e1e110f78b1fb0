//! `TMUX_TMPDIR` differs between the shell and the user's service manager.

use super::{Cure, Finding, Patient, Severity};
use crate::host::apart;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::escape::{escaped, shell_word};
use tmux_sockets::tmux::paths::DEFAULT_PARENT;

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
    let cure = own.map_or_else(take_away, hand_on);
    findings.push(Finding::new(
        Severity::Risk,
        format!("TMUX_TMPDIR is {} here and {} in the user's service manager", shown(own), shown(managers.as_deref())),
        "the same label is another socket in a unit than in a shell: sessions that a unit starts are not found, and are started twice",
        Cure::command(cure),
    ));
}

/// Gives the shell's value to the manager, now and at each login.
fn hand_on(own: &Path) -> String {
    // environment.d(5) expands variables and has quotes of its own.
    let is_plain = !own.to_string_lossy().contains(|c: char| c.is_whitespace() || "$\\\"'".contains(c));
    let at_login = if is_plain {
        format!(
            " && mkdir -p ~/.config/environment.d && echo TMUX_TMPDIR={} >~/.config/environment.d/tmux.conf",
            shell_word(own)
        )
    } else {
        String::new()
    };
    format!("systemctl --user import-environment TMUX_TMPDIR{at_login}")
}

/// Takes the manager's value away. Where it is set at each login, the manager reads that anew.
fn take_away() -> String {
    let files: Vec<String> = named_in().iter().map(shell_word).collect();
    let forget = if files.is_empty() {
        String::new()
    } else {
        format!("sed -i '/^TMUX_TMPDIR=/d' {} && systemctl --user daemon-reload && ", files.join(" "))
    };
    format!("{forget}systemctl --user unset-environment TMUX_TMPDIR")
}

/// The user's files that set it at each login: environment.d(5).
fn named_in() -> Vec<PathBuf> {
    let folder = std::env::var_os("HOME").map(|home| Path::new(&home).join(".config/environment.d"));
    let folder = folder.filter(|folder| apart::answers(folder));
    let files =
        folder.into_iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    let sets = |path: &PathBuf| {
        if !apart::answers(path) {
            return false;
        }
        let text = std::fs::read_to_string(path).unwrap_or_default();
        path.extension().is_some_and(|kind| kind == "conf")
            && text.lines().any(|line| line.starts_with("TMUX_TMPDIR="))
    };
    files.map(|entry| entry.path()).filter(sets).collect()
}

/// Where tmux ends up with a value.
fn leads_to(value: Option<&Path>) -> PathBuf {
    let parent = value.unwrap_or(Path::new(DEFAULT_PARENT));
    tmux_sockets::kernel::realpath(parent).unwrap_or_else(|| parent.to_owned())
}
