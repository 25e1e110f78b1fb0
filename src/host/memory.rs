//! Whether the kernel killed a process for lack of memory, as far as the counter of its control group proves it.
//!
//! A group with the memory controller counts the kills in it and below it: `oom_kill` in `memory.events`, which everybody
//! may read, and which is raised before the process is killed (cgroup-v2.rst; `__oom_kill_process` of `mm/oom_kill.c`). So
//! a counter that has stood still since the process was first seen acquits. One that has risen says that a process of
//! the group was killed, and not which: it convicts where it has risen since the last look, and the process had the group to
//! itself then, or one of the group is killed with all others (`memory.oom.group`). In between nothing is proven: it may take a
//! killed process a while to end. The group may be gone with its process; then the one above it can acquit, and proves nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::Pid;

/// Where the unified hierarchy is mounted (`systemd` mounts it nowhere else).
const ROOT: &str = "/sys/fs/cgroup";

/// Where control groups are, and what they count.
#[derive(Debug)]
pub(crate) struct Groups {
    root: PathBuf,
    /// A group counts the kills in those below it (not so where it is mounted with `memory_localevents`).
    counts_below: bool,
}

/// What the groups of a process had counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kills {
    /// The process.
    pid: Pid,
    /// The number of its own group.
    pub(crate) group: u64,
    /// Where that is.
    dir: PathBuf,
    /// At the last look, whoever was killed in the own group, it was this process, or this one with it.
    shares_fate: bool,
    /// The own group's, if it has a counter.
    own: Option<Counter>,
    /// That of the next one above it which has one.
    above: Option<Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Counter {
    file: PathBuf,
    /// When the process was first seen.
    first: u64,
    /// At the last look.
    last: u64,
}

impl Groups {
    /// Those of this machine.
    pub(crate) fn of_this_machine() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let is_local = |line: &str| {
            let about = line.split_once(" - cgroup2 ");
            about.is_some_and(|(_, about)| about.contains("memory_localevents"))
        };
        Self { root: ROOT.into(), counts_below: !mounts.lines().any(is_local) }
    }

    /// What they have counted by now for a process, which is in the group of this number. `None`: it cannot be seen here.
    pub(crate) fn kills(&self, pid: Pid, group: u64) -> Option<Kills> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        self.counted(pid, path_of(&text)?, group)
    }

    fn counted(&self, pid: Pid, path: &str, group: u64) -> Option<Kills> {
        let own = self.root.join(path.trim_start_matches('/'));
        // The number is the inode's. Another one: it is called otherwise here, or the process is in another by now.
        if fs::metadata(&own).ok()?.ino() != group {
            return None;
        }
        let is_below_root = |dir: &&Path| dir.starts_with(&self.root);
        let mut above = own.ancestors().skip(1).take_while(is_below_root).filter_map(Counter::of);
        let above = if self.counts_below { above.next() } else { None };
        let shares_fate = shares_fate(&own, pid);
        Some(Kills { pid, group, shares_fate, own: Counter::of(&own), dir: own, above })
    }
}

impl Kills {
    /// The process is looked at again, and lives.
    pub(crate) fn count(&mut self) {
        for counter in [&mut self.own, &mut self.above].into_iter().flatten() {
            counter.last = kills_in(&counter.file).unwrap_or(counter.last);
        }
        self.shares_fate = shares_fate(&self.dir, self.pid);
    }

    /// Whether the process, which has just been killed in that group, was killed for lack of memory. `None`: nothing
    /// proves either.
    pub(crate) fn have_risen(&self) -> Option<bool> {
        let now = |counter: &Counter| kills_in(&counter.file);
        if let Some((own, now)) = self.own.as_ref().and_then(|own| Some((own, now(own)?))) {
            return if now == own.first {
                Some(false)
            } else {
                (now != own.last && self.shares_fate).then_some(true)
            };
        }
        let above = self.above.as_ref()?;
        (now(above)? == above.first).then_some(false)
    }
}

impl Counter {
    fn of(group: &Path) -> Option<Self> {
        let file = group.join("memory.events");
        let kills = kills_in(&file)?;
        Some(Self { file, first: kills, last: kills })
    }
}

/// Whether a process that is killed in a group is this one, or takes this one along: nobody else is in it and below it, or it
/// is killed as a whole.
fn shares_fate(group: &Path, pid: Pid) -> bool {
    let reads = |file: &str| fs::read_to_string(group.join(file)).unwrap_or_default();
    let has_groups =
        || fs::read_dir(group).into_iter().flatten().flatten().any(|entry| entry.path().is_dir());
    reads("memory.oom.group").trim() == "1"
        || (reads("cgroup.procs").trim() == pid.to_string() && !has_groups())
}

fn kills_in(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// A process' path in the unified hierarchy, by its `/proc/PID/cgroup`. `None`: it is outside of what can be seen here.
fn path_of(text: &str) -> Option<&str> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    (!path.split('/').any(|part| part == "..")).then_some(path)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    fn write(group: &Path, kills: u64) {
        fs::create_dir_all(group).unwrap();
        fs::write(group.join("memory.events"), format!("oom 3\noom_kill {kills}\noom_group_kill 0\n"))
            .unwrap();
    }

    #[test]
    fn a_path_is_that_of_the_unified_hierarchy_and_below_what_is_seen() {
        assert_eq!(path_of("1:name=systemd:/x\n0::/a.slice/b.scope\n"), Some("/a.slice/b.scope"));
        assert_eq!(path_of("0::/../b.scope\n"), None);
        assert_eq!(path_of("4:memory:/x\n"), None);
    }

    #[test]
    fn what_stands_still_acquits_and_only_the_own_one_convicts() {
        let root = tempfile::tempdir().unwrap();
        let (slice, own) = (root.path().join("a.slice"), root.path().join("a.slice/b.scope"));
        write(&slice, 5);
        write(&own, 1);
        let number = fs::metadata(&own).unwrap().ino();
        let groups = Groups { root: root.path().into(), counts_below: true };
        let server = Pid::new(7);
        assert_eq!(groups.counted(server, "/a.slice/b.scope", number + 1), None, "another group");
        fs::write(own.join("cgroup.procs"), "7\n").unwrap();
        let mut kills = groups.counted(server, "/a.slice/b.scope", number).unwrap();
        write(&slice, 6);
        assert_eq!(kills.have_risen(), Some(false), "beside it");
        write(&own, 2);
        assert_eq!(kills.have_risen(), Some(true));
        kills.count();
        assert_eq!(kills.have_risen(), None, "before the last look: it may be ending still");
        write(&own, 3);
        assert_eq!(kills.have_risen(), Some(true));
        fs::write(own.join("cgroup.procs"), "7\n8\n").unwrap();
        kills.count();
        write(&own, 4);
        assert_eq!(kills.have_risen(), None, "it may have been the one beside it");
        fs::write(own.join("memory.oom.group"), "1\n").unwrap();
        kills.count();
        write(&own, 6);
        assert_eq!(kills.have_risen(), Some(true), "both are killed");
        fs::remove_dir_all(&own).unwrap();
        assert_eq!(kills.have_risen(), None, "in it or beside it");
        write(&slice, 5);
        assert_eq!(kills.have_risen(), Some(false), "not even beside it");
    }

    #[test]
    fn without_a_counter_of_its_own_nothing_convicts() {
        let root = tempfile::tempdir().unwrap();
        let (slice, own) = (root.path().join("a.slice"), root.path().join("a.slice/b.scope"));
        write(&slice, 5);
        fs::create_dir(&own).unwrap();
        let number = fs::metadata(&own).unwrap().ino();
        let counted = |counts_below: bool| {
            Groups { root: root.path().into(), counts_below }
                .counted(Pid::new(7), "/a.slice/b.scope", number)
                .unwrap()
        };
        let kills = counted(true);
        assert_eq!(kills.have_risen(), Some(false));
        assert_eq!(counted(false).have_risen(), None, "it counts its own alone");
        write(&slice, 6);
        assert_eq!(kills.have_risen(), None);
    }
}
