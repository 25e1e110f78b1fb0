//! What happens to servers and their sockets, as lines for people and for programs. Pure.

use super::cause::Cause;
use super::json::{raw_bytes, text};
use serde::Serialize;
use std::path::PathBuf;
use std::time::SystemTime;
use tmux_sockets::kernel::Pid;
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
        gone: Option<Gone>,
        time: String,
    }
    /// What only the end of a server has, known or not.
    #[derive(Serialize)]
    struct Gone {
        cause: Option<Cause>,
    }
    let label = event.path.file_name().unwrap_or_default();
    serde_json::to_string(&Line {
        version: 1,
        event: event.kind.word(),
        path: text(event.path.as_os_str()),
        path_bytes: raw_bytes(event.path.as_os_str()),
        label: text(label),
        label_bytes: raw_bytes(label),
        server_pid: event.server_pid,
        gone: (event.kind == EventKind::ServerGone).then_some(Gone { cause: event.cause }),
        time: humantime::format_rfc3339_micros(time).to_string(),
    })
}

/// One line for people, without a newline behind it.
pub(crate) fn people(event: &Event, time: SystemTime) -> String {
    let pid = event.server_pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    let cause = event.cause.map(|cause| format!(", {cause}")).unwrap_or_default();
    let time = humantime::format_rfc3339_millis(time);
    format!("{time} {:14} {}{pid}{cause}", event.kind.word(), escaped(&event.path))
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
        let event = Event { kind: EventKind::ServerUp, path, server_pid: Some(Pid::new(9)), cause: None };
        assert_eq!(
            json(&event, SystemTime::UNIX_EPOCH).unwrap(),
            "{\"version\":1,\"event\":\"server-up\",\"path\":\"/tmp/tmux-7/a\\nb\",\"label\":\"a\\nb\",\
             \"server_pid\":9,\"time\":\"1970-01-01T00:00:00.000000Z\"}"
        );
        assert_eq!(
            people(&event, SystemTime::UNIX_EPOCH),
            "1970-01-01T00:00:00.000Z server-up      /tmp/tmux-7/a\\nb (pid 9)"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_given_as_numbers() {
        let path = PathBuf::from(OsString::from_vec(b"/d/\xff".to_vec()));
        let event = Event { kind: EventKind::ServerGone, path, server_pid: None, cause: None };
        let line = json(&event, SystemTime::UNIX_EPOCH).unwrap();
        assert!(
            line.contains("\"label_bytes\":[255]") && line.contains("\"server_pid\":null,\"cause\":null"),
            "{line}"
        );
    }

    #[test]
    fn a_cause_stands_behind_the_process() {
        let (path, cause) = (PathBuf::from("/d/x"), Some(Cause::Exit(0)));
        let event = Event { kind: EventKind::ServerGone, path, server_pid: Some(Pid::new(9)), cause };
        let line = json(&event, SystemTime::UNIX_EPOCH).unwrap();
        assert!(line.contains("\"server_pid\":9,\"cause\":{\"exit\":0},"), "{line}");
        let line = people(&event, SystemTime::UNIX_EPOCH);
        assert!(line.ends_with("/d/x (pid 9), exit 0"), "{line}");
    }
}
