//! Whether listening sockets that are known are reached, by whatever name.

use super::find::listener_of;
use super::reach::View;
use crate::kernel::{KernelTable, Mounts, SocketNumber};
use std::path::PathBuf;

/// What leads to sockets: the paths that they were bound to, and the names in some directories. Each directory is read
/// once.
#[derive(Debug)]
pub struct Reached {
    view: View,
}

impl Reached {
    /// By these directories, and those that the sockets were bound in, as they are when they are first asked for.
    pub fn new(directories: Vec<PathBuf>) -> Self {
        Self { view: View::ours(directories, Mounts::read()) }
    }

    /// Whether something is seen to lead to a socket of the table. Of a relative path it is not looked up.
    pub fn is(&mut self, table: &KernelTable, socket: SocketNumber) -> bool {
        let bound = table.iter().find(|bound| bound.socket == socket && bound.name.is_absolute());
        bound.is_some_and(|bound| self.view.is_seen(table, &listener_of(&bound)))
    }
}
