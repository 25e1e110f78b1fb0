//! Results for programs: one JSON object per run.

use super::advice::{self, Advised};
use super::table::Listed;
use serde::{Serialize, Serializer};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use tmux_sockets::judge::{State, Verdict};
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::report::{Counts, Details, Entry, Health, Report};
use tmux_sockets::report::{LeftAlone, Outcome, Remark};

/// Text as it is, or escaped where it is not UTF-8.
pub(crate) fn text(name: &OsStr) -> String {
    name.to_str().map_or_else(|| escaped(name).to_string(), str::to_owned)
}

/// The bytes of a name that is not UTF-8.
pub(crate) fn raw_bytes(name: &OsStr) -> Option<&[u8]> {
    name.to_str().is_none().then(|| name.as_bytes())
}

#[derive(Serialize)]
struct RunObject<'a> {
    version: u32,
    command: &'a str,
    dry_run: bool,
    directories: Directories<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    strays: Vec<PlaceObject<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unseen: Vec<PlaceObject<'a>>,
    counts: Counts,
    sockets: Sockets<'a>,
    #[serde(skip_serializing_if = "is_none_left_out")]
    left_out: usize,
    elapsed_us: u64,
}

#[derive(Serialize)]
struct Directory<'a> {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<&'a [u8]>,
    error: Option<String>,
}

/// A place and why it is told of.
#[derive(Serialize)]
struct PlaceObject<'a> {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<&'a [u8]>,
    reason: String,
}

impl<'a> PlaceObject<'a> {
    fn of(path: &'a Path, reason: String) -> Self {
        Self { path: text(path.as_os_str()), path_bytes: raw_bytes(path.as_os_str()), reason }
    }

    fn of_remark(place: &'a Remark) -> Self {
        Self::of(&place.path, place.why.with_advice())
    }
}

#[derive(Serialize)]
struct SocketObject<'a> {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<Vec<u8>>,
    label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_bytes: Option<&'a [u8]>,
    uid: Uid,
    state: &'static str,
    reason: String,
    outcome: &'static str,
    error: Option<String>,
    server_pid: Option<Pid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reachable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    way_in: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    panes: &'a [String],
    #[serde(flatten)]
    full: Option<Full<'a>>,
}

/// What `list` tells besides.
#[derive(Serialize)]
struct Full<'a> {
    user: Option<&'a str>,
    #[serde(flatten)]
    live: Option<Live<'a>>,
}

/// What is told of a live server besides.
#[derive(Serialize)]
struct Live<'a> {
    started: Option<String>,
    attached: Option<bool>,
    unit: Option<&'a str>,
    memory_bytes: Option<u64>,
}

impl<'a> Live<'a> {
    fn of(details: &'a Details) -> Self {
        Self {
            started: details.started.map(|time| humantime::format_rfc3339_seconds(time).to_string()),
            attached: details.attached,
            unit: details.unit.as_deref(),
            memory_bytes: details.memory,
        }
    }
}

/// Which entries a command lists, and how much of each.
#[derive(Clone, Copy)]
pub(crate) enum Listing<'a> {
    /// All of them.
    All,
    /// All but live sockets and what is no socket, unless something was done with it.
    Eventful,
    /// Those that were asked for, with all that is known.
    Listed(&'a Listed<'a>),
}

/// The object of `sweep` and `list`, written as it is made: ten thousand entries need no second copy.
pub(crate) fn run(
    to: impl std::io::Write,
    report: &Report,
    command: &str,
    dry_run: bool,
    listing: Listing<'_>,
) -> serde_json::Result<()> {
    let object = RunObject {
        version: 1,
        command,
        dry_run,
        directories: Directories(report),
        strays: report.strays.iter().map(PlaceObject::of_remark).collect(),
        unseen: report.unseen.iter().map(PlaceObject::of_remark).collect(),
        counts: report.counts(),
        sockets: Sockets(report, listing),
        left_out: report.untold.entries,
        elapsed_us: u64::try_from(report.elapsed.as_micros()).unwrap_or(u64::MAX),
    };
    serde_json::to_writer(to, &object)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none_left_out(entries: &usize) -> bool {
    *entries == 0
}

struct Directories<'a>(&'a Report);

impl Serialize for Directories<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.directories.iter().map(|directory| Directory {
            path: text(directory.path.as_os_str()),
            path_bytes: raw_bytes(directory.path.as_os_str()),
            error: directory.error.as_ref().map(LeftAlone::with_advice),
        }))
    }
}

struct Sockets<'a>(&'a Report, Listing<'a>);

impl Serialize for Sockets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(report, listing) = self;
        let is_listed = |entry: &&Entry| match listing {
            Listing::All => true,
            Listing::Eventful => {
                entry.outcome != Outcome::Kept
                    || !matches!(entry.verdict.state, State::Live | State::NotASocket)
            }
            Listing::Listed(listed) => (listed.is_wanted)(entry),
        };
        let socket = |entry| {
            let socket = SocketObject::of(report, entry);
            match listing {
                Listing::All | Listing::Eventful => socket,
                Listing::Listed(listed) => socket.in_full(entry, listed),
            }
        };
        serializer.collect_seq(report.entries.iter().filter(is_listed).map(socket))
    }
}

impl<'a> SocketObject<'a> {
    fn of(report: &Report, entry: &'a Entry) -> Self {
        let path = report.path_of(entry);
        Self {
            path: text(path.as_os_str()),
            path_bytes: raw_bytes(path.as_os_str()).map(<[u8]>::to_vec),
            label: text(&entry.label),
            label_bytes: raw_bytes(&entry.label),
            uid: entry.uid,
            state: entry.verdict.state.word(),
            reason: match entry.whereabouts(&path, Uid::ours()) {
                Some(whereabouts) => format!("{}; {whereabouts}", entry.verdict.reason.with_advice()),
                None => entry.verdict.reason.with_advice(),
            },
            outcome: entry.outcome.word(),
            error: match entry.outcome {
                Outcome::Failed(failure) => Some(failure.with_advice()),
                _ => None,
            },
            server_pid: entry.server_pid,
            reachable: entry.is_reachable(),
            way_in: entry.way_in(&path, Uid::ours()),
            panes: &entry.panes,
            full: None,
        }
    }

    fn in_full(self, entry: &'a Entry, listed: &Listed<'a>) -> Self {
        let user = listed.names.get(&entry.uid).map(String::as_str);
        Self { full: Some(Full { user, live: entry.details.as_deref().map(Live::of) }), ..self }
    }
}

/// The object of `status`. `unseen` is what could not be looked at, each with the reason; `held_locks` the start
/// locks that are not let go of.
pub(crate) fn status(report: &Report) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct StatusObject<'a> {
        version: u32,
        command: &'static str,
        healthy: bool,
        counts: Counts,
        unseen: Vec<PlaceObject<'a>>,
        held_locks: Vec<PlaceObject<'a>>,
    }
    serde_json::to_string(&StatusObject {
        version: 1,
        command: "status",
        healthy: report.health() == Health::Healthy,
        counts: report.counts(),
        unseen: advice::not_looked_at(report).map(|(path, why)| PlaceObject::of(path, why)).collect(),
        held_locks: report.held.iter().map(PlaceObject::of_remark).collect(),
    })
}

/// The object of `probe`. Without a verdict the socket is absent.
pub(crate) fn probe(
    path: &Path,
    verdict: Option<&Verdict>,
    reason: &str,
    server_pid: Option<Pid>,
) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct ProbeObject<'a> {
        version: u32,
        command: &'static str,
        path: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        path_bytes: Option<&'a [u8]>,
        state: &'static str,
        reason: &'a str,
        server_pid: Option<Pid>,
    }
    serde_json::to_string(&ProbeObject {
        version: 1,
        command: "probe",
        path: text(path.as_os_str()),
        path_bytes: raw_bytes(path.as_os_str()),
        state: verdict.map_or("absent", |verdict| verdict.state.word()),
        reason,
        server_pid,
    })
}
