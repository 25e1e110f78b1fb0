//! What is said of a verdict.

use super::{Anchor, Blindness, Reason, State};
use crate::kernel::file_system;
use crate::kernel::lack::is_lack;
use crate::kernel::text::{errno_text, kind_name, unread};
use rustix::io::Errno;
use std::fmt::{self, Display, Formatter};

impl State {
    /// The word for it, in JSON and for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Starting => "starting",
            Self::Dead => "dead",
            Self::Ghost => "ghost",
            Self::Foreign => "foreign",
            Self::Unknown => "unknown",
            Self::NotASocket => "not-a-socket",
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening => f.write_str("a server listens on it, according to the kernel's socket table"),
            Self::ListeningElsewhere => f.write_str(
                "a server in another network namespace listens on it, according to the socket table there",
            ),
            Self::Answers => f.write_str(
                "not in this network namespace's socket table, but it accepts connections: a server in another namespace",
            ),
            Self::BacklogFull => f.write_str(
                "not in this network namespace's socket table, but its backlog is full: a server that is stopped or very busy",
            ),
            Self::LockHeld => f.write_str("its start lock is held: a server is being started on it"),
            Self::NobodyListens => f.write_str(
                "no listener: the kernel's socket table does not list it, connections are refused, no start is under way",
            ),
            Self::OtherUser(uid) => write!(f, "it belongs to uid {uid}"),
            Self::FileSystem(magic) => match file_system::name(*magic) {
                Some(name) => write!(f, "it lies on {name}, where a server of another machine may listen"),
                None => write!(
                    f,
                    "it lies on a file system that is not known to be local (statfs type {magic:#x}), where a server of another machine may listen"
                ),
            },
            Self::BoundOnly => f.write_str("a process has bound it and does not listen, or not yet"),
            Self::Twin => f.write_str(
                "a socket with its inode number is bound on another file system, and from here nothing tells whether it is this one",
            ),
            Self::Datagram => f.write_str("a process has bound it as a datagram socket: it is not tmux's, and in use"),
            Self::Blind(why) => write!(f, "the kernel's socket table cannot be trusted here: {why}"),
            Self::ConnectSaysNothing(errno) => {
                write!(f, "a connection attempt failed in a way that proves nothing: {}", errno_text(*errno))
            }
            Self::Unreadable(errno) => write!(f, "it cannot be looked at: {}", errno_text(*errno)),
            Self::NotASocket(kind) => write!(f, "it is {}", kind_name(*kind)),
            Self::Quarantine => f.write_str("quarantine"),
            Self::OrphanedLock => f.write_str("orphaned lock"),
            Self::KeptLabel => f.write_str("no listener; kept: its label is in the configuration's keep"),
            Self::TooYoung => f.write_str("no listener; kept: it is younger than the configuration's min-age"),
            Self::Ghost(plight) => plight.fmt(f),
            Self::NotReached => f.write_str("the run came to its end before its turn; the next sweep looks at it"),
            Self::NoSuchSocket => f.write_str("no such socket"),
        }
    }
}

impl Display for Blindness {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::TableUnreadable(errno) if is_lack(*errno) => {
                write!(f, "it, or what it is checked with, cannot be opened: {}", unread(*errno))
            }
            Self::TableUnreadable(errno) => write!(
                f,
                "no netlink socket can be had ({}); a unit's RestrictAddressFamilies= must allow AF_NETLINK and AF_UNIX",
                errno_text(*errno)
            ),
            Self::TableRefused(errno) => write!(
                f,
                "the kernel does not give it out ({}); load its unix_diag module, or build the kernel with CONFIG_UNIX_DIAG",
                errno_text(*errno)
            ),
            Self::TableTorn => f.write_str("it changed each time while it was read"),
            Self::CanaryMissing => f.write_str("it does not list a socket that this process has just made"),
            Self::ServersMissing(pid) => write!(
                f,
                "it shows none of the tmux servers that run (pid {pid} is one); this looks like another network namespace (PrivateNetwork= in a unit, a container)"
            ),
            Self::OtherNetwork(manager) => write!(
                f,
                "this process is in another network namespace than {}; take PrivateNetwork= or NetworkNamespacePath= out of the unit, or run outside the container",
                match manager {
                    Anchor::User => "the user's service manager",
                    Anchor::Init => "process 1",
                }
            ),
            Self::FromOutside => f.write_str(
                "the directory came from outside of this container, and nothing tells whether this is the network namespace of who uses it there; run it where the servers run",
            ),
            Self::ManagerHidden => f.write_str(
                "the user has a service manager that /proc does not show here, so nothing tells whether this is its network namespace; take PrivatePIDs= and ProtectProc= out of the unit, or run outside the container",
            ),
        }
    }
}

impl Blindness {
    /// What was lacking to ask for the table, if that is all.
    pub fn lack(self) -> Option<Errno> {
        match self {
            Self::TableUnreadable(errno) => Some(errno).filter(|errno| is_lack(*errno)),
            _ => None,
        }
    }
}

impl Reason {
    /// Whether it is that the table must not be believed.
    pub fn is_blindness(&self) -> bool {
        matches!(self, Self::Blind(_))
    }
}
