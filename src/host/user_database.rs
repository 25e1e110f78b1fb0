//! Who a uid is: getpwuid(3), and where the program is static getent(1) besides.
//!
//! musl, which a static program is made with, reads `/etc/passwd` and knows no nsswitch.conf(5). Who comes from a directory
//! service would have no account for it, and no home: what that user wants kept would go unread. So the system's own
//! library is asked, by the program that comes with it.

use super::child::{self, End};
use nix::unistd::User;
use rustix::io::Errno;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tmux_sockets::kernel::Uid;

/// How long getent may take: less than whoever looks accounts up has patience (`users::accounts`).
const PATIENCE: Duration = Duration::from_secs(4);

/// An account, as much of it as anybody here needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its login name.
    pub name: String,
    /// Its first group.
    pub gid: u32,
    /// Its home, as it stands there.
    pub home: PathBuf,
}

/// The account of a uid; `None`: there is none.
///
/// # Errors
/// It cannot be known, which is something else than none; `ENOPKG`: a static program has no getent(1) to ask.
pub(crate) fn user(uid: Uid) -> Result<Option<Known>, Errno> {
    match User::from_uid(nix::unistd::Uid::from_raw(uid.raw())) {
        Ok(None) if cfg!(target_env = "musl") => asked(uid),
        Ok(user) => Ok(user.map(|user| Known { name: user.name, gid: user.gid.as_raw(), home: user.dir })),
        Err(errno) => Err(Errno::from_raw_os_error(errno as i32)),
    }
}

/// What getent(1) says: exit code 2 where nobody has the key.
fn asked(uid: Uid) -> Result<Option<Known>, Errno> {
    let mut getent = Command::new("getent");
    getent.args(["passwd", &uid.to_string()]).env("LC_ALL", "C");
    match child::run(&mut getent, PATIENCE) {
        Ok(ended) if ended.end == End::Code(2) => Ok(None),
        Ok(ended) if ended.end == End::Code(0) => line(uid, &ended.out).map(Some).ok_or(Errno::IO),
        Ok(ended) if ended.end == End::GivenUp => Err(Errno::TIMEDOUT),
        // A system without name services has neither program.
        Err(_) if !Path::new("/etc/nsswitch.conf").exists() => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Errno::NOPKG),
        Ok(_) | Err(_) => Err(Errno::IO),
    }
}

/// A line of passwd(5).
fn line(uid: Uid, said: &[u8]) -> Option<Known> {
    let said = std::str::from_utf8(said).ok()?;
    let fields: Vec<_> = said.lines().next()?.split(':').collect();
    let [name, _, number, gid, _, home, _] = fields[..] else { return None };
    (number.parse() == Ok(uid)).then_some(())?;
    Some(Known { name: name.to_owned(), gid: gid.parse().ok()?, home: home.into() })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    #[test]
    fn getent_knows_who_the_library_knows() {
        let root = asked(Uid::ROOT).unwrap();
        assert_eq!(root.as_ref().map(|root| root.name.as_str()), Some("root"));
        assert_eq!(root, user(Uid::ROOT).unwrap());
        assert_eq!(asked(Uid::new(4_000_000_000)).unwrap(), None);
    }

    #[test]
    fn a_line_is_of_the_uid_that_was_asked_for_and_whole() {
        let of = |text: &str| line(Uid::new(1000), text.as_bytes());
        let known = of("ann:x:1000:100:Ann,,,:/home/ann:/bin/sh\n").unwrap();
        assert_eq!((known.name.as_str(), known.gid, known.home), ("ann", 100, "/home/ann".into()));
        // An account whose name is a number is found by its name.
        for wrong in ["1000:x:7:7::/home/seven:/bin/sh\n", "ann:x:1000:100:Ann:/home/ann", ""] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
