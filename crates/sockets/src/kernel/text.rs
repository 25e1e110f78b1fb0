//! Words for what the kernel says.

use rustix::fs::FileType;
use rustix::io::Errno;

/// An errno with its cure, for a directory that cannot be changed.
pub fn cause(errno: Errno) -> String {
    let cure = match errno {
        Errno::ROFS => {
            "; the file system is mounted read-only here: `findmnt -T` shows the mount, a unit's ReadWritePaths= opens it"
        }
        Errno::PERM | Errno::ACCESS => {
            "; the directory is not writable, immutable or append-only (`lsattr -d`), or sticky with another owner (`ls -ld`)"
        }
        Errno::NOSPC | Errno::DQUOT => "; the file system or the quota is full",
        _ => return unread(errno),
    };
    format!("{}{cure}", errno_text(errno))
}

/// The same for what could not be looked at.
pub fn unread(errno: Errno) -> String {
    let cure = match errno {
        Errno::MFILE => "; no file descriptor is left (`ulimit -H -n`, LimitNOFILE=)",
        Errno::NFILE => "; the whole system has no file descriptor left (`sysctl fs.file-max`)",
        _ => "",
    };
    format!("{}{cure}", errno_text(errno))
}

/// As [`unread`], of an error that may be more than an errno.
pub fn io_unread(error: &std::io::Error) -> String {
    Errno::from_io_error(error).map_or_else(|| io_text(error), unread)
}

/// What strerror(3) says, without the number that Rust adds.
pub fn errno_text(errno: Errno) -> String {
    io_text(&std::io::Error::from(errno))
}

/// Why an account could not be looked up.
pub fn lookup_text(errno: Errno) -> String {
    match errno {
        Errno::NOPKG => {
            "there is no getent(1) here, which a static program asks; Debian has it in libc-bin".to_owned()
        }
        other => errno_text(other),
    }
}

/// As [`errno_text`], of an error that may be more than an errno.
pub fn io_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((text, number)) if number.ends_with(')') => text.to_owned(),
        _ => text,
    }
}

/// A file type with its article.
pub fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of an unknown type",
    }
}
