//! What falls back to the rescan, and what else is said once.

use super::births::Unwatched;
use super::deaths::Untied;
use crate::view::advice::Advised;
use rustix::io::Errno;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use tmux_sockets::judge::Blindness;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::text::{errno_text, unread};
use tmux_sockets::report::{LeftAlone, Remark};

/// Something that goes on, but not as well as it could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Warning {
    /// inotify's queue has overflowed.
    EventsLost,
    /// Births are not told of.
    Unwatched(Unwatched),
    /// A directory lies where a look may never end.
    Far(PathBuf),
    /// A pattern of the configuration was not looked at in whole, or at a path a ghost cannot be told from something else.
    Unseen(Remark),
    /// Not all could be looked at, for lack of descriptors or memory.
    Lacking(Errno),
    /// The socket table is not to be believed.
    Blind(Blindness),
    /// The same, of what is in one directory.
    BlindIn(PathBuf, Blindness),
    /// A server's death is not told of.
    Untied { path: PathBuf, why: Untied },
    /// The metrics file cannot be written.
    NoMetrics(String),
}

impl Warning {
    /// What it is said once for.
    pub(super) fn cause(&self) -> String {
        match self {
            // One warning stands for all servers with the same reason.
            Self::Untied { why, .. } => why.to_string(),
            Self::Unseen(place) => escaped(&place.path).to_string(),
            Self::EventsLost
            | Self::Unwatched(_)
            | Self::Far(_)
            | Self::Lacking(_)
            | Self::Blind(_)
            | Self::BlindIn(..)
            | Self::NoMetrics(_) => self.to_string(),
        }
    }
}

impl Display for Warning {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::EventsLost => f.write_str(
                "inotify lost events (a storm in a socket directory); looking at everything instead, now and whenever it happens again",
            ),
            Self::Unwatched(unwatched) => {
                let sysctl = |sysctl, errno| match errno {
                    Errno::ACCESS => errno_text(errno),
                    _ => format!("{}; `sysctl fs.inotify.{sysctl}` shows the limit", errno_text(errno)),
                };
                let (what, why) = match *unwatched {
                    Unwatched::NoInstance(errno) => {
                        ("inotify cannot be used", sysctl("max_user_instances", errno))
                    }
                    Unwatched::Lacking(errno) => ("inotify cannot be used", unread(errno)),
                    Unwatched::NoWatch(errno) => {
                        ("a directory cannot be watched", sysctl("max_user_watches", errno))
                    }
                };
                write!(
                    f,
                    "{what} ({why}); new servers are found by the rescan only, deaths of known ones still at once"
                )
            }
            Self::Far(path) => write!(
                f,
                "{}: it lies on a mount that may not answer (a network or FUSE file system), where no socket is proven dead; not watched; `tmux-janitor list` looks there",
                escaped(path)
            ),
            Self::Unseen(Remark { path, why }) => write!(f, "{}: {}", escaped(path), why.with_advice()),
            Self::Lacking(errno) => {
                LeftAlone::Lacking(*errno).fmt(f)?;
                f.write_str("; looking again at the next rescan")
            }
            Self::Blind(why) => {
                write!(f, "the kernel's socket table cannot be trusted here: {why}; removing nothing")
            }
            Self::BlindIn(path, why) => write!(f, "{}: {}", escaped(path), Self::Blind(*why)),
            Self::Untied { path, why } => write!(
                f,
                "{}: {why}; its death is noticed by the rescan only, as with all others of its kind",
                escaped(path)
            ),
            Self::NoMetrics(why) => write!(
                f,
                "the metrics cannot be written: {why}; going on without them, and trying again when something changes"
            ),
        }
    }
}
