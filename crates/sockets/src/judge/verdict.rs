//! The judgement: from what the witnesses said to a verdict. Pure; the heart of the program.
//!
//! Unknown is alive. *Dead* needs every witness: a socket of ours on a local file system, absent
//! from a table that sees, refused by connect(2), and its start lock not held by anybody else.

use super::Plight;
use crate::kernel::Pid;
use crate::kernel::Role;
use crate::kernel::file_system::FileSystem;
use crate::kernel::{SocketNumber, Uid};
use rustix::fs::FileType;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// What a directory entry is. See the words in the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum State {
    /// A server listens behind it: accepting, busy, without sessions or stopped.
    Live,
    /// Somebody holds its start lock at this moment.
    Starting,
    /// Proven by every witness: nobody listens, nobody will.
    Dead,
    /// A live server that cannot be reached at its path any more.
    Ghost,
    /// Not ours to judge.
    Foreign,
    /// A witness could not be heard or contradicts: always kept.
    Unknown,
    /// Anything else: never touched.
    NotASocket,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Live, Self::Starting, Self::Dead, Self::Ghost, Self::Foreign, Self::Unknown, Self::NotASocket];
}

/// Why the kernel's table must not be believed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Blindness {
    /// It could not be asked: the errno of socket(2), send(2) or recv(2) on netlink.
    TableUnreadable(#[serde(with = "crate::kernel::as_data::errno")] Errno),
    /// The kernel refused the dump: its errno (`ENOENT`: no `unix_diag` in this kernel).
    TableRefused(#[serde(with = "crate::kernel::as_data::errno")] Errno),
    /// Its answers were torn each time.
    TableTorn,
    /// It does not show a socket of our own.
    CanaryMissing,
    /// It shows none of the tmux servers that `/proc` shows: the pid of one.
    ServersMissing(Pid),
    /// We are in another network namespace than our service manager.
    OtherNetwork(Anchor),
    /// The directory came from outside of a container, and nothing tells whether our network namespace is that of
    /// whoever uses it there.
    FromOutside,
    /// The user has a service manager, and nothing tells from here whether our network namespace is its.
    ManagerHidden,
}

/// Whose network namespace ours is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Anchor {
    /// The user's service manager (`systemd --user`).
    User,
    /// Process 1.
    Init,
}

/// What the kernel's table says of one inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableSays {
    /// It is listed.
    Listed {
        /// For what.
        role: Role,
        /// The socket's number, by which its owner is found.
        socket: SocketNumber,
    },
    /// A socket with its inode number is listed, and whether it is this one cannot be told.
    Twin,
    /// It is not listed, and the table of another network namespace lists it.
    Elsewhere {
        /// For what.
        role: Role,
        /// The server that is bound to it.
        pid: Pid,
    },
    /// It is not listed, in a table that sees.
    Absent,
    /// It is not listed, in a table that may be blind.
    Blind(Blindness),
}

impl TableSays {
    /// The number of the socket that listens there, where this network namespace's table shows one.
    pub fn listening_socket(self) -> Option<SocketNumber> {
        match self {
            Self::Listed { role: Role::Listening, socket } => Some(socket),
            Self::Listed { role: Role::Bound | Role::Datagram, .. }
            | Self::Elsewhere { .. }
            | Self::Twin
            | Self::Absent
            | Self::Blind(_) => None,
        }
    }

    /// The pid of the server that listens there in another network namespace.
    pub fn listener_elsewhere(self) -> Option<Pid> {
        match self {
            Self::Elsewhere { role: Role::Listening, pid } => Some(pid),
            Self::Elsewhere { role: Role::Bound | Role::Datagram, .. }
            | Self::Listed { .. }
            | Self::Twin
            | Self::Absent
            | Self::Blind(_) => None,
        }
    }
}

/// What connect(2) said of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectSays {
    /// `ECONNREFUSED`: nobody listens on this inode in this kernel.
    Refused,
    /// Somebody accepts.
    Accepted,
    /// `EAGAIN`: somebody listens and the backlog is full, as with a stopped server.
    BacklogFull,
    /// Anything else says nothing.
    Other(Errno),
}

/// What is known of the start lock `NAME.lock`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockSays {
    /// Nobody is seen to hold it.
    Free,
    /// Somebody holds it.
    Held,
    /// We hold it.
    Ours,
}

/// Everything that a verdict rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The entry's type.
    pub kind: FileType,
    /// Its owner.
    pub owner: Uid,
    /// The user we judge for.
    pub user: Uid,
    /// Where it lies.
    pub file_system: FileSystem,
    /// The kernel's table.
    pub table: TableSays,
    /// What connect(2) said; `None` while nobody was asked.
    pub answer: Option<ConnectSays>,
    /// The start lock.
    pub lock: LockSays,
}

/// Why the verdict is what it is. Its sentence: [`std::fmt::Display`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The table shows a listener on this inode.
    Listening,
    /// Not in the table, but in that of another network namespace.
    ListeningElsewhere,
    /// Not in the table, but somebody accepts connections: a server in another network namespace.
    Answers,
    /// Not in the table, but its backlog is full.
    BacklogFull,
    /// The start lock is held.
    LockHeld,
    /// Absent, refused, lock free: nobody listens and nobody will.
    NobodyListens,
    /// Belongs to another user.
    OtherUser(Uid),
    /// Lies on a network, shared or unknown file system: its magic number.
    FileSystem(u64),
    /// Bound, but nobody listens (yet).
    BoundOnly,
    /// A socket with its inode number is bound, and whether it is this one cannot be told.
    Twin,
    /// A datagram socket: no tmux, but somebody has it.
    Datagram,
    /// The table must not be believed.
    Blind(Blindness),
    /// connect(2) failed in a way that says nothing.
    ConnectSaysNothing(#[serde(with = "crate::kernel::as_data::errno")] Errno),
    /// The entry could not be looked at.
    Unreadable(#[serde(with = "crate::kernel::as_data::errno")] Errno),
    /// Not of type socket.
    NotASocket(#[serde(with = "crate::kernel::as_data::file_type")] FileType),
    /// A name of our own quarantine, left by a run that was killed.
    Quarantine,
    /// An empty start lock that nobody holds, without a socket beside it.
    OrphanedLock,
    /// Dead, and kept because `keep` names its label.
    KeptLabel,
    /// Dead, and kept because it is younger than `min-age`.
    TooYoung,
    /// A live server without a socket.
    Ghost(Plight),
    /// Not looked at: the run was ended before.
    NotReached,
    /// No such entry.
    NoSuchSocket,
}

/// A state and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What it is.
    pub state: State,
    /// Why.
    pub reason: Reason,
}

impl Verdict {
    /// A verdict of two parts.
    pub fn new(state: State, reason: Reason) -> Self {
        Self { state, reason }
    }
}

/// Where a judgement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Every witness that is needed was heard.
    Settled(Verdict),
    /// One more is needed: connect(2). Never wanted for what the table lists.
    AskConnect,
}

/// Judges. The only place in the program where a socket is called dead.
pub fn judge(facts: &Facts) -> Judgement {
    let (state, reason) = match (facts.kind, facts.file_system, facts.table) {
        (kind, _, _) if kind != FileType::Socket => (State::NotASocket, Reason::NotASocket(kind)),
        _ if facts.owner != facts.user => (State::Foreign, Reason::OtherUser(facts.owner)),
        // Life is proven on any file system, death only on a local one.
        (_, _, TableSays::Listed { role: Role::Listening, .. }) => (State::Live, Reason::Listening),
        (_, _, TableSays::Elsewhere { role: Role::Listening, .. }) => {
            (State::Live, Reason::ListeningElsewhere)
        }
        (_, FileSystem::Other(magic), _) => (State::Foreign, Reason::FileSystem(magic)),
        (
            _,
            _,
            TableSays::Listed { role: Role::Bound, .. } | TableSays::Elsewhere { role: Role::Bound, .. },
        ) => (State::Unknown, Reason::BoundOnly),
        (
            _,
            _,
            TableSays::Listed { role: Role::Datagram, .. }
            | TableSays::Elsewhere { role: Role::Datagram, .. },
        ) => (State::Unknown, Reason::Datagram),
        (_, _, TableSays::Twin) => (State::Unknown, Reason::Twin),
        (_, _, TableSays::Blind(why)) => (State::Unknown, Reason::Blind(why)),
        (_, _, TableSays::Absent) => match (facts.answer, facts.lock) {
            (None, _) => return Judgement::AskConnect,
            (Some(ConnectSays::Accepted), _) => (State::Live, Reason::Answers),
            (Some(ConnectSays::BacklogFull), _) => (State::Live, Reason::BacklogFull),
            (Some(ConnectSays::Other(errno)), _) => (State::Unknown, Reason::ConnectSaysNothing(errno)),
            (Some(ConnectSays::Refused), LockSays::Held) => (State::Starting, Reason::LockHeld),
            (Some(ConnectSays::Refused), LockSays::Free | LockSays::Ours) => {
                (State::Dead, Reason::NobodyListens)
            }
        },
    };
    Judgement::Settled(Verdict { state, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD: Facts = Facts {
        kind: FileType::Socket,
        owner: Uid::new(1000),
        user: Uid::new(1000),
        file_system: FileSystem::Local { stacked: false },
        table: TableSays::Absent,
        answer: Some(ConnectSays::Refused),
        lock: LockSays::Ours,
    };

    fn state(facts: &Facts) -> Option<State> {
        match judge(facts) {
            Judgement::Settled(verdict) => Some(verdict.state),
            Judgement::AskConnect => None,
        }
    }

    fn listed(role: Role) -> TableSays {
        TableSays::Listed { role, socket: SocketNumber::new(1) }
    }

    fn elsewhere(role: Role) -> TableSays {
        TableSays::Elsewhere { role, pid: Pid::new(1) }
    }

    #[test]
    fn every_single_witness_can_save_a_socket() {
        assert_eq!(state(&DEAD), Some(State::Dead));
        assert_eq!(state(&Facts { lock: LockSays::Free, ..DEAD }), Some(State::Dead));
        let saved = [
            (Facts { kind: FileType::RegularFile, ..DEAD }, State::NotASocket),
            (Facts { owner: Uid::ROOT, ..DEAD }, State::Foreign),
            (Facts { file_system: FileSystem::Other(0x6969), ..DEAD }, State::Foreign),
            (
                Facts { file_system: FileSystem::Other(0x6969), table: listed(Role::Bound), ..DEAD },
                State::Foreign,
            ),
            (
                Facts { file_system: FileSystem::Other(0x6969), table: listed(Role::Listening), ..DEAD },
                State::Live,
            ),
            (Facts { table: TableSays::Twin, ..DEAD }, State::Unknown),
            (Facts { table: elsewhere(Role::Listening), ..DEAD }, State::Live),
            (Facts { table: elsewhere(Role::Bound), ..DEAD }, State::Unknown),
            (Facts { table: elsewhere(Role::Datagram), ..DEAD }, State::Unknown),
            (Facts { table: listed(Role::Listening), ..DEAD }, State::Live),
            (Facts { table: listed(Role::Bound), ..DEAD }, State::Unknown),
            (Facts { table: listed(Role::Datagram), ..DEAD }, State::Unknown),
            (Facts { table: TableSays::Blind(Blindness::CanaryMissing), ..DEAD }, State::Unknown),
            (Facts { answer: Some(ConnectSays::Accepted), ..DEAD }, State::Live),
            (Facts { answer: Some(ConnectSays::BacklogFull), ..DEAD }, State::Live),
            (Facts { answer: Some(ConnectSays::Other(Errno::ACCESS)), ..DEAD }, State::Unknown),
            (Facts { lock: LockSays::Held, ..DEAD }, State::Starting),
        ];
        for (facts, expected) in saved {
            assert_eq!(state(&facts), Some(expected), "{facts:?}");
        }
    }

    #[test]
    fn what_is_listed_foreign_or_seen_blindly_is_never_connected_to() {
        let unasked = Facts { answer: None, ..DEAD };
        assert_eq!(judge(&unasked), Judgement::AskConnect);
        for facts in [
            Facts { table: listed(Role::Listening), ..unasked },
            Facts { table: listed(Role::Bound), ..unasked },
            Facts { table: listed(Role::Datagram), ..unasked },
            Facts { table: TableSays::Twin, ..unasked },
            Facts { table: elsewhere(Role::Listening), ..unasked },
            Facts { table: elsewhere(Role::Bound), ..unasked },
            Facts { table: TableSays::Blind(Blindness::TableTorn), ..unasked },
            Facts { owner: Uid::ROOT, ..unasked },
            Facts { kind: FileType::Fifo, ..unasked },
            Facts { file_system: FileSystem::Other(1), ..unasked },
        ] {
            assert!(matches!(judge(&facts), Judgement::Settled(_)), "{facts:?}");
        }
    }
}
