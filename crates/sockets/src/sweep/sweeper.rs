//! The front door: a sweep of a user's own sockets.

use super::discover::Surroundings;
use super::{Act, Far, Pass, Policy, RefuseFar, SpareNothing, Target};
use crate::kernel::Uid;
use crate::report::Report;
use crate::witness::Witness;
use std::fmt::{self, Debug, Formatter};
use std::path::PathBuf;

/// Removes the dead sockets of this process's user, and never one behind which a server lives.
///
/// Without [`Sweeper::directory`] it goes where tmux, tmate and ztmux would: `$TMUX_TMPDIR`, `/tmp` and `$XDG_RUNTIME_DIR`,
/// `/run/tmux/UID`, and to every `tmux-UID` and the like in which the kernel knows a socket of the user's. Directories that are not safe, and those on network or
/// FUSE mounts, are left alone, and the report says so.
///
/// ```
/// use std::os::unix::net::UnixListener;
/// use tmux_sockets::{SpareNothing, Sweeper};
///
/// let dir = tempfile::tempdir()?;
/// # use std::{fs, os::unix::fs::PermissionsExt as _};
/// # fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700))?; // whatever the umask is
/// let live = UnixListener::bind(dir.path().join("live"))?;
/// drop(UnixListener::bind(dir.path().join("dead"))?);
///
/// let report = Sweeper::new(SpareNothing).directory(dir.path()).run();
///
/// let removed: Vec<_> = report.removed().collect();
/// assert_eq!(removed, [dir.path().join("dead")]);
/// assert!(dir.path().join("live").exists());
/// # drop(live);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Sweeper<P = SpareNothing> {
    policy: P,
    directories: Vec<PathBuf>,
    act: Act,
}

impl<P: Policy> Sweeper<P> {
    /// A sweep that removes what is dead and that the policy does not keep.
    pub fn new(policy: P) -> Self {
        Self { policy, directories: Vec::new(), act: Act::Remove }
    }

    /// Goes into this directory, and into no others than those that are named.
    #[must_use]
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.directories.push(path.into());
        self
    }

    /// Removes nothing, and says what would be removed.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.act = Act::DryRun;
        self
    }

    /// Sweeps. What went wrong stands in the report, beside what was done: one directory or socket that cannot be
    /// looked at keeps nobody from the others.
    pub fn run(self) -> Report {
        let user = Uid::ours();
        let mut witness = Witness::new(user);
        let targets: Vec<Target> = if self.directories.is_empty() {
            witness.refresh();
            Target::all_of(&[], &Surroundings::of_this_process(), witness.table(), user)
        } else {
            self.directories.into_iter().map(Target::whole).collect()
        };
        let far: &dyn Far = &RefuseFar;
        Pass { policy: &self.policy, far, user, act: self.act }.run(&mut witness, &targets)
    }
}

impl<P> Debug for Sweeper<P> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweeper")
            .field("directories", &self.directories)
            .field("act", &self.act)
            .finish_non_exhaustive()
    }
}
