//! Which errors are plausible for which system call, by its manual page.

/// The errors of a call. None: it is the run-time's or cannot fail, and is only killed at.
pub(crate) fn of(call: &str) -> &'static [&'static str] {
    match call {
        "open" | "openat" => &["EACCES", "EMFILE", "EIO", "EINTR", "ENOENT", "ENOMEM"],
        "newfstatat" | "fstat" | "statx" => &["EACCES", "EIO", "ENOENT", "ENOMEM"],
        "readlink" | "readlinkat" => &["EACCES", "EIO", "ENOENT"],
        "read" | "pread64" => &["EIO", "EINTR"],
        "getdents64" => &["EIO", "ENOENT"],
        "getcwd" => &["ENOENT", "EACCES"],
        "fcntl" => &["EAGAIN", "EINVAL", "EMFILE", "EINTR", "EACCES"],
        "flock" => &["EAGAIN", "EINTR", "ENOLCK"],
        "socket" => &["EMFILE", "EAFNOSUPPORT", "EPERM", "ENOBUFS"],
        "connect" => &["EAGAIN", "EACCES", "EINTR", "ECONNREFUSED", "ENOENT"],
        "bind" => &["EADDRINUSE", "EACCES"],
        "sendto" | "sendmsg" => &["ENOBUFS", "EPERM", "EINTR", "ECONNREFUSED"],
        "recvfrom" | "recvmsg" => &["ENOBUFS", "EINTR", "ENOMEM"],
        "renameat2" => &["EACCES", "EROFS", "ENOSPC", "EINVAL", "EEXIST", "ENOENT", "EIO"],
        "unlinkat" | "unlink" => &["EACCES", "EROFS", "EBUSY", "EIO", "ENOENT"],
        "mkdir" | "mkdirat" => &["EACCES", "EROFS", "ENOSPC"],
        "fchmod" => &["EPERM", "EROFS"],
        "fstatfs" => &["EIO", "EINTR", "ENOSYS"],
        "write" => &["EPIPE", "ENOSPC", "EIO", "EINTR"],
        "getrandom" => &["ENOSYS", "EINTR"],
        "clock_nanosleep" | "epoll_wait" | "epoll_pwait" => &["EINTR"],
        "prlimit64" | "sched_getaffinity" | "close_range" => &["EPERM", "ENOSYS"],
        "clone" | "clone3" | "vfork" | "fork" => &["EAGAIN", "ENOMEM"],
        "wait4" | "waitid" => &["EINTR", "ECHILD"],
        "pidfd_open" => &["EMFILE", "ESRCH", "ENOSYS"],
        "pidfd_send_signal" | "kill" => &["EPERM", "ESRCH"],
        "memfd_create" | "pipe2" | "pipe" | "dup" | "epoll_create1" | "eventfd2" | "signalfd4"
        | "timerfd_create" | "inotify_init1" => &["EMFILE", "ENOMEM"],
        "inotify_add_watch" => &["ENOSPC", "EACCES", "ENOENT"],
        "epoll_ctl" => &["ENOSPC", "ENOMEM"],
        "poll" | "ppoll" => &["EINTR", "ENOMEM"],
        // close(2) among them: it closes, whatever it returns, but what strace lets fail is not called. What
        // stayed open, a lock perhaps, would be no fault that there is.
        _ => &[],
    }
}

/// Whether an error says something of a name that is not so. A program that believes it is not lying.
pub(crate) fn is_a_lie(errno: &str) -> bool {
    matches!(errno, "ENOENT" | "EEXIST" | "ESRCH" | "ECONNREFUSED")
}

/// Whether an error may last. Asking again is the right answer to `EINTR`, for ever.
pub(crate) fn may_last(errno: &str) -> bool {
    errno != "EINTR"
}
