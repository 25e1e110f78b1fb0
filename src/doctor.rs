//! What in this machine's set-up will bite: each finding with its evidence, why it matters, and the
//! command that cures it. Changes nothing.
//!
//! Each check is a room of its own; [`CHECKS`] is the list. A check that cannot be made, because
//! something does not answer, finds nothing, unless that is itself what bites.

mod blind;
mod boot;
mod cgroups;
mod directories;
mod emptied;
mod environment;
mod ghosts;
mod locks;
mod shared;
mod spawner;
mod systemd;
mod tmpfiles;
mod units;
mod version;

use crate::config::Settings;
use crate::discover::Surroundings;
use crate::report::{Entry, Report};
use crate::socket::verdict::{Blindness, State};
use systemd::Systemd;

/// What the checks look at.
#[derive(Debug)]
pub struct Patient<'a> {
    /// The user's settings.
    pub settings: &'a Settings,
    /// The user.
    pub user: u32,
    /// The environment that decides where tmux looks.
    pub around: &'a Surroundings,
    /// A pass that only looked, with ghosts.
    pub report: &'a Report,
    /// Why the kernel's table must not be believed here.
    pub blindness: Option<Blindness>,
    /// What answers for systemd.
    systemd: Systemd,
}

/// Something that will bite.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The check that found it.
    pub check: &'static str,
    /// The evidence.
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
    /// The command, or what else is to be done.
    pub cure: String,
}

/// A check: its name and its room.
type Check = (&'static str, fn(&Patient<'_>, &mut Vec<Finding>));

/// All checks, what hurts now before what will hurt later.
const CHECKS: &[Check] = &[
    ("blind", blind::check),
    ("ghost", ghosts::check),
    ("directory", directories::check),
    ("lock", locks::check),
    ("cgroup", cgroups::check),
    ("units", units::check),
    ("boot", boot::check),
    ("spawner", spawner::check),
    ("environment", environment::check),
    ("tmpfiles", tmpfiles::check),
    ("emptied", emptied::check),
    ("shared", shared::check),
    ("version", version::check),
];

impl<'a> Patient<'a> {
    /// Somebody to examine.
    pub fn new(
        settings: &'a Settings,
        user: u32,
        around: &'a Surroundings,
        report: &'a Report,
        blindness: Option<Blindness>,
    ) -> Self {
        let systemd = Systemd::new(user, around.runtime_dir.clone());
        Self { settings, user, around, report, blindness, systemd }
    }

    /// Makes every check.
    pub fn examine(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (name, check) in CHECKS {
            let known = findings.len();
            check(self, &mut findings);
            findings[known..].iter_mut().for_each(|finding: &mut Finding| finding.check = name);
        }
        findings
    }

    /// The servers that live, reachable or not, with their pids.
    fn servers(&self) -> impl Iterator<Item = (&Entry, i32)> {
        self.report
            .entries
            .iter()
            .filter(|entry| matches!(entry.verdict.state, State::Live | State::Ghost))
            .filter_map(|entry| Some((entry, entry.server_pid?)))
    }
}

impl Finding {
    /// A finding of the check that is being made.
    fn new(what: String, why: &'static str, cure: impl Into<String>) -> Self {
        Self { check: "", what, why, cure: cure.into() }
    }
}
