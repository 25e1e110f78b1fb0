//! What is said of a directory that is left alone.

use super::DirectoryError;
use super::paths::Refusal;
use crate::kernel::text::unread;
use std::fmt::{self, Display, Formatter};

impl Display for DirectoryError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Refusal::NotADirectory) => {
                f.write_str("it is no real directory (a link or a file), tmux would refuse it; left alone")
            }
            Self::Refused(Refusal::Owner(uid)) => {
                write!(f, "it belongs to uid {uid}, who could swap what stands in it; left alone")
            }
            Self::Refused(Refusal::OpenToOthers(mode)) => write!(
                f,
                "it is open to others (mode {mode:04o}), tmux would refuse it; left alone; `chmod o-rwx` mends it"
            ),
            Self::Refused(Refusal::WritableByOthers(mode)) => write!(
                f,
                "{} can write it (mode {mode:04o}), so it is no folder for sockets; left alone; sockets belong into a folder of your own, 0700",
                if mode & 0o002 == 0 { "its group" } else { "others" }
            ),
            Self::Unreadable(errno) => write!(f, "it cannot be read: {}", unread(*errno)),
            Self::Far => f.write_str(
                "it lies on a mount that may not answer (a network or FUSE file system); left alone here",
            ),
        }
    }
}
