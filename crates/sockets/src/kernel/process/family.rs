//! Who descends from whom, and the memory that they take.

use super::{Process, Processes, Stat, pid_of};
use crate::kernel::Pid;
use crate::kernel::lack::heeded;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// As much as is read of `/proc/PID/stat`: a name of 15 bytes and 52 numbers.
const STAT: usize = 2048;

/// The children of every process that can be seen, as of one look at them all.
#[derive(Debug, Default)]
pub struct Families(HashMap<Pid, Vec<Pid>>);

impl Families {
    /// Looks at every process once.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn look(processes: &Processes) -> Result<Self, Errno> {
        let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
        let mut path = Vec::new();
        for entry in heeded(rustix::fs::Dir::read_from(&processes.proc))? {
            let Ok(entry) = entry else { continue };
            let Some(pid) = pid_of(entry.file_name()) else { continue };
            path.clear();
            path.extend_from_slice(entry.file_name().to_bytes());
            path.extend_from_slice(b"/stat");
            if let Some(parent) = parent_at(processes, OsStr::from_bytes(&path)) {
                children.entry(parent).or_default().push(pid);
            }
        }
        Ok(Self(children))
    }

    /// A process and all that descend from it. One whose parent has ended descends from process 1, or from whoever takes
    /// in orphans there (`PR_SET_CHILD_SUBREAPER`, prctl(2)).
    pub fn of(&self, ancestor: Pid) -> Vec<Pid> {
        // During the look a pid may be used again.
        let mut seen = HashSet::from([ancestor]);
        let mut all = vec![ancestor];
        let mut next = 0;
        while let Some(children) = all.get(next).map(|parent| self.0.get(parent)) {
            all.extend(children.into_iter().flatten().copied().filter(|child| seen.insert(*child)));
            next += 1;
        }
        all
    }
}

fn parent_at(processes: &Processes, path: &OsStr) -> Option<Pid> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = heeded(rustix::fs::openat(&processes.proc, path, flags, Mode::empty())).ok()?;
    let mut buffer = [0; STAT];
    let length = rustix::io::read(&file, &mut buffer).ok()?;
    Some(Stat::parse(&buffer[..length])?.parent)
}

impl Process {
    /// How much memory it takes that belongs to no file, in bytes: what would be free if it ended, but for what it
    /// shares with the process that it was forked from. What is swapped out is not in it. `None`: it has gone, or that
    /// cannot be read from here.
    ///
    /// `/proc/PID/statm` (proc(5)): resident pages less those of files and of shared memory.
    pub fn memory(&self) -> Option<u64> {
        let pages = pages(&self.read("statm")?)?;
        pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
    }
}

/// The pages of no file.
fn pages(statm: &[u8]) -> Option<u64> {
    let mut fields = std::str::from_utf8(statm).ok()?.split_ascii_whitespace().skip(1);
    let (resident, shared) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse().ok()?);
    // The counters are not read at one moment.
    Some(resident.saturating_sub(shared))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    fn pid(number: i32) -> Pid {
        Pid::new(number)
    }

    #[test]
    fn a_family_is_all_that_descend_and_a_circle_ends() {
        let children = [(1, vec![2, 9]), (2, vec![3, 4]), (4, vec![5]), (7, vec![8]), (8, vec![7])]
            .map(|(parent, children)| (pid(parent), children.into_iter().map(pid).collect()));
        let families = Families(children.into());
        assert_eq!(families.of(pid(2)), [2, 3, 4, 5].map(pid));
        assert_eq!(families.of(pid(9)), [pid(9)]);
        assert_eq!(families.of(pid(7)), [7, 8].map(pid));
    }

    #[test]
    fn a_child_is_found_with_its_parent() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let families = Families::look(&Processes::open().unwrap()).unwrap();
        let me = rustix::process::getpid().as_raw_nonzero().get();
        let family = families.of(pid(me));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(family.contains(&pid(i32::try_from(child.id()).unwrap())), "{family:?}");
    }

    #[test]
    fn memory_is_what_belongs_to_no_file() {
        assert_eq!(pages(b"5000 300 200 1 0 99 0\n"), Some(100));
        assert_eq!(pages(b"5000 2 3 1 0 99 0\n"), Some(0));
        assert_eq!(pages(b"5000"), None);
        let memory = || {
            let me = rustix::process::getpid().as_raw_nonzero().get();
            Processes::open().unwrap().by_pid(pid(me)).unwrap().memory().unwrap()
        };
        let before = memory();
        let block = vec![1_u8; 64 << 20];
        let after = memory();
        assert!(after >= before + (48 << 20), "{before} {after} {}", block[1 << 20]);
    }
}
