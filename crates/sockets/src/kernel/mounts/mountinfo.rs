//! One line of a `mountinfo` (`proc_pid_mountinfo(5)`), and which mounts are this kernel's alone.

use crate::kernel::Uid;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The types of mounts on which this kernel alone answers. An allow-list, as that of [`crate::kernel::file_system`]: what is not
/// here is asked by a child that may hang.
const LOCAL: [&str; 42] = [
    "ext2",
    "ext3",
    "ext4",
    "xfs",
    "btrfs",
    "f2fs",
    "tmpfs",
    "ramfs",
    "devtmpfs",
    "rootfs",
    "reiserfs",
    "nilfs2",
    "bcachefs",
    "zfs",
    "jfs",
    "overlay",
    "ecryptfs", // Hold sockets; the rest is met on the way to them.
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "devpts",
    "mqueue",
    "hugetlbfs",
    "securityfs",
    "debugfs",
    "tracefs",
    "squashfs",
    "erofs",
    "iso9660",
    "vfat",
    "exfat",
    "ntfs3",
    "hfsplus",
    "configfs",
    "nsfs",
    "bpf",
    "pstore",
    "efivarfs",
    "fusectl",
    "binfmt_misc",
    "selinuxfs",
];

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub(super) id: u64,
    pub(super) parent: u64,
    /// The device of its file system, as the kernel's socket table writes it: `major << 20 | minor`.
    pub(super) device: u32,
    /// Which directory of the file system is shown.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
    /// The file system's type, as mount(8) names it.
    pub kind: String,
    /// Which user serves it, where it is FUSE (mount.fuse3(8): `user_id`).
    pub server: Option<Uid>,
    /// It is local, or has answered just now.
    pub(super) is_near: bool,
}

/// `ID PARENT MAJ:MIN ROOT POINT OPTIONS [FIELD...] - KIND SOURCE OPTIONS`.
pub(super) fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse().ok();
    let (id, parent) = (number(fields.next()?)?, number(fields.next()?)?);
    let device = device(fields.next()?)?;
    let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
    let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
    let kind = String::from_utf8_lossy(fields.next()?).into_owned();
    let server = fields.nth(1).and_then(server);
    Some(Mount { id, parent, device, root, point, is_near: LOCAL.contains(&kind.as_str()), kind, server })
}

/// `user_id=UID` among the options of a file system.
fn server(options: &[u8]) -> Option<Uid> {
    let uid = options.split(|byte| *byte == b',').find_map(|option| option.strip_prefix(b"user_id="))?;
    Some(Uid::new(std::str::from_utf8(uid).ok()?.parse().ok()?))
}

/// `MAJOR:MINOR`.
fn device(field: &[u8]) -> Option<u32> {
    let (major, minor) = std::str::from_utf8(field).ok()?.split_once(':')?;
    Some((major.parse::<u32>().ok()? << 20) | (minor.parse::<u32>().ok()? & 0xf_ffff))
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
    PathBuf::from(OsStr::from_bytes(&bytes))
}
