//! What happens to servers and their sockets, as lines for people and for programs. Pure.

use super::cause::Cause;
use super::json::{raw_bytes, text};
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum EventKind {
    /// A server listens.
    ServerUp,
    /// A server has gone, however it ended.
    ServerGone,
    /// A dead socket's file has gone, whoever took it away.
    SocketRemoved,
    /// A live server cannot be reached at its path any more.
    Ghost,
    /// A ghost can be reached at its path again.
    Rescued,
    /// A live server is reached at another name than at its path, and not at that.
    Renamed,
    /// A dead socket stands there whose server nobody was told of.
    Dead,
}

impl EventKind {
    /// The word for it, in JSON and for people.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::ServerUp => "server-up",
            Self::ServerGone => "server-gone",
            Self::SocketRemoved => "socket-removed",
            Self::Ghost => "ghost",
            Self::Rescued => "rescued",
            Self::Renamed => "renamed",
            Self::Dead => "dead",
        }
    }
}

/// Something that happened at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// What.
    pub kind: EventKind,
    /// The socket's full path.
    pub path: PathBuf,
    /// The server's process, where it is known.
    pub server_pid: Option<Pid>,
    /// Of a server that has gone: how it ended, where that is known.
    pub cause: Option<Cause>,
    /// Of a server that listens: when its process was started, where that is known.
    pub started: Option<SystemTime>,
    /// Of a server that listens outside of the socket directories: whether its path leads to it from here.
    pub reachable: Option<bool>,
    /// Of a server that was renamed: the path that leads to it now.
    pub to: Option<PathBuf>,
}

impl Event {
    /// One of which no more is known.
    pub(crate) fn of(kind: EventKind, path: PathBuf, server_pid: Option<Pid>) -> Self {
        Self { kind, path, server_pid, cause: None, started: None, reachable: None, to: None }
    }
}

/// How births are seen; deaths have their own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FollowedBy {
    /// At once, in every directory.
    Inotify,
    /// In one directory at least by the rescan only: what inotify may have is used up.
    Rescan,
    /// Not at all: the user's worker was lost, and is started again.
    Nothing,
}

impl FollowedBy {
    fn word(self) -> &'static str {
        match self {
            Self::Inotify => "inotify",
            Self::Rescan => "rescan",
            Self::Nothing => "nothing",
        }
    }
}

/// How well the stream follows what happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Following {
    /// How births are seen.
    pub by: FollowedBy,
    /// How often everything is looked at again; `None`: never.
    pub rescan: Option<Duration>,
}

/// What is told of the stream itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// All that was there at the beginning has been told.
    Ready,
    /// From now on it follows otherwise than was said.
    Following,
}

impl Notice {
    fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Following => "following",
        }
    }
}

/// One JSON object, without a newline behind it.
pub(crate) fn json(event: &Event, time: SystemTime) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Line<'a> {
        version: u32,
        event: &'static str,
        path: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        path_bytes: Option<&'a [u8]>,
        label: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        label_bytes: Option<&'a [u8]>,
        server_pid: Option<Pid>,
        #[serde(flatten)]
        gone: Option<GoneObject>,
        #[serde(skip_serializing_if = "Option::is_none")]
        started: Option<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reachable: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        to_bytes: Option<&'a [u8]>,
        time: String,
    }
    /// What only the end of a server has, known or not.
    #[derive(Serialize)]
    struct GoneObject {
        cause: Option<Cause>,
    }
    let started =
        || event.started.map_or(Value::Null, |at| humantime::format_rfc3339_millis(at).to_string().into());
    let label = event.path.file_name().unwrap_or_default();
    serde_json::to_string(&Line {
        version: 1,
        event: event.kind.word(),
        path: text(event.path.as_os_str()),
        path_bytes: raw_bytes(event.path.as_os_str()),
        label: text(label),
        label_bytes: raw_bytes(label),
        server_pid: event.server_pid,
        gone: (event.kind == EventKind::ServerGone).then_some(GoneObject { cause: event.cause }),
        started: (event.kind == EventKind::ServerUp).then(started),
        reachable: event.reachable,
        to: event.to.as_ref().map(|to| text(to.as_os_str())),
        to_bytes: event.to.as_ref().and_then(|to| raw_bytes(to.as_os_str())),
        time: humantime::format_rfc3339_micros(time).to_string(),
    })
}

/// One line for people, without a newline behind it.
pub(crate) fn people(event: &Event, time: SystemTime) -> String {
    let there = match event.reachable {
        Some(false) => ", in another mount namespace or root directory",
        Some(true) | None => "",
    };
    let pid = event.server_pid.map(|pid| format!(" (pid {pid}{there})")).unwrap_or_default();
    let cause = event.cause.map(|cause| format!(", {cause}")).unwrap_or_default();
    let to = event.to.as_ref().map(|to| format!(", now {}", escaped(to))).unwrap_or_default();
    let time = humantime::format_rfc3339_millis(time);
    format!("{time} {:14} {}{pid}{cause}{to}", event.kind.word(), escaped(&event.path))
}

/// One JSON object of the stream itself, without a newline behind it. `uid`: of one user of many.
pub(crate) fn notice_json(
    notice: Notice,
    following: Following,
    uid: Option<Uid>,
    time: SystemTime,
) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Line {
        version: u32,
        event: &'static str,
        followed_by: &'static str,
        rescan_seconds: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        uid: Option<Uid>,
        time: String,
    }
    serde_json::to_string(&Line {
        version: 1,
        event: notice.word(),
        followed_by: following.by.word(),
        // A part of a second is one more: within so many it has been looked at.
        rescan_seconds: following
            .rescan
            .map(|span| span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0))),
        uid,
        time: humantime::format_rfc3339_micros(time).to_string(),
    })
}

/// The same as a line for people.
pub(crate) fn notice_people(
    notice: Notice,
    following: Following,
    uid: Option<Uid>,
    time: SystemTime,
) -> String {
    let rescan = match following.rescan {
        Some(span) => format!("every {}", humantime::format_duration(span)),
        None => "never".to_owned(),
    };
    let how = match following.by {
        FollowedBy::Inotify => {
            format!("new servers are seen at once; everything is looked at again {rescan}")
        }
        FollowedBy::Rescan => {
            format!("inotify is used up: new servers are found by the rescan only, {rescan}")
        }
        FollowedBy::Nothing => "the worker was lost, and is started again".to_owned(),
    };
    let whose = uid.map(|uid| format!(" (uid {uid})")).unwrap_or_default();
    format!("{} {:14} {how}{whose}", humantime::format_rfc3339_millis(time), notice.word())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn a_name_is_exact_for_programs_and_harmless_for_people() {
        let path = PathBuf::from("/tmp/tmux-7/a\nb");
        let started = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(20));
        let mut event = Event { started, ..Event::of(EventKind::ServerUp, path, Some(Pid::new(9))) };
        assert_eq!(
            json(&event, SystemTime::UNIX_EPOCH).unwrap(),
            "{\"version\":1,\"event\":\"server-up\",\"path\":\"/tmp/tmux-7/a\\nb\",\"label\":\"a\\nb\",\
             \"server_pid\":9,\"started\":\"1970-01-01T00:00:00.020Z\",\"time\":\"1970-01-01T00:00:00.000000Z\"}"
        );
        assert_eq!(
            people(&event, SystemTime::UNIX_EPOCH),
            "1970-01-01T00:00:00.000Z server-up      /tmp/tmux-7/a\\nb (pid 9)"
        );
        event.started = None;
        assert!(json(&event, SystemTime::UNIX_EPOCH).unwrap().contains("\"started\":null"));
        event.kind = EventKind::ServerGone;
        assert!(
            !json(&event, SystemTime::UNIX_EPOCH).unwrap().contains("started"),
            "only of one that listens"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_given_as_numbers() {
        let path = PathBuf::from(OsString::from_vec(b"/d/\xff".to_vec()));
        let event = Event::of(EventKind::ServerGone, path, None);
        let line = json(&event, SystemTime::UNIX_EPOCH).unwrap();
        assert!(
            line.contains("\"label_bytes\":[255]") && line.contains("\"server_pid\":null,\"cause\":null"),
            "{line}"
        );
    }

    #[test]
    fn a_cause_stands_behind_the_process() {
        let (path, cause) = (PathBuf::from("/d/x"), Some(Cause::Exit(0)));
        let event = Event { cause, ..Event::of(EventKind::ServerGone, path, Some(Pid::new(9))) };
        let line = json(&event, SystemTime::UNIX_EPOCH).unwrap();
        assert!(line.contains("\"server_pid\":9,\"cause\":{\"exit\":0},"), "{line}");
        let line = people(&event, SystemTime::UNIX_EPOCH);
        assert!(line.ends_with("/d/x (pid 9), exit 0"), "{line}");
    }

    #[test]
    fn of_a_server_elsewhere_it_is_told_whether_its_path_leads_there() {
        let path = PathBuf::from("/x");
        let mut event = Event::of(EventKind::ServerUp, path, Some(Pid::new(9)));
        assert!(!json(&event, SystemTime::UNIX_EPOCH).unwrap().contains("reachable"));
        event.reachable = Some(false);
        assert!(json(&event, SystemTime::UNIX_EPOCH).unwrap().contains("\"reachable\":false,"));
        let line = people(&event, SystemTime::UNIX_EPOCH);
        assert!(line.ends_with("/x (pid 9, in another mount namespace or root directory)"), "{line}");
    }

    #[test]
    fn the_stream_says_how_well_it_follows() {
        let at = SystemTime::UNIX_EPOCH;
        let mut following = Following { by: FollowedBy::Inotify, rescan: Some(Duration::from_millis(1500)) };
        assert_eq!(
            notice_json(Notice::Ready, following, None, at).unwrap(),
            "{\"version\":1,\"event\":\"ready\",\"followed_by\":\"inotify\",\"rescan_seconds\":2,\
             \"time\":\"1970-01-01T00:00:00.000000Z\"}"
        );
        following = Following { by: FollowedBy::Rescan, rescan: None };
        let line = notice_json(Notice::Following, following, Some(Uid::new(7)), at).unwrap();
        assert!(line.contains("\"followed_by\":\"rescan\",\"rescan_seconds\":null,\"uid\":7"), "{line}");
        assert_eq!(
            notice_people(Notice::Following, following, None, at),
            "1970-01-01T00:00:00.000Z following      inotify is used up: new servers are found by the rescan only, never"
        );
    }
}
