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
            // Whether it can be used cannot be found out without waiting.
            Walk::Far(parent) => Some(parent),
            Walk::Broken(_) => None,
        });
        paths::socket_path(parent.as_deref().unwrap_or(default), user, label)
    }
}

/// The directories in which tmux would start a server of `user`, the first that can be used, and those in `extra`.
pub fn tmuxs_own(extra: &[PathBuf], around: &Surroundings, user: Uid) -> Vec<PathBuf> {
    let own = paths::directory_name(user);
    each_once(around.parents().map(|parent| parent.join(&own)).chain(extra.iter().cloned()))
}

/// The socket directories of `user`, without looking whether they are there. One directory may
/// appear under several names.
pub fn socket_dirs(extra: &[PathBuf], around: &Surroundings, table: &KernelTable, user: Uid) -> Vec<PathBuf> {
    let names = paths::directory_names(user);
    let usual = names.iter().flat_map(|name| around.parents().map(move |parent| parent.join(name)));
    let bound = table
        .iter()
        // Anybody may bind a name like ours: in a folder of theirs, on a file system that never answers.
        .filter(|socket| socket.may_be_of(user))
        .filter_map(|socket| socket.name.parent())
        .filter(|dir| {
            dir.is_absolute() && dir.file_name().is_some_and(|name| paths::is_directory_name(name, user))
        });
    let bound = bound.map(Path::to_owned);
    each_once(usual.chain([paths::compiled_in(user)]).chain(bound).chain(extra.iter().cloned()))
}

fn each_once(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !dirs.contains(&path) {
            dirs.push(path);
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
        let expected = [
            "/t/tmux-7",
            "/tmp/tmux-7",
            "/run/user/7/tmux-7",
            "/t/tmate-7",
            "/tmp/tmate-7",
            "/run/user/7/tmate-7",
            "/t/ztmux-7",
            "/tmp/ztmux-7",
            "/run/user/7/ztmux-7",
            "/run/tmux/7",
            "/x",
        ]
        .map(PathBuf::from);
        assert_eq!(dirs, expected);
        let tmuxs = ["/t/tmux-7", "/tmp/tmux-7", "/run/user/7/tmux-7", "/x"].map(PathBuf::from);
        assert_eq!(tmuxs_own(&extra, &around, Uid::new(7)), tmuxs);
    }
}
