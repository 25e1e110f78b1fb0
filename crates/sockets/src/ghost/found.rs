//! What a search for ghosts came to.

use super::Ghost;
use crate::judge::RescueFailure;
use crate::report::{Failure, Outcome};
use rustix::io::Errno;
use std::path::PathBuf;

/// What a search for ghosts gives.
#[derive(Debug, Default)]
pub struct Found {
    /// The ghosts, in the order of their paths.
    pub ghosts: Vec<Ghost>,
    /// Paths at which a listener is not reached, and of which nothing tells whether it is a ghost: from a user
    /// namespace no server is seen to hold its socket, and some of them see other files there.
    pub doubtful: Vec<PathBuf>,
    /// What was lacking to look at everything, so that there may be more ghosts.
    pub lack: Option<Errno>,
}

impl Found {
    /// A ghost that was found before, as it stands with it now. Where not all could be looked at nothing is proven: another
    /// ghost of the path may be among what was not.
    ///
    /// # Errors
    /// It has ended or can be reached; or that could not be seen.
    pub(super) fn again(self, ghost: &Ghost) -> Result<Ghost, Outcome> {
        if let Some(errno) = self.lack {
            return Err(Outcome::Failed(Failure::Rescue(RescueFailure::NotSeen(errno))));
        }
        let mut ghosts = self.ghosts.into_iter();
        ghosts.find(|now| now.socket == ghost.socket && now.pid == ghost.pid).ok_or(Outcome::Vanished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{Plight, Standing};
    use crate::kernel::{Pid, SocketNumber};

    #[test]
    fn a_look_that_lacked_something_proves_no_ghost() {
        let pid = Some(Pid::new(1));
        let plight = Plight { pid, standing: Standing::Nothing, bar: None };
        let known = Ghost { path: PathBuf::from("/tmp/a"), socket: SocketNumber::new(1), pid, plight };
        let found = |lack| Found { ghosts: vec![known.clone()], doubtful: Vec::new(), lack };
        assert_eq!(found(None).again(&known), Ok(known.clone()));
        let failed = Outcome::Failed(Failure::Rescue(RescueFailure::NotSeen(Errno::MFILE)));
        assert_eq!(found(Some(Errno::MFILE)).again(&known), Err(failed));
        assert_eq!(Found::default().again(&known), Err(Outcome::Vanished));
    }
}
