//! Which network namespace a process is in, and who can say which one is the user's.

use super::{Process, Processes};
use crate::kernel::FileFacts;
use crate::kernel::Mounts;
use crate::kernel::Pid;
use crate::kernel::Uid;
use crate::kernel::lack::heeded_io;
use rustix::fs::AtFlags;
use std::ffi::CString;
use std::path::Path;

/// A setting that only the machine's first network namespace has (`net/core/sysctl_net_core.c`: `net_core_table` is
/// registered for `init_net` alone, and `/proc/sys/net` shows each process its own).
const ONLY_IN_THE_FIRST: &str = "/proc/sys/net/core/netdev_budget";

/// Which network namespace a process is in, as far as that can be seen from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The name of it: `/proc/PID/ns/net`. Needs the rights of a debugger: the user manager of systemd 257 has a
    /// capability that its user has not.
    name: Option<Vec<u8>>,
    /// The number of the file `/proc/PID/net/unix`, of which each network namespace has its own. Everybody may look
    /// at it who sees the process at all (`fs/proc/proc_net.c`: `get_proc_task_net` asks for no right).
    file: Option<u64>,
}

impl Network {
    /// Whether two processes are in the same one. `None`: that cannot be told.
    pub fn is(&self, other: &Self) -> Option<bool> {
        let same = |(own, other)| own == other;
        self.name
            .as_ref()
            .zip(other.name.as_ref())
            .map(same)
            .or_else(|| self.file.zip(other.file).map(|(own, other)| own == other))
    }
}

/// The user's service manager, as far as it can be seen.
#[derive(Debug)]
pub enum UserManager {
    /// There is none.
    Absent,
    /// There is one, and `/proc` does not show it here: another process namespace, or `hidepid=`.
    Hidden,
    /// There it is.
    Seen(Process),
}

/// Whether we are in the first network namespace of the machine: none lies outside of it.
pub fn is_in_first_network() -> bool {
    Path::new(ONLY_IN_THE_FIRST).exists()
}

impl Processes {
    /// The user's service manager, if it can be seen.
    pub fn user_manager(&self, user: Uid) -> Option<Process> {
        match self.find_user_manager(user) {
            UserManager::Seen(process) => Some(process),
            UserManager::Absent | UserManager::Hidden => None,
        }
    }

    /// The user's service manager: the first process of `init.scope` in `user@UID.service`.
    pub fn find_user_manager(&self, user: Uid) -> UserManager {
        let mut hidden = UserManager::Absent;
        for hierarchy in ["", "/unified", "/systemd"] {
            let path = format!(
                "/sys/fs/cgroup{hierarchy}/user.slice/user-{user}.slice/user@{user}.service/init.scope/cgroup.procs"
            );
            // Once more, should it have ended between the two looks.
            for _ in 0..2 {
                let Some(pid) = first_number(&path) else { break };
                // From another process namespace than its own it has the number 0 (cgroup.procs).
                match self.by_pid(pid) {
                    Some(process) => return UserManager::Seen(process),
                    None => hidden = UserManager::Hidden,
                }
            }
        }
        hidden
    }
}

impl Process {
    /// Its network namespace.
    pub fn network(&self) -> Network {
        let name = rustix::fs::readlinkat(&self.dir, "ns/net", Vec::new());
        let file = rustix::fs::statat(&self.dir, "net/unix", AtFlags::empty());
        Network {
            name: name.ok().map(CString::into_bytes),
            file: file.ok().map(|stat| FileFacts::from(stat).id.ino),
        }
    }

    /// The unix sockets of its network namespace, as text: `/proc/PID/net/unix` (`proc_pid_net(5)`).
    pub fn unix_sockets(&self) -> Option<Vec<u8>> {
        self.read("net/unix")
    }

    /// Its mounts, as far as its root directory lets it see them. Needs no right but to see the process.
    pub fn mounts(&self) -> Option<Mounts> {
        self.read("mountinfo").map(|text| Mounts::of(&text))
    }
}

/// The first of the numbers in a file, one a line.
fn first_number(path: &str) -> Option<Pid> {
    heeded_io(std::fs::read_to_string(path)).ok()?.lines().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    /// Two witnesses for one thing: what needs rights and what needs none say the same.
    #[test]
    fn a_network_namespace_is_known_by_its_name_and_by_its_file() {
        let processes = Processes::open().unwrap();
        let own = processes.own().unwrap().network();
        let (name, file) = (own.name.clone(), own.file);
        assert!(name.is_some() && file.is_some());
        let by_name = Network { name: name.clone(), file: None };
        let by_file = Network { name: None, file };
        assert_eq!(own.is(&by_name), Some(true));
        assert_eq!(own.is(&by_file), Some(true));
        assert_eq!(by_name.is(&by_file), None);
        let other = Network { name: Some(b"net:[1]".to_vec()), file };
        assert_eq!(own.is(&other), Some(false), "the name outweighs the file");
        assert_eq!(own.is(&Network { name: None, file: Some(1) }), Some(false));
    }
}
