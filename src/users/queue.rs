//! Who waits for a worker: users whose accounts come in one after the other.
//!
//! Whoever has an account comes first. Anybody who may use other uids (subuid(5)) can make directories for
//! thousands who have none.

use super::accounts::{Account, LookUps};
use super::user::User;
use rustix::io::Errno;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use tmux_sockets::kernel::Uid;
use tmux_sockets::report::Loss;

/// How long those without an account wait for all that have one to be known.
const COURTESY: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(super) struct Queue<'u> {
    /// Whose account is not known yet.
    unknown: BTreeMap<Uid, User<'u>>,
    look_ups: Option<LookUps>,
    named: VecDeque<(User<'u>, Account)>,
    nameless: VecDeque<(User<'u>, Account)>,
    courtesy_ends: Instant,
}

impl<'u> Queue<'u> {
    /// Users in the order in which they are asked about.
    pub(super) fn new(users: &[User<'u>]) -> Self {
        let look_ups = LookUps::start(users.iter().map(|user| user.uid).collect());
        Self {
            unknown: users.iter().map(|user| (user.uid, *user)).collect(),
            look_ups: look_ups.ok(),
            named: VecDeque::new(),
            nameless: VecDeque::new(),
            courtesy_ends: Instant::now() + COURTESY,
        }
    }

    /// Takes in whoever is known by now, without waiting. Whose account cannot be looked up is handed out.
    pub(super) fn take_in(&mut self) -> Vec<(User<'u>, Loss)> {
        let mut lost = Vec::new();
        let answers = match &mut self.look_ups {
            Some(look_ups) => look_ups.take(),
            // No thread could be started to look them up.
            None => self.unknown.keys().map(|uid| (*uid, Err(Errno::AGAIN))).collect(),
        };
        for (uid, answer) in answers {
            let Some(mut user) = self.unknown.remove(&uid) else { continue };
            match answer {
                Ok(account) if account.name.is_some() => {
                    user.has_account = true;
                    self.named.push_back((user, account));
                }
                Ok(account) => self.nameless.push_back((user, account)),
                Err(errno) => lost.push((user, Loss::Account(errno))),
            }
        }
        lost
    }

    /// Who is served next; `None`: nobody at this moment.
    pub(super) fn next(&mut self) -> Option<(User<'u>, Account)> {
        let next = self.named.pop_front();
        if next.is_none() && (self.unknown.is_empty() || Instant::now() >= self.courtesy_ends) {
            return self.nameless.pop_front();
        }
        next
    }

    /// Whom there was no room for.
    pub(super) fn put_back(&mut self, user: User<'u>, account: Account) {
        let queue = if user.has_account { &mut self.named } else { &mut self.nameless };
        queue.push_front((user, account));
    }

    /// Everybody who is left; nobody is served any more.
    pub(super) fn give_up(&mut self) -> Vec<User<'u>> {
        self.look_ups = None;
        let unknown = std::mem::take(&mut self.unknown).into_values();
        let known = self.named.drain(..).chain(self.nameless.drain(..)).map(|(user, _)| user);
        known.chain(unknown).collect()
    }

    /// Whether nobody waits and nobody comes.
    pub(super) fn is_over(&self) -> bool {
        self.unknown.is_empty() && self.named.is_empty() && self.nameless.is_empty()
    }

    /// What can be read when somebody comes in.
    pub(super) fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.look_ups.as_ref().filter(|look_ups| look_ups.are_open()).map(AsFd::as_fd)
    }

    /// When to look again although nobody came in.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let look_ups = self.look_ups.as_ref().filter(|look_ups| look_ups.are_open())?;
        let courtesy = (!self.nameless.is_empty()).then_some(self.courtesy_ends);
        Some(courtesy.into_iter().fold(look_ups.deadline(), Instant::min))
    }
}
