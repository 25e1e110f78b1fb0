//! The log: to the journal when stderr is the journal, else to stderr for people.
//!
//! Every event has a `MESSAGE_ID` of its own, which `packaging/catalog` explains. Journal fields
//! carry names exactly; message lines carry them escaped. Neither the journal nor stderr is ever waited for.

pub(crate) mod journal;
mod journald;
mod queue;
pub(crate) mod stderr;

use journald::Journal;
use std::fmt::Write as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use tmux_sockets::kernel::escape::escaped;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// `SYSLOG_IDENTIFIER` of every entry, and the prefix on stderr.
pub(crate) const IDENTIFIER: &str = "tmux-janitor";

/// Fixed message ids; the catalog explains them to `journalctl -x`.
pub(crate) mod id {
    /// A socket was removed.
    pub(crate) const SOCKET_REMOVED: &str = "02faf4bc75b3441f95bf477ea1110562";
    /// A dead socket could not be removed.
    pub(crate) const REMOVAL_FAILED: &str = "8c5df1f2fa6941a8bd9017cab559716f";
    /// A directory was left alone, or nothing in it could be judged.
    pub(crate) const DIRECTORY_LEFT_ALONE: &str = "6b2f0c1d7a5e4f39b8c1d40e92a7563c";
    /// A command that only looks, what it found.
    pub(crate) const LOOKED: &str = "c47d1e0a93b24f6e8d15a2b70fe8c964";
    /// A live server cannot be reached.
    pub(crate) const GHOST_FOUND: &str = "1fb95ee20bb243e492b6a5e070a17ff0";
    /// A ghost has its socket again.
    pub(crate) const GHOST_RESCUED: &str = "65a72a8713cf4064935158ed5acc9eb4";
    /// A newer server was set aside for a ghost.
    pub(crate) const SERVER_SET_ASIDE: &str = "5a14e37e37dc4803bd7abe8c5b1659e4";
    /// A server has gone.
    pub(crate) const SERVER_GONE: &str = "e8a71bf29e1a4ac488afff24aa9a9f1f";
    /// A run is over.
    pub(crate) const SWEEP_FINISHED: &str = "c6c3da2ba7b145aba0f3a0b175de5903";
    /// A session was made.
    pub(crate) const SESSION_SPAWNED: &str = "54a7acd7ba464cab8a6929e939bc4af2";
    /// The configuration cannot be used.
    pub(crate) const CONFIGURATION_REJECTED: &str = "9d7ca7fe8bbc4c6db0e427172e81b8c6";
}

/// Whether a descriptor is the journal's stream (systemd.exec(5), `$JOURNAL_STREAM`: `dev:ino`).
pub(crate) fn is_journal(file: BorrowedFd<'_>) -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(file).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Where the log goes, if it goes to the journal.
static JOURNAL: OnceLock<Journal> = OnceLock::new();

/// Whether the log goes to the journal.
pub(crate) fn is_in_journal() -> bool {
    JOURNAL.get().is_some()
}

/// Lets what was said be read before the program ends; who does not read is not waited for.
pub(crate) fn finish() {
    if let Some(missing) = JOURNAL.get().and_then(Journal::finish) {
        stderr::write(format!("{IDENTIFIER}: warning: {missing}\n").as_bytes());
    }
    stderr::finish();
}

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogTarget {
    /// To the journal when stderr is the journal, else to stderr.
    Auto,
    /// To the journal.
    Journal,
    /// To stderr.
    Stderr,
}

/// How much is said.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Volume {
    /// 0: what failed; 1: what was done, too; 2: everything.
    pub verbose: u8,
    /// Only what failed.
    pub quiet: bool,
    /// The command's result for people tells its deeds, so that a log on stderr need not.
    pub told: bool,
}

/// Sets the log up for the whole process. Whether it goes to the journal.
pub(crate) fn init(target: LogTarget, volume: Volume) -> bool {
    let Volume { verbose, quiet, told } = volume;
    let wants_journal = match target {
        LogTarget::Journal => true,
        LogTarget::Stderr => false,
        LogTarget::Auto => is_journal(std::io::stderr().as_fd()),
    };
    let level = |in_journal| match (in_journal, verbose, quiet) {
        (_, _, true) | (false, 0, _) => LevelFilter::WARN,
        (true, 0, _) | (false, 1, _) => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    if wants_journal && journald::is_there() {
        if let Ok(journal) = Journal::open(level(true)) {
            // A second call keeps the first log.
            let _ = JOURNAL.set(journal);
        }
    }
    let journal = JOURNAL.get().cloned();
    let in_journal = journal.is_some();
    let people = (!in_journal).then_some(PeopleLayer { told });
    let subscriber = tracing_subscriber::registry().with(level(in_journal)).with(journal).with(people);
    let _ = tracing::subscriber::set_global_default(subscriber);
    if wants_journal && !in_journal {
        tracing::warn!("the journal cannot be reached, logging to stderr");
    }
    in_journal
}

/// One line per event on stderr, without the fields: the message says it all.
#[derive(Debug)]
struct PeopleLayer {
    told: bool,
}

impl<S: Subscriber> Layer<S> for PeopleLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // The result tells this removal already: nothing is said twice.
        if self.told && *event.metadata().level() == Level::INFO {
            return;
        }
        let mut message = MessageText(String::new());
        event.record(&mut message);
        let level = match *event.metadata().level() {
            Level::ERROR => "error: ",
            Level::WARN => "warning: ",
            _ => "",
        };
        stderr::write(format!("{IDENTIFIER}: {level}{}\n", message.0).as_bytes());
    }
}

struct MessageText(String);

impl Visit for MessageText {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

/// A configuration that cannot be used.
pub(crate) fn configuration_rejected(error: &str) {
    tracing::error!(
        message_id = id::CONFIGURATION_REJECTED,
        tmux_janitor.error = error,
        "configuration rejected: {}",
        escaped(error)
    );
}
