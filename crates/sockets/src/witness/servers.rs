//! The user's tmux servers that `/proc` shows, as witnesses for or against the table.

use super::elsewhere::{self, BoundElsewhere};
use crate::kernel::Pid;
use crate::kernel::Uid;
use crate::kernel::{KernelTable, Network, Processes};

/// The user's tmux servers, as witnesses.
pub(super) struct Servers {
    /// The pid of one that should be in the table, if none of those is.
    pub(super) missing: Option<Pid>,
    /// What those of other network namespaces are bound to.
    pub(super) elsewhere: Vec<BoundElsewhere>,
}

impl Servers {
    /// Looks at them all. Where our namespace is proven to be the `outer` one, those of other namespaces do not
    /// testify against our table: they cannot be in it.
    pub(super) fn look(
        processes: &Processes,
        table: &KernelTable,
        user: Uid,
        own: &Network,
        is_outer: bool,
    ) -> Self {
        let mut servers = Self { missing: None, elsewhere: Vec::new() };
        let mut is_one_shown = false;
        for server in processes.tmux_servers(user).into_iter().flatten() {
            let sockets = server.sockets();
            let is_elsewhere = own.is(&server.network()) == Some(false);
            if let (true, Ok(sockets)) = (is_elsewhere, &sockets) {
                servers.elsewhere.extend(elsewhere::bound_by(&server, sockets));
            }
            if is_elsewhere && is_outer {
                continue;
            }
            let is_shown = match sockets {
                // A pane's process before exec: it bears the name and holds no socket.
                Ok(sockets) if sockets.is_empty() => continue,
                Ok(sockets) => sockets.iter().any(|number| table.shows_socket(*number)),
                // It has ended, and nobody has waited for it: where process 1 of a container waits for none, for good.
                Err(_) if server.has_ended() => continue,
                // From a user namespace no process can be tied to its sockets. A foreign network
                // namespace shows nothing bound to a file at all; ours does when servers run.
                Err(_) => table.iter().next().is_some(),
            };
            is_one_shown |= is_shown;
            if !is_shown {
                servers.missing = Some(server.pid);
            }
        }
        if is_one_shown {
            servers.missing = None;
        }
        servers
    }
}
