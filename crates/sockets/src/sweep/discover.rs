//! Where a user's sockets are: the directories that tmux would use, and those it does use.

use crate::kernel::KernelTable;
use crate::kernel::Uid;
use crate::kernel::{Mounts, Walk};
use crate::tmux::paths;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The environment that decides where tmux looks.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `TMUX_TMPDIR`, unless empty.
    pub tmux_tmpdir: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`; where that is unset or empty, what logind would set it to.
    pub runtime_dir: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // A cron job and a system unit with User= have none, and the sockets are there all the same.
        let usual = || paths::runtime_dir(Uid::ours());
        let runtime_dir = path("XDG_RUNTIME_DIR").unwrap_or_else(usual);
        Self { tmux_tmpdir: path("TMUX_TMPDIR"), runtime_dir: Some(runtime_dir) }
    }

    /// The parents in which tmux makes or may have made its `tmux-UID`.
    fn parents(&self) -> impl Iterator<Item = &Path> {
        [self.tmux_tmpdir.as_deref(), Some(Path::new(paths::DEFAULT_PARENT)), self.runtime_dir.as_deref()]
            .into_iter()
            .flatten()
    }

    /// The path that `tmux -L label` uses here: the first parent that can be resolved (tmux.c:
    /// `make_label` skips an unusable `TMUX_TMPDIR` since 3.2).
    pub fn socket_path(&self, user: Uid, label: &OsStr) -> PathBuf {
        let default = Path::new(paths::DEFAULT_PARENT);
        let mounts = Mounts::read();
        let parent = self.tmux_tmpdir.as_deref().into_iter().chain([default]).find_map(|parent| match mounts
            .walk(parent)
        {
            Walk::Near(parent) => parent.canonicalize().ok(),
            // Whether it can be used, nobody can say without waiting.
            Walk::Far(parent) => Some(parent),
            Walk::Broken(_) => None,
        });
        paths::socket_path(parent.as_deref().unwrap_or(default), user, label)
    }
}

/// The socket directories of `user`, without looking whether they are there. One directory may
/// appear under several names.
pub fn socket_dirs(extra: &[PathBuf], around: &Surroundings, table: &KernelTable, user: Uid) -> Vec<PathBuf> {
    let own_name = paths::directory_name(user);
    let mut dirs: Vec<PathBuf> = around.parents().map(|parent| parent.join(&own_name)).collect();
    let bound = table
        .iter()
        // Anybody may bind a name like ours: in a folder of theirs, on a file system that never answers.
        .filter(|socket| socket.may_be_of(user))
        .filter_map(|socket| socket.name.parent())
        .filter(|dir| dir.is_absolute() && dir.file_name() == Some(OsStr::new(&own_name)));
    for dir in bound.chain(extra.iter().map(PathBuf::as_path)) {
        if !dirs.iter().any(|known| known == dir) {
            dirs.push(dir.to_owned());
        }
    }
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_directories_come_first_and_once() {
        let around = Surroundings { tmux_tmpdir: Some("/t".into()), runtime_dir: Some("/run/user/7".into()) };
        let extra = ["/x".into(), "/t/tmux-7".into()];
        let dirs = socket_dirs(&extra, &around, &KernelTable::default(), Uid::new(7));
        let expected = ["/t/tmux-7", "/tmp/tmux-7", "/run/user/7/tmux-7", "/x"].map(PathBuf::from);
        assert_eq!(dirs, expected);
    }
}
