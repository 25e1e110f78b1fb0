//! Every user of a machine: one worker per user, as that user.
//!
//! Root looks for users in folders that anybody may write, and must not act in any of them. So it only
//! reads the names of `/tmp` and `/run/user`, looks at each with lstat(2) ([`find`]), looks their accounts
//! up ([`accounts`]), and starts its own program once per user ([`crew`]). That worker gives up uid, gid and groups before anything else and
//! makes the ordinary pass, with the user's own configuration ([`worker`]). Its report comes back through
//! a pipe ([`wire`]) and becomes part of one ([`merge`]), which root prints and logs.
//!
//! What a user can do to a worker is what they can do to any process of theirs: stop it, kill it, starve
//! it. They cannot trace or read it: a process that was root and has not executed anything since cannot
//! be dumped (prctl(2), `PR_SET_DUMPABLE`). Each worker has its deadline, and so have all together; one
//! that is lost is one failed directory of the report. What the report says is data from a stranger.

mod accounts;
mod crew;
mod find;
pub mod merge;
pub mod order;
pub mod wire;
pub mod worker;

use crate::error::Error;
use crate::report::Report;
use crate::sweep::Act;
use accounts::Account;
use merge::{Merger, User};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

pub use crew::Loss;
pub use find::Stray;

/// What the workers are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// What may be done to sockets.
    pub act: Act,
    /// Whether ghosts are to get their socket back.
    pub rescue: bool,
}

/// Makes a pass for every user of the machine that may have sockets.
///
/// # Errors
/// Without root, and where `/tmp` cannot be read.
pub fn pass(task: Task) -> Result<Report, Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NoPermission(
            "--all-users needs root, to work as each user; without it your own sockets are looked at"
                .to_owned(),
        ));
    }
    let started = Instant::now();
    let parent = std::env::var_os("TMUX_TMPDIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let found = find::find(parent.as_deref());
    let mut merger = Merger::default();
    let (users, unknown) = known(&found.users);
    for (user, loss) in unknown {
        merger.add(user, Err(loss));
    }
    crew::work(users, task, parent.as_deref(), |user, outcome| merger.add(user, outcome));
    let mut report = merger.finish(found.strays);
    report.elapsed = started.elapsed();
    Ok(report)
}

/// A user to work for, and one whom we cannot work for.
type Known<'a> = (User<'a>, Account);
type Unknown<'a> = (User<'a>, Loss);

/// Who can be worked for, those with an account first: anybody who may use other uids (subuid(5)) can make
/// directories for thousands who have none. And who cannot, and why.
fn known(users: &BTreeMap<u32, PathBuf>) -> (Vec<Known<'_>>, Vec<Unknown<'_>>) {
    let mut accounts = accounts::look_up(users.keys().copied().collect());
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for (uid, folder) in users {
        let user = User { uid: *uid, folder };
        match accounts.remove(uid) {
            Some(Ok(account)) => known.push((user, account)),
            Some(Err(errno)) => unknown.push((user, Loss::Account(errno))),
            None => unknown.push((user, Loss::Account(Errno::TIMEDOUT))),
        }
    }
    known.sort_by_key(|(user, account)| (account.name.is_none(), user.uid));
    (known, unknown)
}
