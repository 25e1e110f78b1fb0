//! Descriptors that whoever started us left open: the tmux server must not inherit them.
//!
//! A server lives for weeks and keeps what it inherits: a lock that a script holds with flock(1), the
//! pipe a supervisor reads to its end. The standard library marks its own descriptors close-on-exec;
//! these are other people's.
#![expect(unsafe_code, reason = "close_range(2) exists in no safe crate that is here")]

/// Marks every descriptor but the standard streams close-on-exec. Best effort: before Linux 5.11 they
/// are passed on, as by plain tmux.
pub(crate) fn keep_from_children() {
    // SAFETY: with CLOSE_RANGE_CLOEXEC nothing is closed and no memory is touched; only a flag of
    // descriptors is set, which no owner of one can rely on being clear.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3_u32, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use rustix::io::FdFlags;

    #[test]
    fn an_open_descriptor_is_kept_from_children_and_stays_open() {
        let file = std::fs::File::open("/dev/null").unwrap();
        rustix::io::fcntl_setfd(&file, FdFlags::empty()).unwrap();
        keep_from_children();
        assert_eq!(rustix::io::fcntl_getfd(&file).unwrap(), FdFlags::CLOEXEC);
    }
}
