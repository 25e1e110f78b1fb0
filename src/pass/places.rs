//! The directories that one user's pass goes to, where none is named.

use super::expand;
use super::far::Apart;
use crate::config::Settings;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::{KernelTable, Mounts, Uid};
use tmux_sockets::report::{DirectoryReport, Remark, Report};
use tmux_sockets::sweep::discover::Surroundings;
use tmux_sockets::sweep::{Act, Pass, Target};
use tmux_sockets::witness::Witness;

/// Where to look, and what the patterns of the configuration match besides.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Each directory once, there or not.
    pub(crate) targets: Vec<Target>,
    /// Matches that are no folder of the user's: nobody's error.
    pub(crate) skipped: Vec<Remark>,
    /// How many more of them there are than are told one by one.
    pub(crate) more_skipped: usize,
    /// Patterns that were not looked at in whole.
    pub(crate) unseen: Vec<Remark>,
    /// Where folders that they match may be, and nobody can look.
    pub(crate) unread: Vec<DirectoryReport>,
}

impl Places {
    /// These alone, which were named.
    pub(crate) fn named(dirs: &[PathBuf]) -> Self {
        Self { targets: dirs.iter().cloned().map(Target::whole).collect(), ..Self::default() }
    }

    /// Those that tmux uses, and those of the configuration.
    pub(crate) fn of(settings: &Settings, table: &KernelTable, user: Uid) -> Self {
        let around = Surroundings::of_this_process();
        let targets = Target::all_of(&settings.extra_socket_dirs, &around, table, user);
        let mut places = Self { targets, ..Self::default() };
        places.expand(settings, user);
        places
    }

    /// Those of the configuration that cannot be looked into now, each with the reason.
    pub(crate) fn shut(settings: &Settings, user: Uid) -> Vec<DirectoryReport> {
        let mut places = Self::named(&settings.extra_socket_dirs);
        places.expand(settings, user);
        for target in &mut places.targets {
            target.only = Some(Vec::new());
        }
        let pass = Pass { policy: settings, far: &Apart, user, act: Act::Leave };
        let report = pass.run(&mut Witness::new(user), &places.targets);
        let shut = report.directories.into_iter().filter(|directory| directory.error.is_some());
        shut.chain(places.unread).collect()
    }

    /// Adds what the patterns match.
    fn expand(&mut self, settings: &Settings, user: Uid) {
        let mounts = Mounts::read();
        for glob in &settings.extra_socket_globs {
            let found = expand::expand(glob, user, &mounts);
            for path in found.folders {
                if !self.has(&path) {
                    self.targets.push(Target::matched(path));
                }
            }
            self.skipped.extend(found.skipped);
            self.more_skipped += found.more_skipped;
            self.unseen.extend(found.unseen);
            for left in found.unread {
                if self.unread.iter().all(|known| known.path != left.path) {
                    self.unread.push(left);
                }
            }
        }
    }

    fn has(&self, path: &Path) -> bool {
        self.targets.iter().any(|target| target.path == path)
    }

    /// Enters in a report what was not gone to.
    pub(crate) fn note(self, report: &mut Report) {
        for Remark { path, why } in &self.unseen {
            tracing::warn!("{}: {why}", escaped(path));
        }
        report.unseen.extend(self.unseen);
        report.directories.extend(self.unread);
        report.strays.extend(self.skipped);
        report.more_strays += self.more_skipped;
    }
}
