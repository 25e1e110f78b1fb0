//! Where a pass goes, and what it may do there.

use super::discover::{self, Surroundings};
use crate::kernel::{KernelTable, Label, Uid};
use crate::tmux::{Strictness, paths};
use std::path::{Path, PathBuf};

/// What a pass may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Look only, and find the servers' pids.
    Look,
    /// Look, and leave what is dead to others: they are told of it.
    Leave,
    /// Look, and say what would be removed, and what could not be.
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

    /// Every directory in which sockets of a user's may be ([`discover::socket_dirs`]). What only bears the name of another
    /// program's folder, and is not the user's own, counts as missing.
    pub fn all_of(extra: &[PathBuf], around: &Surroundings, table: &KernelTable, user: Uid) -> Vec<Self> {
        let rule = |path: &Path| if paths::is_kin(path, user) { Strictness::Kin } else { Strictness::Swept };
        let found = discover::socket_dirs(extra, around, table, user).into_iter();
        found.map(|path| Self { rule: rule(&path), ..Self::whole(path) }).collect()
    }

    /// A whole directory that a pattern has matched.
    pub fn matched(path: PathBuf) -> Self {
        Self { rule: Strictness::Matched, ..Self::whole(path) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use crate::sweep::{Pass, RefuseFar, SpareNothing};
    use crate::witness::Witness;
    use std::fs;

    #[test]
    fn a_strangers_folder_with_another_programs_name_has_no_say() {
        let parent = tempfile::tempdir().unwrap();
        // The folder is another user's.
        let user = Uid::new(Uid::ours().raw() + 1);
        let [tmuxs, kin @ ..] = paths::directory_names(user).map(|name| parent.path().join(name));
        for folder in kin.iter().chain([&tmuxs]) {
            fs::create_dir(folder).unwrap();
        }
        let around = Surroundings { tmux_tmpdir: Some(parent.path().to_owned()), runtime_dir: None };
        let targets = Target::all_of(&[], &around, &KernelTable::default(), user);
        assert!(kin.iter().all(|folder| targets.iter().any(|target| target.path == *folder)), "{targets:?}");
        let here: Vec<Target> =
            targets.into_iter().filter(|target| target.path.starts_with(parent.path())).collect();
        let pass = Pass { policy: &SpareNothing, far: &RefuseFar, user, act: Act::DryRun };
        let told = pass.run(&mut Witness::new(user), &here).directories;
        let told: Vec<&Path> = told.iter().map(|directory| directory.path.as_path()).collect();
        assert_eq!(told, [tmuxs], "what bears tmux's name keeps tmux out, and is told");
    }
}
