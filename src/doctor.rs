//! What in this machine's set-up bites or will bite: each finding with how bad it is, its evidence, why it matters,
//! and the command that cures it. Changes nothing.
//!
//! Each check is a room of its own; [`CHECKS`] is the list. A check that cannot be made, because
//! something does not answer, finds nothing, unless that is itself what bites. A finding without evidence does not exist.

mod blind;
mod boot;
mod cgroups;
mod cleaners;
mod cron;
mod directories;
mod elsewhere;
mod emptied;
mod environment;
mod ghosts;
mod locks;
mod logout;
mod mounts;
mod namespaces;
mod oom;
mod record;
pub(crate) mod rounds;
mod runtime;
mod shared;
mod spawner;
mod stopped;
mod strangers;
mod tmpfiles;
pub(crate) mod told;
mod units;
mod version;

use crate::config::Settings;
use crate::host::systemd::Systemd;
use crate::record::{Record, Unread};
use std::path::PathBuf;
use tmux_sockets::judge::{Blindness, State};
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::lack;
use tmux_sockets::report::{Entry, Report};
use tmux_sockets::sweep::discover::Surroundings;
use tmux_sockets::witness::Witness;

/// What the checks look at.
#[derive(Debug)]
pub(crate) struct Patient<'a> {
    /// The user's settings.
    pub settings: &'a Settings,
    pub user: Uid,
    /// The environment that decides where tmux looks.
    pub around: &'a Surroundings,
    /// A pass that only looked, with ghosts.
    pub report: &'a Report,
    /// What was done so far, or why that is not known.
    pub record: Option<&'a Result<Record, Unread>>,
    /// The kernel's table, read after the pass.
    pub witness: &'a Witness,
    /// Why it must not be believed here.
    pub blindness: Option<Blindness>,
    /// The directories that were named (`--dir`).
    pub dirs: &'a [PathBuf],
    /// What answers for systemd.
    systemd: Systemd,
}

/// How bad a finding is, the worst first. Exit code 1 is for problems and risks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// It hurts now.
    Problem,
    /// It will hurt one day.
    Risk,
    /// Good to know; nothing has to be done.
    Note,
}

impl Severity {
    /// Its word, in texts and in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Risk => "risk",
            Self::Note => "note",
        }
    }
}

/// What makes a finding go away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cure {
    /// A line for a POSIX shell of the user, and nothing but that; what needs root begins with `sudo`. Once it
    /// was run, the finding is gone.
    Command(String),
    /// A sentence, where no command can do it.
    Advice(String),
}

impl Cure {
    pub(crate) fn command(line: impl Into<String>) -> Self {
        Self::Command(line.into())
    }

    pub(crate) fn advice(sentence: impl Into<String>) -> Self {
        Self::Advice(sentence.into())
    }

    /// What people read.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Command(text) | Self::Advice(text) => text,
        }
    }

    /// The shell line, if it is one.
    pub(crate) fn line(&self) -> Option<&str> {
        match self {
            Self::Command(line) => Some(line),
            Self::Advice(_) => None,
        }
    }
}

/// Something that bites or will bite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The check that found it.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The evidence.
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
    /// What makes it go away.
    pub cure: Cure,
}

/// Whether there is nothing but notes.
pub(crate) fn is_healthy(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity == Severity::Note)
}

/// A check: its name and its room.
type Check = (&'static str, fn(&Patient<'_>, &mut Vec<Finding>));

/// All checks. Their names are those that the configuration knows ([`crate::config::CHECKS`]).
const CHECKS: &[Check] = &[
    ("blind", blind::check),
    ("ghost", ghosts::check),
    ("namespace", namespaces::check),
    ("stopped", stopped::check),
    ("directory", directories::check),
    ("elsewhere", elsewhere::check),
    ("lock", locks::check),
    ("stranger", strangers::check),
    ("cgroup", cgroups::check),
    ("oom", oom::check),
    ("logout", logout::check),
    ("runtime", runtime::check),
    ("units", units::check),
    ("boot", boot::check),
    ("spawner", spawner::check),
    ("environment", environment::check),
    ("tmpfiles", tmpfiles::check),
    ("cleaner", cleaners::check),
    ("emptied", emptied::check),
    ("shared", shared::check),
    ("version", version::check),
    ("record", record::check),
    // This one comes last: it tells what the others could not look at.
    ("mount", mounts::check),
];

impl<'a> Patient<'a> {
    /// Somebody to examine.
    pub(crate) fn new(
        settings: &'a Settings,
        user: Uid,
        around: &'a Surroundings,
        report: &'a Report,
        record: Option<&'a Result<Record, Unread>>,
        witness: &'a mut Witness,
        dirs: &'a [PathBuf],
    ) -> Self {
        let systemd = Systemd::new(user, around.runtime_dir.clone());
        witness.refresh();
        let readable = report.directories.iter().filter(|directory| directory.error.is_none());
        let mut of_folders = readable.filter_map(|directory| witness.blindness_in(&directory.path));
        let blindness = of_folders.next();
        let blindness = blindness.or_else(|| witness.blindness());
        Self { settings, user, around, report, record, witness, blindness, dirs, systemd }
    }

    /// Makes every check that is not to be ignored. The worst findings come first.
    pub(crate) fn examine(&self) -> Vec<Finding> {
        let ignored = |name: &str| self.settings.doctor.ignore.iter().any(|ignored| ignored == name);
        let (mut findings, lack) = lack::during(|| {
            let mut findings = Vec::new();
            for (name, check) in CHECKS.iter().filter(|(name, _)| !ignored(name)) {
                let known = findings.len();
                check(self, &mut findings);
                findings[known..].iter_mut().for_each(|finding: &mut Finding| finding.check = name);
            }
            findings
        });
        if let Some(errno) = lack.filter(|_| !ignored("blind")) {
            findings.push(Finding { check: "blind", ..blind::lacking(errno) });
        }
        findings.sort_by_key(|finding| finding.severity);
        findings
    }

    /// How a cure calls this program: with the directories that it was told to look into.
    fn janitor(&self) -> String {
        self.dirs.iter().fold("tmux-janitor".to_owned(), |line, dir| {
            format!("{line} --dir {}", tmux_sockets::kernel::escape::shell_word(dir))
        })
    }

    /// In front of a command that needs root.
    fn sudo(&self) -> &'static str {
        if self.user == Uid::ROOT { "" } else { "sudo " }
    }

    /// The user's name, if there is an account.
    fn name(&self) -> Option<String> {
        crate::host::user_database::user(self.user).ok().flatten().map(|user| user.name)
    }

    /// The servers that live, reachable or not, with their pids.
    fn servers(&self) -> impl Iterator<Item = (&Entry, Pid)> {
        self.report
            .entries
            .iter()
            .filter(|entry| matches!(entry.verdict.state, State::Live | State::Ghost))
            .filter_map(|entry| Some((entry, entry.server_pid?)))
    }
}

impl Finding {
    /// A finding of the check that is being made.
    fn new(severity: Severity, what: String, why: &'static str, cure: Cure) -> Self {
        Self { check: "", severity, what, why, cure }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_configuration_knows_every_check() {
        let names: Vec<&str> = super::CHECKS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, crate::config::CHECKS);
    }
}
