//! The accounts of users: group, home, name.
//!
//! They are looked up by root, all in one process, since a directory service may be behind it. It may also
//! be away, and then nobody must wait for it: the questions are asked in a thread of their own.

use nix::unistd::{Uid, User};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// How long all look-ups together may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The group of who has no account: that of nobody.
const NOBODY: u32 = 65534;

/// What a worker is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) gid: u32,
    pub(super) home: PathBuf,
    pub(super) name: Option<String>,
}

/// Looks `uids` up, in this order. Whoever is missing in the answer was not looked up in time.
///
/// A user without an account has a home that does not exist. One whose account cannot be looked up is
/// something else: their home, and with it the list of what to keep, would go unread.
pub(super) fn look_up(uids: Vec<u32>) -> BTreeMap<u32, Result<Account, Errno>> {
    let mut accounts = BTreeMap::new();
    let mut left = uids.len();
    let deadline = Instant::now() + DEADLINE;
    let (tell, told) = channel();
    // It ends with the process if it hangs.
    std::thread::spawn(move || uids.into_iter().try_for_each(|uid| tell.send((uid, account(uid)))));
    while left > 0
        && let Ok((uid, account)) = told.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        accounts.insert(uid, account);
        left -= 1;
    }
    accounts
}

fn account(uid: u32) -> Result<Account, Errno> {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => Ok(Account { gid: user.gid.as_raw(), home: user.dir, name: Some(user.name) }),
        Ok(None) => Ok(Account { gid: NOBODY, home: PathBuf::from("/nonexistent"), name: None }),
        Err(errno) => Err(Errno::from_raw_os_error(errno as i32)),
    }
}
