//! What may be told of a live server besides its verdict.

use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// What is known of a live server besides its verdict, without a connection to it. `None` is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// When it was started, by the clock that people set.
    pub started: Option<SystemTime>,
    /// Whether somebody is attached. tmux says so by the execute bits of its socket (server.c: `server_update_socket`):
    /// it sets them with the first client that attaches and takes them off with the last. A socket that was made anew
    /// has none until then.
    pub attached: Option<bool>,
    /// The innermost systemd unit that it runs in.
    pub unit: Option<String>,
    /// The memory of no file of the server and all that descend from it, in bytes.
    pub memory: Option<u64>,
}
