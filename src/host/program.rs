//! Where another program is found.

use super::apart;
use rustix::fs::{Access, AtFlags, CWD};
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tmux_sockets::kernel::Mounts;

/// A program to be run, looked for in `PATH` as execvp(3) does, but past folders on mounts that do not answer: whoever
/// starts a child waits for its execve(2).
pub(crate) fn named(name: &OsStr) -> Command {
    let folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let mounts = Mounts::read();
    if name.as_encoded_bytes().contains(&b'/')
        || !mounts.has_far()
        || folders.iter().all(|folder| mounts.lets_look_at(&folder.join(name)))
    {
        return Command::new(name);
    }
    let mut near = folders.iter().map(|folder| folder.join(name)).filter(|path| apart::answers(path));
    let found = near.find(|path| can_be_run(path));
    // Where there is none that is the error: there is no such file.
    let mut command = Command::new(found.unwrap_or_else(|| Path::new("/proc/self/fd").join(name)));
    command.arg0(name);
    command
}

fn can_be_run(path: &Path) -> bool {
    path.is_file() && rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}
