//! What the tests share: arenas full of sockets, the program under test, loud skips.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]
#![allow(clippy::print_stdout, reason = "logs are for people")]

pub(crate) mod arena;
pub(crate) mod daemon;
pub(crate) mod dice;
pub(crate) mod ghosts;
pub(crate) mod inodes;
pub(crate) mod janitor;
pub(crate) mod journal;
pub(crate) mod locks;
pub(crate) mod metrics;
pub(crate) mod reader;
pub(crate) mod skip;
pub(crate) mod starts;
pub(crate) mod terminal;
pub(crate) mod wait;

/// Whether the kernel tells how a process ended to whoever holds a handle on it: `PIDFD_INFO_EXIT`, of Linux 6.15.
pub(crate) fn kernel_tells_ends() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers =
        release.split(|char: char| !char.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 15)
}

/// For a shell in namespaces of its own: hides the control groups and becomes `"$0" "$@"`. They tell that the user has a
/// service manager, as root has who logged in; where `/proc` does not show that manager, no table is believed.
pub(crate) const WITHOUT_A_MANAGER: &str = r#"mount -t tmpfs tmpfs /sys/fs/cgroup; exec "$0" "$@""#;

/// A login may come with the umask 0002, with which whatever is made is open to a group: folders that no tmux would use.
pub(crate) fn usual_umask() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
}
