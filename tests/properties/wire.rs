//! The kernel's table of sockets: whatever the bytes, nothing that they do not say; what the kernel says is read.

use tmux_sockets::kernel::SocketNumber;
use tmux_sockets::kernel::{DumpedSocket, Malformed, NetlinkMessage, Role, Uid, messages};

/// The question that is answered. The corpus has it, too.
const ASKED: u32 = 1;

/// From linux/netlink.h, `linux/unix_diag.h`, `net/tcp_states.h`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_DONE: u16 = 3;
const NLM_F_DUMP_INTR: u8 = 0x10;
const TCP_LISTEN: u8 = 10;
const SOCK_DGRAM: u8 = 2;

pub fn check(bytes: &[u8]) {
    nothing_is_invented(bytes);
    a_torn_answer_is_the_same_up_to_the_tear(bytes);
    what_the_kernel_writes_is_read(bytes);
}

fn nothing_is_invented(bytes: &[u8]) {
    // A header is 16 bytes, a row 16 more; one message can say two things: interrupted, and done.
    let (mut rows, mut all) = (0, 0);
    for message in messages(bytes, ASKED) {
        all += 1;
        if let Ok(NetlinkMessage::Socket(row)) = message {
            rows += 1;
            let inside = bytes.as_ptr_range();
            let name = row.name.as_ptr_range();
            assert!(row.name.is_empty() || inside.start <= name.start && name.end <= inside.end);
            assert!(row.name.first() == Some(&0) || !row.name.contains(&0), "{row:?}");
        }
    }
    assert!(rows <= bytes.len() / 32, "{rows} rows in {} bytes", bytes.len());
    assert!(all <= bytes.len() / 16 * 2 + 1, "{all} messages in {} bytes", bytes.len());
}

fn a_torn_answer_is_the_same_up_to_the_tear(bytes: &[u8]) {
    let whole: Vec<_> = messages(bytes, ASKED).collect();
    let step = bytes.len() / 64 + 1;
    for cut in (0..bytes.len()).step_by(step) {
        let mut torn: Vec<_> = messages(&bytes[..cut], ASKED).collect();
        if !whole.starts_with(&torn) {
            assert_eq!(torn.pop(), Some(Err(Malformed)), "cut at {cut}");
            assert!(whole.starts_with(&torn), "cut at {cut}: {torn:?} of {whole:?}");
        }
    }
}

/// Takes the bytes for orders: what sockets there are.
fn what_the_kernel_writes_is_read(mut orders: &[u8]) {
    let names: Vec<Vec<u8>> = orders.chunks(9).map(name_of).collect();
    let (mut datagram, mut expected) = (Vec::new(), Vec::new());
    for name in &names {
        let order: [u8; 9] = std::array::from_fn(|at| orders.get(at).copied().unwrap_or_default());
        orders = orders.get(9..).unwrap_or_default();
        let kind = order[0] % 6;
        let state = if order[1] % 2 == 0 { TCP_LISTEN } else { order[1] };
        let word = |at: usize| u32::from(order[at]) << 24 | u32::from(order[at + 1]);
        let mut body = vec![1, kind, state, 0];
        body.extend(word(2).to_ne_bytes());
        body.extend([0xff; 8]);
        let file = (order[4] % 2 == 0).then(|| (word(3), word(5)));
        let owner = (order[4] % 3 == 0).then(|| word(6));
        // The flag for nested attributes, and kinds that we did not ask for.
        let nested = u16::from(order[5] % 2) << 15;
        let unasked = attribute(3 + u16::from(order[5] % 4), &order[..usize::from(order[6] % 9)]);
        let mut attributes = vec![unasked];
        if !name.is_empty() {
            // bind(2) was given a path's NUL, too; an abstract name has none.
            let given = if name[0] == 0 { name.clone() } else { [name, &b"\0"[..]].concat() };
            attributes.push(attribute(nested, &given));
        }
        attributes.extend(file.map(|(ino, dev)| attribute(1 | nested, &pair(ino, dev))));
        let peer = (order[4] % 5 == 0).then(|| word(1));
        attributes.extend(peer.map(|peer| attribute(2 | nested, &peer.to_ne_bytes())));
        attributes.extend(owner.map(|owner| attribute(7, &owner.to_ne_bytes())));
        let turn = usize::from(order[7]) % attributes.len();
        attributes.rotate_left(turn);
        body.extend(attributes.concat());
        let role = match (kind, state) {
            (_, TCP_LISTEN) => Role::Listening,
            (SOCK_DGRAM, _) => Role::Datagram,
            _ => Role::Bound,
        };
        if order[8] % 4 == 0 {
            // An answer to somebody's earlier question.
            datagram.extend(message(SOCK_DIAG_BY_FAMILY, ASKED - 1, &body));
        }
        datagram.extend(message(SOCK_DIAG_BY_FAMILY, ASKED, &body));
        expected.push(Ok(NetlinkMessage::Socket(DumpedSocket {
            socket: SocketNumber::new(word(2)),
            role,
            file,
            owner: owner.map(Uid::new),
            peer: peer.map(SocketNumber::new),
            name,
        })));
    }
    let mut end = message(NLMSG_DONE, ASKED, &[0; 4]);
    if names.len() % 2 == 1 {
        // The end is the end, also of a dump that must be asked for again.
        end[6] |= NLM_F_DUMP_INTR;
        expected.push(Ok(NetlinkMessage::Interrupted));
    }
    datagram.extend(end);
    expected.push(Ok(NetlinkMessage::Done));
    assert_eq!(messages(&datagram, ASKED).collect::<Vec<_>>(), expected);
}

/// A path without a NUL, or an abstract name.
fn name_of(order: &[u8]) -> Vec<u8> {
    let name = order[0] as usize % 4 * order.len() / 3;
    match order[..name] {
        [0, ..] => order[..name].to_vec(),
        _ => order[..name].iter().copied().filter(|byte| *byte != 0).collect(),
    }
}

fn pair(first: u32, second: u32) -> Vec<u8> {
    [first.to_ne_bytes(), second.to_ne_bytes()].concat()
}

fn message(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap_or_default();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(2_u16.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or_default();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
