//! Servers in other network namespaces: which of them speak for or against our table, and what they are bound to.
//!
//! A tmux in a container is not in our table and cannot be: it proves nothing against it where our own namespace is proven to be
//! the outer one. But it may be bound in a folder that we share. `/proc/PID/net/unix` lists what is bound in its namespace, by
//! path: enough to know it alive without a connection, never enough to know it dead.

use crate::judge::{Anchor, Blindness};
use crate::kernel::Pid;
use crate::kernel::{FileFacts, FileId, Role};
use crate::kernel::{Network, Process, Processes, UserManager, is_in_first_network};
use crate::kernel::{SocketNumber, Uid};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `__SO_ACCEPTCON` (linux/net.h), set in the flags of a socket that listens.
const LISTENS: u32 = 0x1_0000;
/// `SOCK_DGRAM` (socket(2)).
const DATAGRAM: u32 = 2;

/// How our own network namespace stands to that of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standpoint {
    /// It is that of the user's manager, or the machine's first: who is in another one lives further in.
    Outer,
    /// It is that of process 1, which may be a container's: outside of that another one may lie.
    OuterHere,
    /// Nobody can be asked.
    Unproven,
    /// It is another one than it should be, or who could tell cannot be heard.
    Blind(Blindness),
}

/// Compares our network namespace with the user manager's, or where there is none with that of process 1.
pub(super) fn standpoint(processes: &Processes, user: Uid, own: &Network) -> Standpoint {
    let ask = |process: Option<Process>| process.and_then(|process| own.is(&process.network()));
    let manager = processes.find_user_manager(user);
    let is_managed = !matches!(manager, UserManager::Absent);
    let of_manager = match manager {
        UserManager::Seen(process) => ask(Some(process)),
        UserManager::Absent | UserManager::Hidden => None,
    };
    // Process 1 may be that of our own process namespace: where a manager is hidden it is not asked.
    let of_init = if is_managed { None } else { ask(processes.by_pid(Pid::new(1))) };
    decide(is_managed, of_manager, of_init, is_in_first_network())
}

/// The same of what was found: whether there is a manager, and whether our namespace is its, that of process 1, and
/// the machine's first.
fn decide(is_managed: bool, of_manager: Option<bool>, of_init: Option<bool>, is_first: bool) -> Standpoint {
    match (is_managed, of_manager, of_init, is_first) {
        (true, Some(true), _, _) | (true, None, _, true) | (false, _, Some(true) | None, true) => {
            Standpoint::Outer
        }
        (false, _, Some(true), false) => Standpoint::OuterHere,
        (true, Some(false), _, _) => Standpoint::Blind(Blindness::OtherNetwork(Anchor::User)),
        (false, _, Some(false), _) => Standpoint::Blind(Blindness::OtherNetwork(Anchor::Init)),
        (true, None, _, false) => Standpoint::Blind(Blindness::ManagerHidden),
        (false, _, None, false) => Standpoint::Unproven,
    }
}

/// A file that a server of another network namespace is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BoundElsewhere {
    pub(super) file: FileId,
    pub(super) role: Role,
    pub(super) pid: Pid,
}

/// What a server, which holds these `sockets` and is in another network namespace, is bound to.
pub(super) fn bound_by(server: &Process, sockets: &[SocketNumber]) -> Vec<BoundElsewhere> {
    let (Some(text), Some(root), Some(mounts)) = (server.unix_sockets(), server.root(), server.mounts())
    else {
        return Vec::new();
    };
    // A name is whatever the server was told, and what it leads to may not answer: no link is followed, and no
    // mount entered that may have to be waited for.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let bound = rows(&text).filter(|row| sockets.contains(&row.socket) && mounts.is_near(row.name));
    bound
        .filter_map(|row| {
            let file = rustix::fs::openat2(&root, row.name, flags, Mode::empty(), resolve).ok()?;
            let facts = FileFacts::of(file.as_fd()).ok().filter(FileFacts::is_socket)?;
            Some(BoundElsewhere { file: facts.id, role: row.role, pid: server.pid })
        })
        .collect()
}

/// One line of `/proc/PID/net/unix`.
#[derive(Debug, PartialEq, Eq)]
struct UnixLine<'a> {
    socket: SocketNumber,
    role: Role,
    name: &'a Path,
}

/// The sockets that are bound to a full path. A name can hold a line break and so forge whole lines: whoever reads one
/// takes it only for a socket that the asked server holds, and only as a sign of life.
fn rows(text: &[u8]) -> impl Iterator<Item = UnixLine<'_>> {
    text.split(|byte| *byte == b'\n').filter_map(row)
}

/// `NUM: REFCOUNT PROTOCOL FLAGS TYPE STATE INODE NAME` (`proc_pid_net(5)`); blanks before INODE vary.
fn row(line: &[u8]) -> Option<UnixLine<'_>> {
    let mut rest = line;
    let mut fields = [&[][..]; 7];
    for field in &mut fields {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|byte| *byte == b' ')?;
        (*field, rest) = rest.split_at(end);
    }
    let text = |field| std::str::from_utf8(field).ok();
    let hex = |field| u32::from_str_radix(text(field)?, 16).ok();
    let [_, _, _, flags, kind, _, socket] = fields;
    let role = match (hex(flags)? & LISTENS != 0, hex(kind)?) {
        (_, DATAGRAM) => Role::Datagram,
        (true, _) => Role::Listening,
        (false, _) => Role::Bound,
    };
    let name = Path::new(OsStr::from_bytes(rest.strip_prefix(b" ")?));
    name.is_absolute().then_some(UnixLine { socket: text(socket)?.parse().ok()?, role, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_manager_is_it_decides_and_where_it_is_not_heard_nothing_is_believed() {
        let blind = |why| Standpoint::Blind(why);
        let hidden = blind(Blindness::ManagerHidden);
        let [by_user, by_init] = [Anchor::User, Anchor::Init].map(|of| blind(Blindness::OtherNetwork(of)));
        for (managed, of_manager, of_init, first, expected) in [
            (true, Some(true), None, false, Standpoint::Outer),
            (true, Some(true), None, true, Standpoint::Outer),
            // In the machine's first namespace the manager may be further in.
            (true, Some(false), None, true, by_user),
            (true, Some(false), Some(true), false, by_user),
            (true, None, None, false, hidden),
            // Process 1 of a unit with PrivatePIDs= is the unit's own.
            (true, None, Some(true), false, hidden),
            (true, None, None, true, Standpoint::Outer),
            (false, None, Some(true), false, Standpoint::OuterHere),
            (false, None, Some(true), true, Standpoint::Outer),
            (false, None, Some(false), true, by_init),
            (false, None, Some(false), false, by_init),
            (false, None, None, true, Standpoint::Outer),
            (false, None, None, false, Standpoint::Unproven),
        ] {
            let decided = decide(managed, of_manager, of_init, first);
            assert_eq!(decided, expected, "{managed} {of_manager:?} {of_init:?} {first}");
        }
    }

    #[test]
    fn lines_are_read_as_the_kernel_writes_them() {
        let line = |text: &'static str| row(text.as_bytes());
        let expected =
            |role, name| Some(UnixLine { socket: SocketNumber::new(77), role, name: Path::new(name) });
        let listens = "0000000000000000: 00000002 00000000 00010000 0001 01    77 /a b/c";
        assert_eq!(line(listens), expected(Role::Listening, "/a b/c"));
        let bound = "0000000000000000: 00000002 00000000 00000000 0001 01 77 /x";
        assert_eq!(line(bound), expected(Role::Bound, "/x"));
        let datagram = "0000000000000000: 00000002 00000000 00000000 0002 01 77 /x";
        assert_eq!(line(datagram), expected(Role::Datagram, "/x"));
        for other in ["", "Num RefCount Protocol Flags Type St Inode Path", &bound[..bound.len() - 3]] {
            assert_eq!(row(other.as_bytes()), None, "{other}");
        }
        assert_eq!(line("0000000000000000: 00000002 00000000 00000000 0001 01 77 @abstract"), None);
        assert_eq!(line("0000000000000000: 00000002 00000000 00000000 0001 01 77 relative"), None);
    }
}
