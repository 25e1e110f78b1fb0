//! Folders that are emptied while servers live or that are gone after a boot.

use super::{Cure, Finding, Patient, Severity, tmpfiles};
use crate::host::lasting::lingers;
use crate::host::systemd::Systemd;
use std::path::Path;
use tmux_sockets::kernel::escape::{escaped, shell_word};
use tmux_sockets::tmux::paths::DEFAULT_PARENT;

/// `TMPFS_MAGIC` of linux/magic.h.
const TMPFS: u64 = 0x0102_1994;

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    // Without systemd there is no logind, and nothing that empties at boot by rules.
    if Systemd::is_here() {
        logout(patient, findings);
        boot(patient, findings);
    }
}

/// `$XDG_RUNTIME_DIR` goes with the last logout; a server that outlives it becomes a ghost.
fn logout(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let Some(name) = patient.name() else {
        return;
    };
    let usual = format!("/run/user/{}", patient.user);
    let in_it = |path: &Path| path.starts_with(&usual);
    let Some((entry, pid)) = patient.servers().find(|(entry, _)| in_it(&patient.report.path_of(entry)))
    else {
        return;
    };
    if !lingers(&name) {
        findings.push(Finding::new(
            Severity::Risk,
            format!(
                "{} (pid {pid}) lies in {usual}, and {name} does not linger",
                escaped(&patient.report.path_of(entry))
            ),
            "logind removes that folder at the last logout; a server that lives on is a ghost then",
            Cure::command(format!("{}loginctl enable-linger {}", patient.sudo(), shell_word(&name))),
        ));
    }
}

/// A `TMUX_TMPDIR` that is gone after a boot: tmux then uses /tmp without a word.
fn boot(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let Some(dir) = patient.around.tmux_tmpdir.as_deref().and_then(tmux_sockets::kernel::realpath) else {
        return;
    };
    let is_made_anew = |path: &Path| {
        path == Path::new(DEFAULT_PARENT)
            || path == Path::new(&format!("/run/user/{}", patient.user))
            || patient.around.runtime_dir.as_deref() == Some(path)
    };
    if is_made_anew(&dir) {
        return;
    }
    let rules = tmpfiles::rules(&patient.systemd);
    let makes = |path: &Path| {
        rules
            .iter()
            .any(|rule| matches!(rule.kind, 'd' | 'D' | 'v' | 'q' | 'Q') && Path::new(&rule.path) == path)
    };
    if makes(&dir) {
        return;
    }
    let emptied = dir.ancestors().skip(1).find_map(|folder| {
        let is_in =
            |kind: char| rules.iter().any(|rule| rule.kind == kind && Path::new(&rule.path) == folder);
        if is_in('D') {
            Some(format!("systemd-tmpfiles empties {} at boot", escaped(folder)))
        } else if is_tmpfs(folder) {
            Some(format!("{} is in memory", escaped(folder)))
        } else {
            None
        }
    });
    if let Some(emptied) = emptied {
        findings.push(Finding::new(
            Severity::Risk,
            format!("TMUX_TMPDIR is {}, and {emptied}", escaped(&dir)),
            "after a boot the folder is missing, and tmux (since 3.2) then uses /tmp and does not say so: other sockets than expected",
            make_at_boot(patient, &dir),
        ));
    }
}

/// A rule that makes the folder at boot.
fn make_at_boot(patient: &Patient<'_>, dir: &Path) -> Cure {
    let is_plain =
        |path: &&str| !path.contains(|c: char| c.is_whitespace() || c.is_control() || "%\"'\\".contains(c));
    let Some(path) = dir.to_str().filter(is_plain) else {
        return Cure::advice("put TMUX_TMPDIR into a folder that is kept over a boot");
    };
    let (sudo, user) = (patient.sudo(), patient.user);
    let rule = shell_word(&format!("d {path} 0700 {user} - -"));
    Cure::command(format!(
        "{sudo}mkdir -p /etc/tmpfiles.d && echo {rule} | {sudo}tee /etc/tmpfiles.d/tmux-tmpdir-{user}.conf >/dev/null"
    ))
}

fn is_tmpfs(folder: &Path) -> bool {
    #[allow(
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "a bit pattern; widths differ by architecture"
    )]
    rustix::fs::statfs(folder).is_ok_and(|stat| stat.f_type as u64 == TMPFS)
}
