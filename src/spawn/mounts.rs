//! `/proc/PID/mountinfo` (proc(5)): which mount a path lies on, and what it is there.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    id: u64,
    parent: u64,
    /// `major:minor`, the device of its file system.
    device: Vec<u8>,
    /// Which directory of its file system is mounted.
    pub(super) root: PathBuf,
    /// Where.
    pub(super) point: PathBuf,
}

/// The mounts of a process, as far as its root directory lets it see them.
#[derive(Debug)]
pub(super) struct Mounts(Vec<Mount>);

impl Mounts {
    /// Our own; none where there is no `/proc`.
    pub(super) fn own() -> Self {
        Self::of(&std::fs::read("/proc/self/mountinfo").unwrap_or_default())
    }

    /// Those of another process, whoever it belongs to. `None`: it is not seen from here.
    pub(super) fn of_process(pid: i32) -> Option<Self> {
        let mounts = Self::of(&std::fs::read(format!("/proc/{pid}/mountinfo")).ok()?);
        (!mounts.0.is_empty()).then_some(mounts)
    }

    fn of(table: &[u8]) -> Self {
        Self(table.split(|byte| *byte == b'\n').filter_map(parse).collect())
    }

    /// The mount that a resolved path lies on: the way of the kernel, from `/` down over what is mounted on the way.
    pub(super) fn covering(&self, path: &Path) -> Option<&Mount> {
        let is_top = |mount: &&Mount| {
            mount.point == Path::new("/") && !self.0.iter().any(|other| other.id == mount.parent)
        };
        let mut here = self.0.iter().find(is_top)?;
        // No mount is passed twice.
        for _ in 0..self.0.len() {
            let on_the_way = self.0.iter().filter(|mount| {
                mount.parent == here.id && mount.id != here.id && path.starts_with(&mount.point)
            });
            match on_the_way.min_by_key(|mount| mount.point.as_os_str().len()) {
                Some(next) => here = next,
                None => break,
            }
        }
        Some(here)
    }

    /// What a resolved path is on its file system: where it is equal, two processes see the same directory.
    pub(super) fn place(&self, path: &Path) -> Option<(&[u8], PathBuf)> {
        let mount = self.covering(path)?;
        let rest = path.strip_prefix(&mount.point).ok()?;
        Some((&mount.device, mount.root.join(rest)))
    }
}

/// `36 35 98:0 /root /point options …`
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse().ok();
    let (id, parent) = (number(fields.next()?)?, number(fields.next()?)?);
    let device = fields.next()?.to_vec();
    Some(Mount { id, parent, device, root: unescaped(fields.next()?), point: unescaped(fields.next()?) })
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
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    const TABLE: &[u8] = b"20 1 8:1 / / rw - ext4 a rw\n\
        21 20 0:5 / /tmp rw - tmpfs b rw\n\
        22 21 8:1 /tmp/systemd-private-x/tmp /tmp rw - ext4 a rw\n\
        23 20 0:6 / /a\\040b rw - tmpfs c rw\n\
        24 20 0:7 / /srv/deep rw - tmpfs d rw\n\
        25 20 0:8 / /srv rw - tmpfs e rw\n\
        garbage";

    #[test]
    fn a_path_lies_where_the_kernel_would_come_to() {
        let mounts = Mounts::of(TABLE);
        let id = |path: &str| mounts.covering(Path::new(path)).unwrap().id;
        assert_eq!(id("/tmp/x"), 22, "the later one hides the earlier one");
        assert_eq!((id("/tmpx"), id("/a b/c")), (20, 23));
        assert_eq!(id("/srv/deep/x"), 25, "what was mounted over hides what lies deeper");
        assert!(Mounts::of(b"").covering(Path::new("/")).is_none());
    }

    #[test]
    fn one_place_is_one_whatever_shows_it() {
        let place = |table: &[u8]| {
            let mounts = Mounts::of(table);
            mounts.place(Path::new("/tmp/x")).map(|(device, path)| (device.to_vec(), path))
        };
        let plain = place(b"9 0 8:1 / / rw - ext4 a rw\n");
        assert_eq!(plain, Some((b"8:1".to_vec(), "/tmp/x".into())));
        assert_eq!(place(b"1 0 8:1 / / rw - ext4 a rw\n2 1 8:1 /tmp /tmp rw - ext4 a rw\n"), plain);
        assert_ne!(place(b"1 0 8:1 / / rw - ext4 a rw\n2 1 8:1 /x /tmp rw - ext4 a rw\n"), plain);
        assert_ne!(place(b"1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / /tmp rw - tmpfs a rw\n"), plain);
        assert_ne!(place(TABLE), plain);
    }

    #[test]
    fn every_process_that_is_seen_tells_its_mounts() {
        assert!(Mounts::own().place(Path::new("/")).is_some());
        assert!(Mounts::of_process(1).is_some() && Mounts::of_process(0).is_none());
    }
}
