//! The wire format of `NETLINK_SOCK_DIAG` for unix sockets (linux/netlink.h, `linux/unix_diag.h`).
//!
//! Pure: bytes in, values out. Hostile or torn input gives [`Malformed`], never a panic.

use super::id::{SocketNumber, Uid};
/// `nlmsg_type` of a question and an answer of `sock_diag(7)`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const AF_UNIX: u8 = 1;
const UDIAG_SHOW_NAME: u32 = 0x1;
const UDIAG_SHOW_VFS: u32 = 0x2;
const UDIAG_SHOW_PEER: u32 = 0x4;
/// Since Linux 5.3; an older kernel leaves it out.
const UDIAG_SHOW_UID: u32 = 0x40;
const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_VFS: u16 = 1;
const UNIX_DIAG_PEER: u16 = 2;
const UNIX_DIAG_UID: u16 = 7;
/// States of a unix socket, named after TCP's (unix(7), `net/tcp_states.h`).
const TCP_ESTABLISHED: u8 = 1;
const TCP_CLOSE: u8 = 7;
const TCP_LISTEN: u8 = 10;

const SOCK_DGRAM: u8 = 2;

const HEADER: usize = 16;
const MESSAGE: usize = 16;

/// What a bound socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// listen(2) was called: somebody serves it.
    Listening,
    /// Bound, a connection type, but nobody listens (yet).
    Bound,
    /// A datagram socket.
    Datagram,
}

/// One socket of the kernel's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DumpedSocket<'a> {
    /// The socket's own number: what `/proc/PID/fd` shows as `socket:[N]`.
    pub socket: SocketNumber,
    /// What it is for.
    pub role: Role,
    /// The file it is bound to: inode (32 bits) and device as the kernel writes it.
    pub file: Option<(u32, u32)>,
    /// Who made it, where the kernel tells.
    pub owner: Option<Uid>,
    /// The number of the socket at the other end, where that was asked for.
    pub peer: Option<SocketNumber>,
    /// The path it was bound under; empty if it has none, first byte NUL if abstract.
    pub name: &'a [u8],
}

/// One message of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetlinkMessage<'a> {
    /// A socket.
    Socket(DumpedSocket<'a>),
    /// The dump is complete.
    Done,
    /// The kernel refused: an errno.
    Error(i32),
    /// The table changed so much that the dump says nothing; ask again.
    Interrupted,
}

/// The bytes are no netlink messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the kernel's answer is malformed")]
pub struct Malformed;

/// A request for every bound or listening unix socket with its name and file.
///
/// Connected ends are left out: they bear their listener's name after it has gone.
pub fn request(sequence: u32) -> [u8; 40] {
    question(sequence, &[TCP_CLOSE, TCP_LISTEN], UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_UID)
}

/// A request for every connected end with its file, which is its listener's, and the other end.
pub fn request_connected(sequence: u32) -> [u8; 40] {
    question(sequence, &[TCP_ESTABLISHED], UDIAG_SHOW_VFS | UDIAG_SHOW_PEER)
}

fn question(sequence: u32, states: &[u8], show: u32) -> [u8; 40] {
    let mut bytes = [0; 40];
    let mut at = 0;
    let mut put = |value: &[u8]| {
        bytes[at..at + value.len()].copy_from_slice(value);
        at += value.len();
    };
    put(&40_u32.to_ne_bytes());
    put(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    put(&sequence.to_ne_bytes());
    put(&0_u32.to_ne_bytes());
    put(&[AF_UNIX, 0, 0, 0]);
    put(&states.iter().fold(0_u32, |mask, state| mask | (1 << state)).to_ne_bytes());
    put(&0_u32.to_ne_bytes());
    put(&show.to_ne_bytes());
    put(&u32::MAX.to_ne_bytes());
    put(&u32::MAX.to_ne_bytes());
    bytes
}

/// The messages in one datagram that answer `sequence`.
pub fn messages(
    datagram: &[u8],
    sequence: u32,
) -> impl Iterator<Item = Result<NetlinkMessage<'_>, Malformed>> {
    let mut rest = datagram;
    let mut done = None;
    std::iter::from_fn(move || {
        loop {
            if let Some(end) = done.take() {
                return Some(Ok(end));
            }
            if rest.is_empty() {
                return None;
            }
            let taken = take_message(rest);
            let Ok((header, body, next)) = taken else {
                rest = &[];
                return Some(Err(Malformed));
            };
            rest = next;
            if header.sequence != sequence {
                continue;
            }
            if header.flags & NLM_F_DUMP_INTR != 0 {
                // Where the last message says it, it is the last all the same: nothing more would come.
                done = (header.kind == NLMSG_DONE).then_some(NetlinkMessage::Done);
                return Some(Ok(NetlinkMessage::Interrupted));
            }
            return Some(match header.kind {
                NLMSG_DONE => Ok(NetlinkMessage::Done),
                NLMSG_ERROR => i32_at(body, 0).map(|code| NetlinkMessage::Error(code.saturating_neg())),
                SOCK_DIAG_BY_FAMILY => row(body).map(NetlinkMessage::Socket),
                _ => continue,
            });
        }
    })
}

struct Header {
    kind: u16,
    flags: u16,
    sequence: u32,
}

fn take_message(bytes: &[u8]) -> Result<(Header, &[u8], &[u8]), Malformed> {
    let length = u32_at(bytes, 0)? as usize;
    if length < HEADER || length > bytes.len() {
        return Err(Malformed);
    }
    let header = Header { kind: u16_at(bytes, 4)?, flags: u16_at(bytes, 6)?, sequence: u32_at(bytes, 8)? };
    let next = align(length).min(bytes.len());
    Ok((header, &bytes[HEADER..length], &bytes[next..]))
}

fn row(body: &[u8]) -> Result<DumpedSocket<'_>, Malformed> {
    if body.len() < MESSAGE || body[0] != AF_UNIX {
        return Err(Malformed);
    }
    let (kind, state) = (body[1], body[2]);
    let role = match (kind, state) {
        (_, TCP_LISTEN) => Role::Listening,
        (SOCK_DGRAM, _) => Role::Datagram,
        _ => Role::Bound,
    };
    let mut row = DumpedSocket {
        socket: SocketNumber::new(u32_at(body, 4)?),
        role,
        file: None,
        owner: None,
        peer: None,
        name: &[],
    };
    let mut rest = &body[MESSAGE..];
    while rest.len() >= 4 {
        let length = usize::from(u16_at(rest, 0)?);
        if length < 4 || length > rest.len() {
            return Err(Malformed);
        }
        let value = &rest[4..length];
        match u16_at(rest, 2)? & 0x3fff {
            UNIX_DIAG_NAME => row.name = trimmed(value),
            UNIX_DIAG_UID => row.owner = Some(Uid::new(u32_at(value, 0)?)),
            UNIX_DIAG_PEER => row.peer = Some(SocketNumber::new(u32_at(value, 0)?)),
            UNIX_DIAG_VFS => row.file = Some((u32_at(value, 0)?, u32_at(value, 4)?)),
            _ => {}
        }
        rest = &rest[align(length).min(rest.len())..];
    }
    Ok(row)
}

/// A path's name may carry the NUL that bind(2) was given; an abstract one starts with it.
fn trimmed(name: &[u8]) -> &[u8] {
    match name {
        [0, ..] => name,
        _ => name.split(|byte| *byte == 0).next().unwrap_or_default(),
    }
}

fn align(length: usize) -> usize {
    length.div_ceil(4) * 4
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    bytes.get(at..).and_then(|tail| tail.first_chunk::<N>()).copied().ok_or(Malformed)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    array_at(bytes, at).map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    array_at(bytes, at).map(u32::from_ne_bytes)
}

fn i32_at(bytes: &[u8], at: usize) -> Result<i32, Malformed> {
    array_at(bytes, at).map(i32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOCK_STREAM: u8 = 1;

    fn message(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&0_u16.to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&0_u32.to_ne_bytes());
        bytes.extend_from_slice(body);
        bytes.resize(align(bytes.len()), 0);
        bytes
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(align(bytes.len()), 0);
        bytes
    }

    #[test]
    fn a_listener_is_read_with_name_and_file() {
        let mut body = vec![AF_UNIX, SOCK_STREAM, TCP_LISTEN, 0];
        body.extend_from_slice(&77_u32.to_ne_bytes());
        body.extend_from_slice(&[0; 8]);
        body.extend(attribute(UNIX_DIAG_NAME, b"/tmp/a\nb\0"));
        body.extend(attribute(UNIX_DIAG_VFS, &[5_u32.to_ne_bytes(), 9_u32.to_ne_bytes()].concat()));
        let mut bytes = message(SOCK_DIAG_BY_FAMILY, 3, &body);
        bytes.extend(message(SOCK_DIAG_BY_FAMILY, 2, &body));
        bytes.extend(message(NLMSG_ERROR, 3, &(-2_i32).to_ne_bytes()));
        bytes.extend(message(NLMSG_DONE, 3, &[0; 4]));
        let row = DumpedSocket {
            socket: SocketNumber::new(77),
            role: Role::Listening,
            file: Some((5, 9)),
            owner: None,
            peer: None,
            name: b"/tmp/a\nb",
        };
        assert_eq!(
            messages(&bytes, 3).collect::<Vec<_>>(),
            [Ok(NetlinkMessage::Socket(row)), Ok(NetlinkMessage::Error(2)), Ok(NetlinkMessage::Done)]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = messages(&bytes, 0).count();
        }

        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = messages(&message(SOCK_DIAG_BY_FAMILY, 1, &body), 1).count();
        }
    }
}
