//! The way to the journal: `tracing-journald`, in a thread of its own.
//!
//! It waits for good for a journal that has stopped reading. To look first whether there is room is no help: somebody
//! else may take the last of it before we do. So that thread alone waits. Who logs waits until the journal has the
//! entry, so that a process that is killed then has told what it did; but not longer than [`PATIENCE`], and only once
//! until the journal reads again.

use super::queue::{Item, Queue};
use nix::errno::Errno;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::fmt::{Debug, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::field::{Field, Value, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// How long a journal that is merely slow is waited for.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long the thread is waited for at most.
const LONGEST: Duration = Duration::from_secs(5);

/// More than any event of ours has.
const MOST_FIELDS: usize = 16;

/// Whether a journal listens here.
pub(super) fn is_there() -> bool {
    connect().is_ok()
}

/// To connect a datagram socket is no message, and never waits.
fn connect() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(SOCKET)?;
    Ok(socket)
}

/// Whether a journal listens that takes nothing more now.
fn is_full() -> bool {
    connect().is_ok_and(|socket| {
        let mut fds = [PollFd::new(&socket, PollFlags::OUT)];
        matches!(rustix::event::poll(&mut fds, Some(&Timespec::default())), Ok(0))
    })
}

/// Hands every event to the thread.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    queue: Arc<Queue<JournalItem>>,
    lost: Arc<Mutex<Lost>>,
}

impl Journal {
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn open(level: LevelFilter) -> io::Result<Self> {
        let lost = Arc::default();
        let link = Link { lost: Arc::clone(&lost), level, to: None };
        Ok(Self { queue: Queue::start(|queue| serve(queue, link))?, lost })
    }

    /// Lets the journal take what it has not yet. Where it does not: what to say of that.
    pub(super) fn finish(&self) -> Option<String> {
        self.wait();
        let (left, lost) = (self.queue.left(), lock(&self.lost));
        let error = lost.error.filter(|_| left == 0);
        let why =
            error.map_or_else(|| "the journal did not read".to_owned(), |error| error.desc().to_owned());
        match left + lost.count {
            0 => None,
            count => Some(format!("{why}; {} may be missing from the journal", entries(count))),
        }
    }

    fn wait(&self) {
        let end = Instant::now() + LONGEST;
        while !self.queue.is_stalled() && !self.queue.drain(PATIENCE, PATIENCE) {
            // Where the journal has room nobody but a busy machine keeps the thread waiting.
            if is_full() || Instant::now() >= end {
                self.queue.give_up();
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut values = Values::default();
        event.record(&mut values);
        self.queue.push(JournalItem::Event(event.metadata(), values));
        self.wait();
    }
}

/// What the journal is to have.
#[derive(Debug)]
enum JournalItem {
    Event(&'static Metadata<'static>, Values),
    /// So many did not fit.
    Dropped(u64),
}

impl Item for JournalItem {
    fn bytes(&self) -> usize {
        let values = if let Self::Event(_, Values(values)) = self { values.as_slice() } else { &[] };
        size_of::<Self>()
            + values.iter().map(|(_, text)| size_of::<(Field, String)>() + text.len()).sum::<usize>()
    }

    fn of_dropped(count: u64) -> Self {
        Self::Dropped(count)
    }

    fn count(&self) -> u64 {
        if let Self::Dropped(count) = self { *count } else { 1 }
    }
}

/// The fields of an event.
#[derive(Debug, Default)]
struct Values(Vec<(Field, String)>);

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.clone(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "{value:?}");
        self.0.push((field.clone(), text));
    }
}

/// What the journal refused since it took the last one.
#[derive(Debug, Default)]
struct Lost {
    count: u64,
    error: Option<Errno>,
}

impl Lost {
    fn add(&mut self, entry: &JournalItem, error: Errno) {
        self.count += entry.count();
        self.error = Some(error);
    }
}

fn lock(lost: &Mutex<Lost>) -> std::sync::MutexGuard<'_, Lost> {
    lost.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(queue: &Queue<JournalItem>, mut link: Link) {
    queue.serve(|entry| {
        link.send(&entry);
        queue.went_on();
    });
}

/// What the thread has.
struct Link {
    lost: Arc<Mutex<Lost>>,
    level: LevelFilter,
    to: Option<Dispatch>,
}

impl Link {
    fn send(&mut self, entry: &JournalItem) {
        let to = match self.connected() {
            Ok(to) => to,
            Err(error) => return lock(&self.lost).add(entry, error),
        };
        self.tell_of_lost(&to);
        let sent = match entry {
            JournalItem::Event(metadata, values) => attempt(|| replay(&to, metadata, values)),
            JournalItem::Dropped(count) => tell(&to, *count, "the journal did not read"),
        };
        if let Err(error) = sent {
            lock(&self.lost).add(entry, error);
        }
    }

    /// Here and not where the log is set up: it says something to the journal at once.
    fn connected(&mut self) -> Result<Dispatch, Errno> {
        if let Some(to) = &self.to {
            return Ok(to.clone());
        }
        let layer = tracing_journald::layer()
            .map_err(|error| error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw))?
            .with_field_prefix(None)
            .with_syslog_identifier(super::IDENTIFIER.to_owned())
            .with_priority_mappings(PriorityMappings {
                info: Priority::Informational,
                debug: Priority::Debug,
                ..PriorityMappings::new()
            });
        let to = Dispatch::new(tracing_subscriber::registry().with(self.level).with(layer));
        self.to = Some(to.clone());
        Ok(to)
    }

    fn tell_of_lost(&self, to: &Dispatch) {
        let mut lost = lock(&self.lost);
        let Some(error) = lost.error else { return };
        if tell(to, lost.count, error.desc()).is_ok() {
            *lost = Lost::default();
        }
    }
}

fn tell(to: &Dispatch, count: u64, why: &str) -> Result<(), Errno> {
    let were = if count == 1 { "was" } else { "were" };
    attempt(|| {
        tracing::dispatcher::with_default(to, || {
            tracing::warn!("{why}; {} before this one {were} dropped", entries(count));
        });
    })
}

fn entries(count: u64) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}

/// The event once more.
fn replay(to: &Dispatch, metadata: &'static Metadata<'static>, Values(values): &Values) {
    debug_assert!(values.len() <= MOST_FIELDS, "{metadata:?}");
    let Some((first, _)) = values.first() else { return };
    let values: [_; MOST_FIELDS] = std::array::from_fn(|at| {
        values.get(at).map_or((first, None), |(field, text)| (field, Some(text as &dyn Value)))
    });
    to.event(&Event::new(metadata, &metadata.fields().value_set(&values)));
}

/// Sends something. The layer keeps the kernel's answer for itself, but asks for nothing after it.
fn attempt(send: impl FnOnce()) -> Result<(), Errno> {
    Errno::clear();
    send();
    match Errno::last() {
        // It was sent as a file in memory then (memfd).
        Errno::UnknownErrno | Errno::EMSGSIZE => Ok(()),
        error => Err(error),
    }
}
