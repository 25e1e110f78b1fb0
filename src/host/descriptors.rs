//! How many files this process may have open, and those that it starts.
//!
//! A look keeps a descriptor for each server of the user. A login has 1,024 and may have far more: the soft limit is that
//! low for programs which use select(2), and who does not is to raise it (systemd's NEWS of version 240). A pane's program
//! may use it: a server is started with the limits that we were started with.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};
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

/// Starts something with the limits that we were started with. They are the whole process': a thread that looks at
/// more meanwhile lacks descriptors, and says so. Not in the child, where the standard library would have to fork for
/// it, and would wait for ever where its own pipe to the child breaks.
pub(crate) fn as_found<T>(start: impl FnOnce() -> T) -> T {
    let Some(&(current, most)) = FOUND.get() else { return start() };
    // Where that is forbidden it has more than it should, and runs.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, current, most);
    let started = start();
    raise();
    started
}

/// The limits that we were started with, as `LimitNOFILE=` takes them.
pub(crate) fn found() -> Option<String> {
    let limits = FOUND.get().copied().or_else(|| getrlimit(Resource::RLIMIT_NOFILE).ok());
    let word = |limit: rlim_t| if limit == RLIM_INFINITY { "infinity".to_owned() } else { limit.to_string() };
    limits.map(|(current, most)| format!("{}:{}", word(current), word(most)))
}
