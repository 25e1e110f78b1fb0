//! The journal's native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>), without ever
//! waiting for a journal that has stopped reading.
//!
//! A datagram to a full socket waits for good. So nothing here waits longer than [`PATIENCE`], and
//! only once: while the journal does not read, entries are dropped and counted, and the count is the
//! first thing it is told when it reads again.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::fmt::{self, Debug, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Where journald listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// How long a burst of entries may wait for a journal that is merely slow.
const PATIENCE: Duration = Duration::from_millis(100);

/// Sends every event to the journal.
#[derive(Debug)]
pub struct JournalLayer {
    identifier: &'static str,
    link: Mutex<Link>,
}

#[derive(Debug)]
struct Link {
    path: PathBuf,
    socket: OwnedFd,
    /// It did not read when we waited for it: it is not waited for again until it does.
    stalled: bool,
    dropped: u64,
}

impl JournalLayer {
    /// Connects to the journal that listens at `path`.
    pub fn connect(path: &Path, identifier: &'static str) -> Result<Self, Errno> {
        let link = Link { path: path.to_owned(), socket: connect(path)?, stalled: false, dropped: 0 };
        Ok(Self { identifier, link: Mutex::new(link) })
    }

    fn entry(&self, level: Level, fields: impl FnOnce(&mut Fields)) -> Vec<u8> {
        let priority = match level {
            Level::ERROR => "3",
            Level::WARN => "4",
            Level::INFO => "6",
            _ => "7",
        };
        let mut entry = Fields(Vec::with_capacity(512));
        entry.put("PRIORITY", priority);
        entry.put("SYSLOG_IDENTIFIER", self.identifier);
        fields(&mut entry);
        entry.0
    }
}

impl<S: Subscriber> Layer<S> for JournalLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let entry = self.entry(*event.metadata().level(), |fields| event.record(fields));
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if link.dropped > 0 {
            let message =
                format!("the journal did not read; {} entries before this one were dropped", link.dropped);
            let told = self.entry(Level::WARN, |fields| fields.put("MESSAGE", &message));
            if link.send(&told) {
                link.dropped = 0;
            }
        }
        if !link.send(&entry) {
            link.dropped += 1;
        }
    }
}

impl Link {
    /// Sends one entry. Whether the journal has it.
    fn send(&mut self, entry: &[u8]) -> bool {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            match rustix::net::send(&self.socket, entry, flags) {
                Ok(_) => {
                    self.stalled = false;
                    return true;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if !self.stalled => self.stalled = !self.wait(),
                // Its socket was made anew.
                Err(Errno::CONNREFUSED | Errno::NOTCONN | Errno::PIPE | Errno::CONNRESET) => {
                    match connect(&self.path) {
                        Ok(socket) => self.socket = socket,
                        Err(_) => return false,
                    }
                    return rustix::net::send(&self.socket, entry, flags).is_ok();
                }
                Err(_) => return false,
            }
        }
    }

    /// Waits a little for room. Whether there is some.
    fn wait(&self) -> bool {
        let patience = Timespec::try_from(PATIENCE).ok();
        let mut fds = [PollFd::new(&self.socket, PollFlags::OUT)];
        matches!(poll(&mut fds, patience.as_ref()), Ok(1..))
    }
}

fn connect(path: &Path) -> Result<OwnedFd, Errno> {
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// An entry in the making.
struct Fields(Vec<u8>);

impl Fields {
    /// One field. A value with a newline is written with its length before it.
    fn put(&mut self, name: &str, value: &str) {
        self.0.extend(name.bytes().map(|byte| match byte {
            b'.' => b'_',
            other => other.to_ascii_uppercase(),
        }));
        if value.contains('\n') {
            self.0.push(b'\n');
            self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            self.0.push(b'=');
        }
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'\n');
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _: fmt::Result = write!(text, "{value:?}");
        self.put(field.name(), &text);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use std::time::Instant;
    use tracing_subscriber::layer::SubscriberExt;

    fn received(journal: &UnixDatagram) -> Vec<String> {
        journal.set_nonblocking(true).unwrap();
        let mut buffer = [0; 4096];
        std::iter::from_fn(|| journal.recv(&mut buffer).ok().map(|n| buffer[..n].to_vec()))
            .map(|entry| String::from_utf8_lossy(&entry).into_owned())
            .collect()
    }

    #[test]
    fn a_journal_that_does_not_read_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = UnixDatagram::bind(&path).unwrap();
        let layer = JournalLayer::connect(&path, "test").unwrap();
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let started = Instant::now();
            let count = 5_000_u16;
            for number in 0..count {
                tracing::warn!(tmux_janitor.label = "a\nb", "entry {number}");
            }
            // Were each entry waited for, it would take minutes; a busy machine alone takes seconds.
            assert!(
                started.elapsed() < PATIENCE * u32::from(count) / 20,
                "it waited {:?}",
                started.elapsed()
            );
            let first = received(&journal);
            assert!(first.len() < usize::from(count), "the queue was never full");
            assert_eq!(
                first[0],
                "PRIORITY=4\nSYSLOG_IDENTIFIER=test\nMESSAGE=entry 0\nTMUX_JANITOR_LABEL\n\
                 \u{3}\0\0\0\0\0\0\0a\nb\n"
            );
            tracing::info!("afterwards");
            let then = received(&journal);
            assert!(then[0].contains(&format!("{} entries", usize::from(count) - first.len())), "{then:?}");
            assert!(then[1].contains("MESSAGE=afterwards"), "{then:?}");
        });
    }

    #[test]
    fn a_journal_that_was_made_anew_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let old = UnixDatagram::bind(&path).unwrap();
        let layer = JournalLayer::connect(&path, "test").unwrap();
        drop(old);
        std::fs::remove_file(&path).unwrap();
        let new = UnixDatagram::bind(&path).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!("here");
        });
        assert_eq!(received(&new).len(), 1);
    }
}
