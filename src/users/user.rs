//! A user who was found.

use std::path::Path;
use tmux_sockets::kernel::Uid;

/// A user who was found, and the folder that told of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User<'a> {
    /// Their number.
    pub uid: Uid,
    /// The folder.
    pub folder: &'a Path,
    /// Whether they have an account, as far as that is known.
    pub has_account: bool,
}
