//! The kernel's table of unix sockets: the witness that needs no connection.

use super::file::FileId;
use super::id::{SocketNumber, Uid};
use super::lack::heeded;
use super::sock_diag::{self, NetlinkMessage, Role};
use rustix::io::Errno;
use rustix::net::netlink::SOCK_DIAG;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How often a dump that the kernel calls inconsistent is asked for again.
const ATTEMPTS: u32 = 4;

/// One bound socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound<'a> {
    /// What `/proc/PID/fd` shows as `socket:[N]`.
    pub socket: SocketNumber,
    /// What it is for.
    pub role: Role,
    /// The inode number of its file, 32 bits of it.
    pub ino: u32,
    /// The device of its file as the kernel writes it.
    pub dev: u32,
    /// Who made it, where the kernel tells. A name can be anybody's; this cannot.
    pub owner: Option<Uid>,
    /// The path it was bound under, as bind(2) was told it.
    pub name: &'a Path,
}

impl Bound<'_> {
    /// Whether it may be `user`'s: nobody else but root has made it.
    pub fn may_be_of(&self, user: Uid) -> bool {
        self.owner.is_none_or(|owner| owner == user || owner == Uid::ROOT)
    }
}

#[derive(Debug, Clone, Copy)]
struct TableSocket {
    ino: u32,
    dev: u32,
    socket: SocketNumber,
    role: Role,
    owner: Option<Uid>,
    name: (u32, u16),
}

/// One dump of the table: the sockets that are bound to files, ordered by inode number.
#[derive(Debug, Default)]
pub struct KernelTable {
    rows: Vec<TableSocket>,
    names: Vec<u8>,
    canary_shown: bool,
}

/// Why the table could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableError {
    /// A system call on the netlink socket failed.
    Call(Errno),
    /// The kernel answered with an error.
    Refused(Errno),
    /// The answer was torn or changed under our hands each time.
    Unusable,
}

/// The way to the table: a netlink socket, and a canary that every dump must show.
#[derive(Debug)]
pub struct TableSource {
    netlink: OwnedFd,
    /// An unbound unix socket of our own: the table lists those too.
    _canary: OwnedFd,
    canary: SocketNumber,
    sequence: u32,
    buffer: Vec<u8>,
}

impl TableSource {
    /// Opens the way to the table of this network namespace.
    pub fn open() -> Result<Self, TableError> {
        let flags = SocketFlags::CLOEXEC;
        let netlink = heeded(rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            flags,
            Some(SOCK_DIAG),
        ))
        .map_err(TableError::Call)?;
        let canary = heeded(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None))
            .map_err(TableError::Call)?;
        let stat = rustix::fs::fstat(&canary).map_err(TableError::Call)?;
        #[expect(clippy::cast_possible_truncation, reason = "the table has 32 bits of it")]
        let number = SocketNumber::new(stat.st_ino as u32);
        Ok(Self { netlink, _canary: canary, canary: number, sequence: 0, buffer: vec![0; 32 * 1024] })
    }

    /// Takes a number for the canary's that no socket has, for tests of who must notice.
    #[cfg(test)]
    pub(crate) fn lose_canary(&mut self) {
        self.canary = SocketNumber::new(0);
    }

    /// Reads the table into `table`, whose memory is used again.
    pub fn read(&mut self, table: &mut KernelTable) -> Result<(), TableError> {
        for _ in 0..ATTEMPTS {
            table.clear();
            let canary = self.canary;
            let is_whole = self.dump(sock_diag::request, |row| {
                table.canary_shown |= row.socket == canary;
                table.add(row);
            })?;
            if is_whole {
                table.rows.sort_unstable_by_key(|row| row.ino);
                return Ok(());
            }
        }
        Err(TableError::Unusable)
    }

    /// The numbers of the sockets that are connected to a listener.
    pub fn connected_to(&mut self, listener: &Bound<'_>) -> Result<Vec<SocketNumber>, TableError> {
        for _ in 0..ATTEMPTS {
            let mut peers = Vec::new();
            let is_whole = self.dump(sock_diag::request_connected, |row| {
                if row.file == Some((listener.ino, listener.dev)) {
                    peers.extend(row.peer);
                }
            })?;
            if is_whole {
                return Ok(peers);
            }
        }
        Err(TableError::Unusable)
    }

    /// One dump; `false` if it was interrupted.
    fn dump(
        &mut self,
        request: fn(u32) -> [u8; 40],
        mut enter: impl FnMut(sock_diag::DumpedSocket<'_>),
    ) -> Result<bool, TableError> {
        self.sequence = self.sequence.wrapping_add(1);
        rustix::net::send(&self.netlink, &request(self.sequence), SendFlags::empty())
            .map_err(TableError::Call)?;
        let mut whole = true;
        loop {
            let (_, length) = loop {
                match rustix::net::recv(&self.netlink, &mut self.buffer, RecvFlags::TRUNC) {
                    Err(Errno::INTR) => {}
                    other => break other.map_err(TableError::Call)?,
                }
            };
            let datagram = self.buffer.get(..length).ok_or(TableError::Unusable)?;
            for message in sock_diag::messages(datagram, self.sequence) {
                match message.map_err(|_| TableError::Unusable)? {
                    NetlinkMessage::Socket(row) => enter(row),
                    NetlinkMessage::Done => return Ok(whole),
                    NetlinkMessage::Error(code) => {
                        return Err(TableError::Refused(Errno::from_raw_os_error(code)));
                    }
                    NetlinkMessage::Interrupted => whole = false,
                }
            }
        }
    }
}

impl KernelTable {
    fn clear(&mut self) {
        self.rows.clear();
        self.names.clear();
        self.canary_shown = false;
    }

    fn add(&mut self, row: sock_diag::DumpedSocket<'_>) {
        let Some((ino, dev)) = row.file else { return };
        let (Ok(at), Ok(length)) = (u32::try_from(self.names.len()), u16::try_from(row.name.len())) else {
            return;
        };
        self.names.extend_from_slice(row.name);
        self.rows.push(TableSocket {
            ino,
            dev,
            socket: row.socket,
            role: row.role,
            owner: row.owner,
            name: (at, length),
        });
    }

    /// A table of these, for tests of what is concluded from one.
    #[cfg(test)]
    pub(crate) fn of<'r>(rows: impl IntoIterator<Item = sock_diag::DumpedSocket<'r>>) -> Self {
        let mut table = Self::default();
        rows.into_iter().for_each(|row| table.add(row));
        table.rows.sort_by_key(|row| row.ino);
        table
    }

    /// Whether the dump showed our own canary. If not, it is some other table than it seems.
    pub fn canary_shown(&self) -> bool {
        self.canary_shown
    }

    /// Every socket that is bound to a file.
    pub fn iter(&self) -> impl Iterator<Item = Bound<'_>> {
        self.rows.iter().map(|row| self.bound(row))
    }

    /// The sockets whose file has the inode number of `id`, whatever their device.
    pub fn with_inode_of(&self, id: FileId) -> impl Iterator<Item = Bound<'_>> {
        #[expect(clippy::cast_possible_truncation, reason = "the table has 32 bits of it")]
        let ino = id.ino as u32;
        let start = self.rows.partition_point(|row| row.ino < ino);
        self.rows[start..].iter().take_while(move |row| row.ino == ino).map(|row| self.bound(row))
    }

    /// Whether a socket of that number is in the table.
    pub fn shows_socket(&self, number: SocketNumber) -> bool {
        self.rows.iter().any(|row| row.socket == number)
    }

    fn bound(&self, row: &TableSocket) -> Bound<'_> {
        let start = row.name.0 as usize;
        let name = self.names.get(start..start + usize::from(row.name.1)).unwrap_or_default();
        Bound {
            socket: row.socket,
            role: row.role,
            ino: row.ino,
            dev: row.dev,
            owner: row.owner,
            name: Path::new(OsStr::from_bytes(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::super::file::FileFacts;
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn who_is_connected_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let other = UnixListener::bind(dir.path().join("b")).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let number = |fd: &dyn AsFd| rustix::fs::fstat(fd.as_fd()).unwrap().st_ino;
        let mut source = TableSource::open().unwrap();
        let mut table = KernelTable::default();
        source.read(&mut table).unwrap();
        let bound = table.iter().find(|bound| u64::from(bound.socket.raw()) == number(&listener)).unwrap();
        assert_eq!(source.connected_to(&bound).unwrap(), Vec::new());
        let _elsewhere = UnixStream::connect(dir.path().join("b")).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        let (_server, _) = listener.accept().unwrap();
        let peers = source.connected_to(&bound).unwrap();
        assert_eq!(
            peers.into_iter().map(|peer| u64::from(peer.raw())).collect::<Vec<_>>(),
            [number(&client)]
        );
        drop(other);
    }

    #[test]
    fn the_real_kernel_shows_a_real_listener_and_the_canary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a b\n");
        let listener = UnixListener::bind(&path).unwrap();
        let id = FileFacts::at(rustix::fs::CWD, path.as_os_str()).unwrap().id;
        let mut source = TableSource::open().unwrap();
        let mut table = KernelTable::default();
        source.read(&mut table).unwrap();
        assert!(table.canary_shown());
        let bound = table.with_inode_of(id).find(|bound| bound.name == path).unwrap();
        assert_eq!(bound.role, Role::Listening);
        let me = Uid::ours();
        assert_eq!(bound.owner, Some(me));
        assert!(bound.may_be_of(me) && (me == Uid::ROOT || !bound.may_be_of(Uid::new(me.raw() + 1))));
        let number = rustix::fs::fstat(listener.as_fd()).unwrap().st_ino;
        assert_eq!(u64::from(bound.socket.raw()), number);
        drop(listener);
        source.read(&mut table).unwrap();
        assert!(table.with_inode_of(id).all(|bound| bound.name != path));
    }
}
