//! Live servers that are bound outside of the directories that were looked into, and how to get at them.

use super::Entry;
use crate::judge::State;
use crate::kernel::escape::shell_word;
use crate::kernel::{Pid, Uid};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How a server can be reached that is bound outside of the directories of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outside {
    /// At its path, as any other.
    Reached,
    /// At its path too, but only from within its mount namespace or root directory: here the path leads nowhere, or to
    /// another server.
    Behind(Entrance),
    /// It sees other files than we do, and is not proven to be reached at its path there either.
    Unproven,
    /// It sees the files that we see, and the path leads nowhere or to something else: its socket was renamed.
    Renamed,
    /// It sees the files that we see, and we may not look at its path.
    Untold,
}

/// What has to be entered to see the files that a server sees (`nsenter(1)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entrance {
    /// Its mount namespace is another one than ours.
    pub namespace: bool,
    /// Its root directory is another one than ours.
    pub root: bool,
    /// Its user namespace is another one, into which we may go (`user_namespaces(7)`): the user who made it may do there
    /// what elsewhere only root may.
    pub user: bool,
}

impl Outside {
    /// Where the server of that pid is, which is `owner`'s and bound to `path`, and the way in, for the user who asks. `None`:
    /// its path leads to it.
    pub fn whereabouts(self, (pid, owner): (Pid, Uid), path: &Path, asks: Uid) -> Option<String> {
        const THERE: &str = "in another mount namespace or root directory";
        let text = match self {
            Self::Reached => return None,
            Self::Behind(entrance) => match entrance.way_in((pid, owner), path, asks) {
                Some(line) => format!("{THERE}; `{line}` leads there"),
                None => {
                    format!("{THERE}, in which others decide what tmux is; its own user is told the way in")
                }
            },
            Self::Unproven => format!("{THERE}, and that its path leads to it there is not proven"),
            Self::Renamed => {
                "it listens, and its path does not lead to it: its socket was renamed".to_owned()
            }
            Self::Untold => "its path cannot be looked at from here".to_owned(),
        };
        Some(text)
    }
}

impl Entrance {
    /// The line for a shell that attaches to the server of that pid, which is `owner`'s and bound to `path`. `asks`: who runs
    /// it. `None`: root would run with all its rights what others have put there under the name of `tmux`.
    ///
    /// A mount namespace is entered with `CAP_SYS_ADMIN` in the user namespace that owns it (`setns(2)`).
    pub fn way_in(self, (pid, owner): (Pid, Uid), path: &Path, asks: Uid) -> Option<String> {
        if asks == Uid::ROOT && (owner != Uid::ROOT || self.user) {
            return None;
        }
        let by_itself = self.user && asks != Uid::ROOT;
        let by_sudo = !by_itself && asks != Uid::ROOT;
        let flags = [
            (by_itself, " -U --preserve-credentials"),
            // Also where it is ours: util-linux 2.41 enters no root directory without a namespace.
            (self.namespace || !by_itself, " -m"),
            (self.root, " -r"),
            // Root's rights are for entering alone.
            (by_sudo, " -S \"$(id -u)\" -G \"$(id -g)\""),
        ];
        let flags: String =
            flags.into_iter().filter(|(is_needed, _)| *is_needed).map(|(_, flag)| flag).collect();
        let sudo = if by_sudo { "sudo " } else { "" };
        Some(format!("{sudo}nsenter -t {pid}{flags} tmux -S {} attach", shell_word(path)))
    }
}

impl Entry {
    /// Whether it is a live server's socket and its path leads to that server from here. `None`: no live server.
    pub fn is_reachable(&self) -> Option<bool> {
        (self.verdict.state == State::Live).then_some(matches!(self.outside, None | Some(Outside::Reached)))
    }

    /// The line for a shell that attaches to a live server that cannot be reached at its path from here, for the user who
    /// asks. `None`: none is known, or none is needed.
    pub fn way_in(&self, path: &Path, asks: Uid) -> Option<String> {
        match (self.outside?, self.server_pid?) {
            (Outside::Behind(entrance), pid) => entrance.way_in((pid, self.uid), path, asks),
            (Outside::Reached | Outside::Unproven | Outside::Renamed | Outside::Untold, _) => None,
        }
    }

    /// Why a live server cannot be reached at its path from here, and the way in, for the user who asks. `None`: it can,
    /// or is none.
    pub fn whereabouts(&self, path: &Path, asks: Uid) -> Option<String> {
        self.outside?.whereabouts((self.server_pid?, self.uid), path, asks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_in_is_one_that_whoever_asks_may_go() {
        let entrance = |namespace, root, user| Entrance { namespace, root, user };
        let (root, user) = (Uid::ROOT, Uid::new(1000));
        let sudo = "-S \"$(id -u)\" -G \"$(id -g)\"";
        for (entrance, owner, asks, expected) in [
            (
                entrance(true, false, false),
                root,
                root,
                Some("nsenter -t 7 -m tmux -S '/tmp/a b' attach".to_owned()),
            ),
            (
                entrance(false, true, false),
                root,
                root,
                Some("nsenter -t 7 -m -r tmux -S '/tmp/a b' attach".to_owned()),
            ),
            (entrance(true, false, true), root, root, None),
            (entrance(true, false, false), user, root, None),
            (
                entrance(true, true, false),
                user,
                user,
                Some(format!("sudo nsenter -t 7 -m -r {sudo} tmux -S '/tmp/a b' attach")),
            ),
            (
                entrance(true, false, true),
                user,
                user,
                Some("nsenter -t 7 -U --preserve-credentials -m tmux -S '/tmp/a b' attach".to_owned()),
            ),
        ] {
            assert_eq!(entrance.way_in((Pid::new(7), owner), Path::new("/tmp/a b"), asks), expected);
        }
    }
}
