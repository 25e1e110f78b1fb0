//! An entry that is held on to.

use crate::kernel::FileFacts;
use std::os::fd::OwnedFd;

/// A handle on an entry: its inode's number is not used again.
#[derive(Debug)]
pub(super) struct Pin {
    pub(super) file: OwnedFd,
    pub(super) facts: FileFacts,
}
