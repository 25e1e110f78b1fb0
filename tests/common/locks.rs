//! What `/proc/locks` says of a file (proc(5)).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The lines that name the file, each in its words. By its file system, too: memory gives the same small numbers in each of its own.
pub(crate) fn on(file: &Path) -> Vec<Vec<String>> {
    let file = fs::metadata(file).unwrap();
    let (major, minor) = (nix::sys::stat::major(file.dev()), nix::sys::stat::minor(file.dev()));
    let named = format!("{major:02x}:{minor:02x}:{}", file.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let lines = locks.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| line.contains(&named)).collect()
}
