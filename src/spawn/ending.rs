//! A server that is ending and does not end.
//!
//! One that was told to end (kill-server) hangs up on whoever connects (server.c: `server_accept`), and destroys its
//! sessions. A client that had connected before is still served: a session that is made for it then keeps a server
//! that nobody can reach, for as long as COMMAND runs, or for ever where its pane is kept. A second request to end
//! destroys that session, too.

use super::answer::Answer;
use super::job::Job;
use super::session;
use rustix::process::Signal;
use std::time::Duration;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::{PidFd, Processes};
use tmux_sockets::witness::Witness;

/// How long a server that is asked once more may take.
const ENDING: Duration = Duration::from_secs(1);

impl Job<'_> {
    /// Asks a server once more to end, which somebody has asked before. It is one that has talked to us in this very
    /// run, so that it is of our client's version, and it hangs up on us now: nobody reaches it any more.
    ///
    /// `true`: it has ended.
    pub(super) fn end_stuck(&self, server: Pid, witness: &mut Witness) -> bool {
        // From here on the number is this process and no other.
        let Ok(pidfd) = PidFd::open(server) else {
            return false;
        };
        let is_tmux =
            Processes::open().is_ok_and(|all| all.by_pid(server).is_some_and(|one| one.is_tmux_server()));
        let hangs_up = || {
            matches!(session::is_there(&self.tmux(), &self.request.name),
                Ok(Answer::NoServer(said)) if super::answer::is_lost(&said))
        };
        if !is_tmux || !hangs_up() || !self.place.is_held_by(server, witness) {
            return false;
        }
        if pidfd.signal(Signal::TERM).is_err() {
            return false;
        }
        let _ = pidfd.ends_within(ENDING);
        self.is_free(witness)
    }
}
