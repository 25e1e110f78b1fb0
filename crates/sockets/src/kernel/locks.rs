//! `/proc/locks` (proc(5)): who holds a lock, seen without touching the file.
//!
//! Opening a start lock to try it would break another janitor's lease on it, so we look here first.
//! Holders in a foreign pid namespace are hidden: "not seen" proves nothing, flock(2) decides.

use crate::kernel::FileId;
use crate::kernel::Pid;
use crate::kernel::lack::heeded_io;

/// One reading of `/proc/locks`.
#[derive(Debug, Default)]
pub struct ProcLocks(String);

impl ProcLocks {
    /// Reads it; empty where there is none.
    pub fn read() -> Self {
        Self(heeded_io(std::fs::read_to_string("/proc/locks")).unwrap_or_default())
    }

    /// Two readings in one: what stands in either. The kernel gives it out in pages and goes on by counting, so that
    /// where others let go of locks meanwhile a reading misses some.
    pub fn read_twice() -> Self {
        let Self(mut text) = Self::read();
        text.push_str(&Self::read().0);
        Self(text)
    }

    /// Whether somebody is seen to hold a flock or a lease on the file.
    pub fn is_held(&self, file: FileId) -> bool {
        self.holders(file).next().is_some()
    }

    /// Who took the flocks and leases on the file. They may have ended since, or live in another pid namespace (0).
    pub fn holders(&self, file: FileId) -> impl Iterator<Item = Pid> {
        self.0.lines().filter_map(held).filter(move |(_, held)| *held == file).map(|(pid, _)| pid)
    }

    /// Whether anybody is seen to hold one on a file system.
    pub fn has_any_on(&self, dev: u64) -> bool {
        self.0.lines().filter_map(held).any(|(_, held)| held.dev == dev)
    }
}

/// The holder and the file of `N: FLOCK ADVISORY WRITE PID MAJ:MIN:INO START END`. Who only waits has `->` before the
/// kind and is passed over.
pub(crate) fn held(line: &str) -> Option<(Pid, FileId)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    if !matches!(fields.next()?, "FLOCK" | "LEASE") {
        return None;
    }
    let pid = fields.nth(2)?.parse().ok()?;
    let mut file = fields.next()?.split(':');
    let major = u32::from_str_radix(file.next()?, 16).ok()?;
    let minor = u32::from_str_radix(file.next()?, 16).ok()?;
    let ino = file.next()?.parse().ok()?;
    Some((pid, FileId { dev: rustix::fs::makedev(major, minor), ino }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_is_told_from_who_waits() {
        let locks = ProcLocks(
            "1: FLOCK  ADVISORY  WRITE 11 fe:00:77 0 EOF\n\
             1: -> FLOCK  ADVISORY  WRITE 12 fe:00:77 0 EOF\n\
             2: LEASE  ACTIVE    WRITE 13 fe:00:78 0 EOF\n\
             2: -> FLOCK  ADVISORY  WRITE 14 fe:00:7 0 EOF\n\
             3: POSIX  ADVISORY  WRITE 13 fe:00:79 0 EOF\n\
             garbage\n"
                .to_owned(),
        );
        let file = |ino| FileId { dev: rustix::fs::makedev(0xfe, 0), ino };
        assert!(locks.is_held(file(77)) && locks.is_held(file(78)));
        assert!(!locks.is_held(file(79)) && !locks.is_held(file(7)));
        assert_eq!(locks.holders(file(78)).collect::<Vec<_>>(), [Pid::new(13)]);
        assert!(locks.has_any_on(file(1).dev) && !locks.has_any_on(rustix::fs::makedev(0xfe, 1)));
    }
}
