//! Start locks that stand in the way of starts: held for good, orphaned, of somebody else, no files.

use super::{Cure, Finding, Patient, Severity};
use crate::view::people::plural;
use rustix::fs::FileType;
use tmux_sockets::judge::{Reason, State};
use tmux_sockets::kernel::escape::{escaped, shell_word};
use tmux_sockets::kernel::leases_are_given;
use tmux_sockets::kernel::text::kind_name;
use tmux_sockets::report::Remark;
use tmux_sockets::tmux::paths;

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    for Remark { path, why } in &patient.report.held {
        findings.push(Finding::new(
            Severity::Problem,
            format!("{}: {why}", escaped(path)),
            "whoever starts a server there waits for as long as that lasts, and tmux does not say why",
            Cure::advice("let its holder go on, or end it, as the line above says"),
        ));
    }
    let has_leases = leases_are_given();
    let mut kept = 0;
    for entry in &patient.report.entries {
        if entry.verdict.state != State::NotASocket || paths::socket_of_lock(&entry.label).is_none() {
            continue;
        }
        let path = patient.report.path_of(entry);
        let mut aside = path.clone().into_os_string();
        aside.push(".aside");
        let (word, aside, path) = (shell_word(&path), shell_word(&aside), escaped(&path));
        let finding = match entry.verdict.reason {
            // It is reported below, once: a sweep would not remove it.
            Reason::OrphanedLock if !has_leases => {
                kept += 1;
                continue;
            }
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
                // Only while nobody holds it.
                Cure::command(format!("{}flock --nonblock {word} rm -f -- {word}", patient.sudo())),
            ),
            // What a link leads to may be locked.
            Reason::NotASocket(FileType::Symlink) => Finding::new(
                Severity::Problem,
                format!("the start lock {path} is {}", kind_name(FileType::Symlink)),
                "whoever names the same socket without it takes another lock: two servers may start on one path",
                Cure::advice(format!("when no server is starting: mv -T -- {word} {aside}")),
            ),
            Reason::NotASocket(kind) if kind != FileType::RegularFile => Finding::new(
                Severity::Problem,
                format!("the start lock {path} is {}", kind_name(kind)),
                "tmux cannot lock it: no server can be started there safely",
                Cure::command(format!("mv -T -- {word} {aside}")),
            ),
            _ => continue,
        };
        findings.push(finding);
    }
    if kept > 0 {
        findings.push(Finding::new(
            Severity::Note,
            format!("{} cannot be removed: /proc/sys/fs/leases-enable is 0", plural(kept, "orphaned start lock")),
            "without leases nobody can tell whether a client is about to lock such a file, so no sweep removes it; the next start of its label does",
            Cure::command("sudo sysctl fs.leases-enable=1"),
        ));
    }
}
