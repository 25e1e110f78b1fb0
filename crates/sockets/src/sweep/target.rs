//! Where a pass goes, and what it may do there.

use crate::kernel::Label;
use crate::tmux::Strictness;
use std::path::PathBuf;

/// What a pass may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Look only, and find the servers' pids.
    Look,
    /// Look, and say what would be removed.
    DryRun,
    /// Remove what is dead.
    Remove,
}

/// Where a pass goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The directory.
    pub path: PathBuf,
    /// These names in it; `None`: all.
    pub only: Option<Vec<Label>>,
    /// Whether the directory must pass tmux's rule and ours.
    pub rule: Strictness,
}

impl Target {
    /// A whole directory.
    pub fn whole(path: PathBuf) -> Self {
        Self { path, only: None, rule: Strictness::Swept }
    }

    /// A whole directory that a pattern has matched.
    pub fn matched(path: PathBuf) -> Self {
        Self { rule: Strictness::Matched, ..Self::whole(path) }
    }
}
