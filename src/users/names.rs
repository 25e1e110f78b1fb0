//! What users are called, for those who read a list of them.

use super::accounts::{Hints, LookUps, in_turn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tmux_sockets::kernel::Uid;

/// The accounts that the machine has by itself.
const PASSWD: &str = "/etc/passwd";

/// How long a list waits for names. A directory service that is away must not keep anybody from it.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many are looked up: one user can have files of thousands who have no account.
const MOST: usize = 1024;

/// The login names of those who have one, as far as they are known in time. Who stands in `/etc/passwd` is not asked
/// about: nobody else has to be waited for, nor connected to.
pub(crate) fn names(uids: &BTreeSet<Uid>) -> BTreeMap<Uid, String> {
    let passwd = std::fs::read(PASSWD).unwrap_or_default();
    let mut names: BTreeMap<Uid, String> = String::from_utf8_lossy(&passwd)
        .lines()
        .rev()
        .filter_map(named)
        .filter(|(uid, _)| uids.contains(uid))
        .collect();
    let left: Vec<Uid> = uids.iter().filter(|uid| !names.contains_key(uid)).copied().collect();
    if left.is_empty() {
        return names;
    }
    let mut asked = in_turn(&left, &BTreeSet::new(), &Hints::read());
    asked.truncate(MOST);
    let Ok(mut look_ups) = LookUps::start(asked) else { return names };
    let end = Instant::now() + PATIENCE;
    while look_ups.are_open() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        // An interruption (EINTR) costs one needless look.
        let _ = poll(&mut [PollFd::new(&look_ups, PollFlags::IN)], Timespec::try_from(left).ok().as_ref());
        for (uid, account) in look_ups.take() {
            if let Some(name) = account.ok().and_then(|account| account.name) {
                names.insert(uid, name);
            }
        }
    }
    names
}

/// A line of passwd(5). Of two for one uid the first counts.
fn named(line: &str) -> Option<(Uid, String)> {
    let mut fields = line.split(':');
    let (name, uid) = (fields.next()?, fields.nth(1)?);
    // Lines of `+` and `-` are for the directory service (nsswitch.conf(5), `compat`).
    let is_name = !name.is_empty() && !name.starts_with(['+', '-']);
    Some((Uid::new(uid.parse().ok()?), name.to_owned())).filter(|_| is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_uid() {
        assert_eq!(named("ann:x:7:8:Ann:/home/ann:/bin/sh"), Some((Uid::new(7), "ann".to_owned())));
        for other in ["", "ann", "ann:x:y:", "+ann:x:7:8::/:", ":x:7:8::/:"] {
            assert_eq!(named(other), None, "{other}");
        }
    }

    #[test]
    fn who_has_an_account_has_a_name() {
        let names = names(&BTreeSet::from([Uid::ROOT, Uid::new(4_294_000_001)]));
        assert_eq!(names, BTreeMap::from([(Uid::ROOT, "root".to_owned())]));
    }
}
