//! The accounts of users: group, home, name.
//!
//! They are looked up by root, one after the other, since a directory service may be behind it. It may also be
//! slow or away, and then nobody must wait for it: the questions are asked in a thread of their own, and whoever
//! is known by then is served meanwhile.
//!
//! Who is asked about first matters: with uids of `subuid(5)` one user can make directories for 65,536 that have no
//! account, and each question costs time. So those that only root can have made known come first ([`in_turn`]).

use crate::host::user_database;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};
use tmux_sockets::kernel::Uid;

/// How long one answer may take. After that nobody else's comes in time either.
const PATIENCE: Duration = Duration::from_secs(5);

/// The group of who has no account: that of nobody.
const NOBODY: u32 = 65534;

/// As many uids as useradd(8) gives each user in `/etc/subuid`: a flood fills two such spans.
const SPAN: u32 = 65_536;

/// What a worker is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) gid: u32,
    pub(super) home: PathBuf,
    pub(super) name: Option<String>,
}

/// What is known of one user's account. One that cannot be looked up is something else than none: the home, and
/// with it the list of what to keep, would go unread.
pub(super) type LookUp = (Uid, Result<Account, Errno>);

/// Questions that are being asked.
#[derive(Debug)]
pub(super) struct LookUps {
    told: Receiver<LookUp>,
    /// Can be read when there are answers.
    bell: OwnedFd,
    /// Who has no answer yet.
    open: BTreeSet<Uid>,
    last: Instant,
}

impl LookUps {
    /// Looks `uids` up, in this order.
    pub(super) fn start(uids: Vec<Uid>) -> Result<Self, Errno> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let ring = rustix::io::dup(&bell)?;
        let open = uids.iter().copied().collect();
        let (tell, told) = channel();
        let ask = move || {
            for uid in uids {
                if tell.send((uid, account(uid))).is_err() {
                    return;
                }
                // A full counter is readable, too.
                let _ = rustix::io::write(&ring, &1_u64.to_ne_bytes());
            }
        };
        // It ends with the process if it hangs.
        std::thread::Builder::new()
            .spawn(ask)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
        Ok(Self { told, bell, open, last: Instant::now() })
    }

    /// The answers that are there. Does not wait.
    pub(super) fn take(&mut self) -> Vec<LookUp> {
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        let mut answers = Vec::new();
        loop {
            match self.told.try_recv() {
                Ok(answer) => {
                    self.last = Instant::now();
                    self.open.remove(&answer.0);
                    answers.push(answer);
                }
                Err(TryRecvError::Empty) if self.last + PATIENCE > Instant::now() => return answers,
                // The rest have had their time: no answer.
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                    let given_up = std::mem::take(&mut self.open);
                    answers.extend(given_up.into_iter().map(|uid| (uid, Err(Errno::TIMEDOUT))));
                    return answers;
                }
            }
        }
    }

    /// Whether there are questions without an answer.
    pub(super) fn are_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// When nobody is waited for any longer.
    pub(super) fn deadline(&self) -> Instant {
        self.last + PATIENCE
    }
}

impl AsFd for LookUps {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

pub(super) fn account(uid: Uid) -> Result<Account, Errno> {
    Ok(match user_database::user(uid)? {
        Some(user) => Account { gid: user.gid, home: user.home, name: Some(user.name) },
        None => Account { gid: NOBODY, home: PathBuf::from("/nonexistent"), name: None },
    })
}

/// What files of root's say of uids, in a line each.
#[derive(Debug, Default)]
pub(super) struct Hints {
    /// The uids in `/etc/passwd`, in its order.
    pub(super) passwd: Vec<Uid>,
    /// What is given away in `/etc/subuid`: no uid of it has an account.
    given_away: Vec<Range<u32>>,
}

impl Hints {
    /// Reads them; a file that is not there says nothing.
    pub(super) fn read() -> Self {
        let of =
            |path| fs::read(path).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
        Self::of(&of("/etc/passwd"), &of("/etc/subuid"))
    }

    fn of(passwd: &str, subuid: &str) -> Self {
        let number = |field: Option<&str>| field.and_then(|digits| digits.parse::<u32>().ok());
        let given = |line: &str| {
            let mut fields = line.split(':').skip(1);
            let (first, count) = (number(fields.next())?, number(fields.next())?);
            Some(first..first.saturating_add(count))
        };
        Self {
            passwd: passwd.lines().filter_map(|line| number(line.split(':').nth(2)).map(Uid::new)).collect(),
            given_away: subuid.lines().filter_map(given).collect(),
        }
    }
}

/// Who is asked about when: those who have a runtime directory, which logind made; those in `/etc/passwd`, in its
/// order; then the others, a span of numbers at a time in turn, so that many of one span do not keep those of
/// another from their turn; at the end those whose numbers are given away in `/etc/subuid`.
pub(super) fn in_turn(uids: &[Uid], logged_in: &BTreeSet<Uid>, hints: &Hints) -> Vec<Uid> {
    let places: BTreeMap<Uid, usize> =
        hints.passwd.iter().zip(0..).map(|(uid, place)| (*uid, place)).collect();
    let mut seen_of: BTreeMap<Uid, usize> = BTreeMap::new();
    let mut order: Vec<(usize, usize, Uid)> = uids
        .iter()
        .map(|uid| {
            let place = places.get(uid).copied();
            if logged_in.contains(uid) {
                return (0, place.unwrap_or(usize::MAX), *uid);
            }
            if let Some(place) = place {
                return (1, place, *uid);
            }
            let seen = seen_of.entry(Uid::new(uid.raw() / SPAN)).or_default();
            *seen += 1;
            let is_given_away = hints.given_away.iter().any(|range| range.contains(&uid.raw()));
            (2 + usize::from(is_given_away), *seen, *uid)
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, _, uid)| uid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_numbers_does_not_come_before_an_account() {
        let hints = Hints::of(
            "root:x:0:0:root:/root:/bin/sh\nbad line\nb:x:3000001:1::/:/bin/sh\na:x:7:7::/:/bin/sh\n",
            "mallory:100000:65536\nbad\nx:1:\n",
        );
        let flood = 100_000..165_536;
        // Users whom only a directory service knows, and a flood of numbers in no file.
        let another = (200_000..260_000).chain([1_000_000, 3_000_001]);
        let uids: Vec<Uid> = [7, 8, 9].into_iter().chain(flood).chain(another).map(Uid::new).collect();
        let order = in_turn(&uids, &BTreeSet::from([Uid::new(9)]), &hints);
        let order: Vec<u32> = order.into_iter().map(Uid::raw).collect();
        assert_eq!(order.len(), uids.len());
        assert_eq!(order[..3], [9, 3_000_001, 7]);
        let place = order.iter().position(|uid| *uid == 1_000_000);
        assert!(place.is_some_and(|place| place < 8), "{place:?}");
        assert!((100_000..165_536).contains(&order[order.len() - 1]));
        assert!((100_000..165_536).contains(&order[order.len() - 65_536]));
    }

    #[test]
    fn whoever_is_there_is_found_and_nobody_is_waited_for_for_ever() {
        let Ok(mut look_ups) = LookUps::start(vec![Uid::ROOT, Uid::new(4_294_000_001)]) else {
            panic!("no thread")
        };
        let mut answers = Vec::new();
        while look_ups.are_open() {
            assert!(look_ups.deadline() > Instant::now(), "{look_ups:?}");
            answers.extend(look_ups.take());
        }
        let name = |at: usize| answers.get(at).and_then(|(_, account)| account.as_ref().ok()?.name.clone());
        assert_eq!((answers.len(), name(0).as_deref(), name(1)), (2, Some("root"), None));
    }
}
