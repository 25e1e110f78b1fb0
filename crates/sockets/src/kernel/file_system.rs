//! Which file systems we judge on: those where this kernel alone decides who listens.

use std::os::fd::BorrowedFd;

/// What statfs(2) says of the place where a socket lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// Local: a listener can only be on this kernel.
    Local {
        /// Laid over another one: inode and device numbers need not be those of the kernel's table.
        stacked: bool,
    },
    /// Network, shared with another kernel, or not known to us: its magic number (statfs(2)).
    Other(u64),
}

/// Magic numbers of statfs(2) and linux/magic.h that the libc crate lacks or that are asked for by name.
const BTRFS: u64 = 0x9123_683e;
const BCACHEFS: u64 = 0xca45_1a4e;
const ZFS: u64 = 0x2fc1_2fc1;
const JFS: u64 = 0x3153_464a;

/// Local file systems that can hold a socket. An allow-list: what is not here may be served by
/// another kernel (NFS, 9p, virtiofs, FUSE), whose listeners this one cannot see.
const LOCAL: &[u64] = &[
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    BTRFS,
    0xf2f5_2010, // F2FS
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x5265_4973, // ReiserFS
    0x3434,      // NILFS2
    BCACHEFS,
    ZFS,
    JFS,
];

/// overlayfs and eCryptfs: local, but a view on something else.
const STACKED: &[u64] = &[0x794c_7630, 0xf15f];

/// Classifies a magic number.
pub fn classify(magic: u64) -> FileSystem {
    // btrfs shows other device numbers in stat(2) than the kernel uses inside.
    if STACKED.contains(&magic) {
        FileSystem::Local { stacked: true }
    } else if LOCAL.contains(&magic) {
        FileSystem::Local { stacked: false }
    } else {
        FileSystem::Other(magic)
    }
}

/// The file system an open file lies on.
pub fn of(file: BorrowedFd<'_>) -> rustix::io::Result<FileSystem> {
    let stat = rustix::fs::fstatfs(file)?;
    #[allow(
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "a bit pattern; widths differ by architecture"
    )]
    Ok(classify(stat.f_type as u64 & 0xffff_ffff))
}

/// Whether stat(2) shows the inode and device numbers there that the kernel's socket table has:
/// local, not stacked, and no file system with subvolumes that bear devices of their own.
pub fn has_true_numbers(file: BorrowedFd<'_>) -> bool {
    let Ok(stat) = rustix::fs::fstatfs(file) else {
        return false;
    };
    #[allow(
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "a bit pattern; widths differ by architecture"
    )]
    let magic = stat.f_type as u64 & 0xffff_ffff;
    classify(magic) == FileSystem::Local { stacked: false } && magic != BTRFS && magic != BCACHEFS
}

/// A name for the file systems that people meet.
pub fn name(magic: u64) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x0102_1997 => "9p",
        0x6573_5546 => "FUSE or virtiofs",
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => "SMB/CIFS",
        0x00c3_6400 => "Ceph",
        0x5346_414f => "AFS",
        0x0bd0_0bd0 => "Lustre",
        0x7461_636f => "OCFS2",
        0x0116_1970 => "GFS2",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_file_systems_are_not_local() {
        assert_eq!(classify(0xef53), FileSystem::Local { stacked: false });
        assert_eq!(classify(0x794c_7630), FileSystem::Local { stacked: true });
        // NFS, 9p, FUSE and virtiofs, SMB 1 to 3, CIFS, Ceph, AFS, Lustre, OCFS2, GFS2, VirtualBox, and what nobody knows.
        let shared = [
            0x6969,
            0x0102_1997,
            0x6573_5546,
            0x517b,
            0xfe53_4d42,
            0xff53_4d42,
            0x00c3_6400,
            0x5346_414f,
            0x0bd0_0bd0,
            0x7461_636f,
            0x0116_1970,
            0x786f_4256,
            0,
        ];
        for magic in shared {
            assert_eq!(classify(magic), FileSystem::Other(magic), "{magic:#x}");
        }
    }
}
