//! What falls back to the rescan, said once.

use super::deaths::Untied;
use super::engine::Dir;
use super::places::Unwatched;
use super::watcher::Watcher;
use std::ffi::OsStr;
use std::path::PathBuf;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::text::errno_text;

/// The warning about lost events.
pub(super) const LOST: &str = "inotify lost events (a storm in a socket directory); looking at everything instead, now and whenever it happens again";

impl Watcher {
    pub(super) fn say_unwatched(&mut self, unwatched: Option<Unwatched>) {
        let (what, sysctl, errno) = match unwatched {
            None => return,
            Some(Unwatched::NoInstance(errno)) => ("inotify cannot be used", "max_user_instances", errno),
            Some(Unwatched::NoWatch(errno)) => ("a directory cannot be watched", "max_user_watches", errno),
        };
        self.once.warn(&format!(
            "{what} ({}; `sysctl fs.inotify.{sysctl}` shows the limit); new servers are found by the rescan only, deaths of known ones still at once",
            errno_text(errno)
        ));
    }

    pub(super) fn say_far(&mut self, far: Option<PathBuf>) {
        if let Some(path) = far {
            self.once.warn(&format!(
                "{}: it lies on a mount that may not answer (a network or FUSE file system), where no socket is proven dead; not watched; `tmux-janitor list` looks there",
                escaped(&path)
            ));
        }
    }

    pub(super) fn say_blindness(&mut self) {
        if let Some(why) = self.witness.blindness() {
            self.once
                .warn(&format!("the kernel's socket table cannot be believed here: {why}; removing nothing"));
        }
    }

    pub(super) fn say_untied(&mut self, dir: Dir, label: &OsStr, why: Untied) {
        let (path, rest) = (
            self.places.full_path(dir, label),
            "its death is noticed by the rescan only, as with all others of its kind",
        );
        let cause = match why {
            Untied::NoProcess => {
                "its process cannot be found from here (another pid namespace, or PrivateUsers= in a unit)"
                    .to_owned()
            }
            Untied::NoDescriptor => "no file descriptor is left (`ulimit -n`, LimitNOFILE=)".to_owned(),
            Untied::NoPidfd(errno) => format!("pidfd_open(2) failed: {}", errno_text(errno)),
        };
        self.once.warn_of(&cause, || format!("{}: {cause}; {rest}", escaped(&path)));
    }
}
