//! Mounts that did not answer when one of the other checks had to look there.

use super::{Cure, Finding, Patient, Severity};
use crate::host::apart;
use std::path::PathBuf;
use tmux_sockets::kernel::escape::{escaped, shell_word};

/// Variables that name a folder of the user's.
const FOLDERS: [&str; 4] = ["HOME", "XDG_CONFIG_HOME", "TMUX_TMPDIR", "XDG_RUNTIME_DIR"];

pub(super) fn check(_: &Patient<'_>, findings: &mut Vec<Finding>) {
    let mut users: Vec<(PathBuf, String)> = FOLDERS
        .iter()
        .filter_map(|name| Some((PathBuf::from(std::env::var_os(name)?), format!("{name} leads there"))))
        .collect();
    let programs = std::env::var_os("PATH").unwrap_or_default();
    users.extend(std::env::split_paths(&programs).map(|folder| (folder, "PATH leads there".to_owned())));
    users.extend([(PathBuf::from("."), "it is the working directory".to_owned())]);
    let mut reasons: Vec<(String, &str)> = Vec::new();
    for (path, reason) in &users {
        if let Err(error) = apart::reach(path) {
            if !reasons.contains(&(error.clone(), reason)) {
                reasons.push((error, reason));
            }
        }
    }
    for mount in apart::silent() {
        let error = apart::no_answer(&mount);
        let who: Vec<&str> =
            reasons.iter().filter(|(known, _)| *known == error).map(|(_, reason)| *reason).collect();
        let who = if who.is_empty() { String::new() } else { format!(" ({})", who.join(", ")) };
        findings.push(Finding::new(
            Severity::Problem,
            format!("{}{who}: {error}", escaped(&mount.point)),
            "whoever looks there waits for as long as its server stands still: tmux, which reads its configuration in HOME, shells, and the checks here that were not made for it",
            Cure::advice(format!(
                "findmnt {} shows the mount: make its server answer again, or unmount it (umount(8), lazily)",
                shell_word(&mount.point)
            )),
        ));
    }
}
