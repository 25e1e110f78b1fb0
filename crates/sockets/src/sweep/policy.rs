//! What a pass leaves to whoever makes it.

use super::Target;
use crate::kernel::Mounts;
use crate::kernel::Uid;
use crate::report::{DirectoryReport, LeftAlone, Report};
use crate::tmux::DirectoryError;
use crate::witness::Witness;
use rustix::fs::FileType;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

/// Which dead sockets stay.
pub trait Policy {
    /// Whether a dead socket of that label is kept, however dead it is.
    fn keeps(&self, label: &OsStr) -> bool;

    /// Dead sockets that were changed less long ago are kept.
    fn min_age(&self) -> Duration;

    /// Whether a name in a socket directory is no business of anybody's: neither looked at nor told of.
    fn ignores(&self, _name: &OsStr, _kind: FileType) -> bool {
        false
    }
}

/// No dead socket stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpareNothing;

impl Policy for SpareNothing {
    fn keeps(&self, _: &OsStr) -> bool {
        false
    }

    fn min_age(&self) -> Duration {
        Duration::ZERO
    }
}

/// What becomes of directories on mounts that may never answer: network and FUSE file systems, where whoever looks may
/// wait in the kernel for ever.
pub trait Far {
    /// Looks at `targets`, each with its path as far as it could be resolved, and enters what is there.
    fn look(
        &self,
        user: Uid,
        witness: &Witness,
        targets: Vec<(Target, PathBuf)>,
        mounts: &Mounts,
        report: &mut Report,
    );
}

/// They are left alone, and that is said.
#[derive(Debug, Clone, Copy, Default)]
pub struct RefuseFar;

impl Far for RefuseFar {
    fn look(&self, _: Uid, _: &Witness, targets: Vec<(Target, PathBuf)>, _: &Mounts, report: &mut Report) {
        let refused = targets.into_iter().map(|(target, _)| DirectoryReport {
            path: target.path,
            error: Some(LeftAlone::Refused(DirectoryError::Far)),
        });
        report.directories.extend(refused);
    }
}
