//! What the daemon is to do, and may do.

use crate::config::Settings;
use std::path::PathBuf;
use tmux_sockets::kernel::Uid;
use tmux_sockets::sweep::Act;

/// The same for as long as the configuration is.
#[derive(Debug)]
pub(super) struct Duties {
    pub(super) settings: Settings,
    /// `--dir`: these and no others.
    pub(super) given: Vec<PathBuf>,
    pub(super) user: Uid,
    pub(super) act: Act,
    /// Whether servers are told of that are bound outside of the directories.
    pub(super) elsewhere: bool,
}

impl Duties {
    /// Those of whoever runs this.
    pub(super) fn new(settings: Settings, given: &[PathBuf], act: Act) -> Self {
        Self { settings, given: given.to_vec(), user: Uid::ours(), act, elsewhere: false }
    }

    /// Whether ghosts are looked for at every path of a tmux server, not in given directories alone.
    pub(super) fn is_everywhere(&self) -> bool {
        self.given.is_empty()
    }
}
