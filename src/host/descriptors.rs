//! How many files this process may have open, and those that it starts.
//!
//! A look keeps a descriptor for each server of the user. A login has 1,024 and may have far more: the soft limit is that
//! low for programs which use select(2), and who does not is to raise it (systemd's NEWS of version 240). A pane's program
//! may use it: what is started here gets the limit that we were started with.
#![expect(unsafe_code, reason = "what a child does before its execve(2) is promised by no safe call")]

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

/// A descriptor limit beyond this is as good as none.
const ENOUGH: rlim_t = 1 << 20;

/// What is counted on where the limit cannot be read: systemd's and the kernel's default (`INR_OPEN_CUR`).
const USUAL: rlim_t = 1024;

/// The limits that we were started with, once they are raised.
static FOUND: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();

/// Raises the limit as far as it may be; how many descriptors may be open then. A filter of system calls may forbid to
/// ask (`SystemCallFilter=~@resources`); rustix would panic then.
pub(crate) fn raise() -> usize {
    let Ok((current, most)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return count(USUAL);
    };
    if current == most || setrlimit(Resource::RLIMIT_NOFILE, most, most).is_err() {
        return count(current);
    }
    let _ = FOUND.set((current, most));
    count(most)
}

fn count(limit: rlim_t) -> usize {
    usize::try_from(limit.min(ENOUGH)).unwrap_or(usize::MAX)
}

/// Lets a command have the limits that we were started with.
pub(super) fn lend(command: &mut Command) {
    let Some(&(current, most)) = FOUND.get() else { return };
    let lower = move || {
        // Where that is forbidden it has more than it should, and runs.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, current, most);
        Ok(())
    };
    // SAFETY: setrlimit(2) is a system call and nothing else: between fork and execve it takes no lock and no memory.
    unsafe { command.pre_exec(lower) };
}
