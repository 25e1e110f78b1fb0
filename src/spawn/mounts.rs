//! `/proc/self/mountinfo` (proc(5)): which mount a path lies on.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Which directory of its file system is mounted.
    pub(super) root: PathBuf,
    /// Where.
    pub(super) point: PathBuf,
}

/// The mount that a resolved path lies on.
pub(super) fn covering(path: &Path) -> Option<Mount> {
    let table = std::fs::read("/proc/self/mountinfo").ok()?;
    covering_in(&table, path)
}

/// The last of the longest: a later mount hides an earlier one on the same point.
fn covering_in(table: &[u8], path: &Path) -> Option<Mount> {
    let mounts = table.split(|byte| *byte == b'\n').filter_map(parse);
    mounts.filter(|mount| path.starts_with(&mount.point)).max_by_key(|mount| mount.point.as_os_str().len())
}

/// `36 35 98:0 /root /point options …`
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ').skip(3);
    Some(Mount { root: unescaped(fields.next()?), point: unescaped(fields.next()?) })
}

/// Space, tab, newline and backslash are written as `\ooo`.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, tail)) = rest.split_first() {
        let octal = |digits: &[u8]| {
            digits.iter().try_fold(0_u8, |value, digit| match digit {
                b'0'..=b'7' => Some((value << 3) | (digit - b'0')),
                _ => None,
            })
        };
        if let (b'\\', Some(value)) = (byte, tail.get(..3).and_then(octal)) {
            bytes.push(value);
            rest = &tail[3..];
        } else {
            bytes.push(*byte);
            rest = tail;
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_and_last_mount_counts() {
        let table = b"1 0 8:1 / / rw - ext4 a rw\n\
            2 1 0:5 / /tmp rw - tmpfs b rw\n\
            3 2 8:1 /tmp/systemd-private-x/tmp /tmp rw - ext4 a rw\n\
            4 1 0:6 / /a\\040b rw - tmpfs c rw\n";
        let of = |path: &str| covering_in(table, Path::new(path)).map(|mount| (mount.root, mount.point));
        let pair = |root: &str, point: &str| Some((PathBuf::from(root), PathBuf::from(point)));
        assert_eq!(of("/tmp/x"), pair("/tmp/systemd-private-x/tmp", "/tmp"));
        assert_eq!(of("/tmpx"), pair("/", "/"));
        assert_eq!(of("/a b/c"), pair("/", "/a b"));
    }
}
