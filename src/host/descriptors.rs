//! How many files this process may have open.

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// A descriptor limit beyond this is as good as none.
const ENOUGH: rlim_t = 1 << 20;

/// What is counted on where the limit cannot be read: systemd's and the kernel's default (`INR_OPEN_CUR`).
const USUAL: rlim_t = 1024;

/// How many descriptors may be open, raised as far as it may be. A filter of system calls may forbid to
/// ask (`SystemCallFilter=~@resources`); rustix would panic then.
pub(crate) fn most() -> usize {
    usize::try_from(limit()).unwrap_or(usize::MAX)
}

fn limit() -> rlim_t {
    let Ok((current, most)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return USUAL;
    };
    if setrlimit(Resource::RLIMIT_NOFILE, most, most).is_ok() {
        most.min(ENOUGH)
    } else {
        current.min(ENOUGH)
    }
}
