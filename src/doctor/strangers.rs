//! Another user's dead socket on one of our labels: tmux can neither reach nor replace what it may not write.

use super::{Cure, Finding, Patient, Severity};
use tmux_sockets::judge::Reason;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::{escaped, shell_word};
use tmux_sockets::kernel::file_system::FileSystem;
use tmux_sockets::tmux::paths::lock_name;
use tmux_sockets::tmux::{SocketDir, Strictness};

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    if patient.blindness.is_some() {
        return;
    }
    for entry in &patient.report.entries {
        let Reason::OtherUser(owner) = entry.verdict.reason else {
            continue;
        };
        let path = patient.report.path_of(entry);
        let Some(folder) = path.parent() else { continue };
        // In a folder of ours its owner can be nobody but us or root: others cannot come in.
        let Ok(Some(dir)) = SocketDir::open(folder, patient.user, Strictness::Swept) else {
            continue;
        };
        let Ok((pin, facts)) = dir.pin(&entry.label) else { continue };
        let is_local = matches!(dir.file_system(), FileSystem::Local { .. });
        if facts.uid != owner || !is_local || patient.witness.lists(facts.id).is_some() {
            continue;
        }
        drop(pin);
        let word = shell_word(&path);
        let lock = shell_word(&folder.join(lock_name(&entry.label)));
        let cure = if owner == Uid::ROOT {
            // Root asks all witnesses; then, under the start lock, that inode goes and no other.
            Cure::command(format!(
                "sudo tmux-janitor probe -S {word}; [ $? -eq 1 ] && (umask 077 && flock --nonblock {lock} find {word} -maxdepth 0 -inum {} -delete) && {} sweep",
                facts.id.ino,
                patient.janitor()
            ))
        } else {
            Cure::advice(format!("ask uid {owner} what it is, and whether a server of theirs listens there"))
        };
        findings.push(Finding::new(
            Severity::Problem,
            format!("{} belongs to uid {owner}, and nobody is seen to listen on it", escaped(&path)),
            "tmux may not connect to it and says \"Permission denied\": no server can be started with that label",
            cure,
        ));
    }
}
