//! What one worker tells, and what of it the reader is told: a worker that was started again tells anew what there is.
//! Pure.
//!
//! Each line is data from a stranger's process: it is an object with an event that there is, or nothing. Nobody else's uid
//! can stand in it.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tmux_sockets::kernel::Uid;

/// The most servers of one user that are kept in mind. Who has more is not followed.
const MOST: usize = 16_384;

/// One line of the stream.
pub(super) type JsonLine = Map<String, Value>;

/// A path, and whose socket it is or was.
type Key = (String, Option<i64>);

/// A server that the reader was told of, or that a worker which begins tells of.
#[derive(Debug, Clone)]
struct ToldServer {
    line: JsonLine,
    is_ghost: bool,
}

/// What a line comes to.
#[derive(Debug, PartialEq)]
pub(super) enum LineHeard {
    /// These are told.
    Lines(Vec<JsonLine>),
    /// The worker is ready, as this line says; these are told first.
    Ready(JsonLine, Vec<JsonLine>),
    /// It makes no sense, or is too much.
    Garbled,
}

/// The servers of one user.
#[derive(Debug)]
pub(super) struct ToldServers {
    uid: Uid,
    known: BTreeMap<Key, ToldServer>,
    /// What a worker has told that is not ready yet.
    beginning: Option<BTreeMap<Key, ToldServer>>,
}

impl ToldServers {
    pub(super) fn new(uid: Uid) -> Self {
        Self { uid, known: BTreeMap::new(), beginning: None }
    }

    /// A worker begins, which will tell everything anew.
    pub(super) fn begin(&mut self) {
        self.beginning = Some(BTreeMap::new());
    }

    /// A line of the worker's. `now`: the time, as lines have it.
    pub(super) fn hear(&mut self, line: &[u8], now: &str) -> LineHeard {
        let Ok(Value::Object(mut line)) = serde_json::from_slice(line) else { return LineHeard::Garbled };
        line.insert("uid".to_owned(), self.uid.raw().into());
        let Some(kind) = line.get("event").and_then(Value::as_str).map(str::to_owned) else {
            return LineHeard::Garbled;
        };
        if kind == "ready" {
            return LineHeard::Ready(line, self.ready(now));
        }
        if kind == "following" {
            return LineHeard::Lines(vec![line]);
        }
        let Some(path) = line.get("path").and_then(Value::as_str) else { return LineHeard::Garbled };
        let key = (path.to_owned(), line.get("server_pid").and_then(Value::as_i64));
        match kind.as_str() {
            "server-up" => return self.up(key, line, now),
            "server-gone" => {
                self.known.remove(&key);
                self.beginning.as_mut().and_then(|beginning| beginning.remove(&key));
            }
            "ghost" if self.set_ghost(&key, true) => return LineHeard::Lines(Vec::new()),
            "rescued" => {
                self.set_ghost(&key, false);
            }
            "ghost" | "socket-removed" | "renamed" | "dead" => {}
            _ => return LineHeard::Garbled,
        }
        LineHeard::Lines(vec![line])
    }

    fn up(&mut self, key: Key, line: JsonLine, now: &str) -> LineHeard {
        let server = ToldServer { line: line.clone(), is_ghost: false };
        let mut lines = Vec::new();
        if let Some(beginning) = &mut self.beginning {
            beginning.insert(key.clone(), server.clone());
            match self.known.get(&key) {
                // The reader knows it.
                Some(old) if old.line.get("started") == line.get("started") => {
                    return LineHeard::Lines(lines);
                }
                Some(old) => lines.push(old.becomes("server-gone", now)),
                None => {}
            }
        }
        self.known.insert(key, server);
        lines.push(line);
        let count = self.known.len().max(self.beginning.as_ref().map_or(0, BTreeMap::len));
        if count > MOST { LineHeard::Garbled } else { LineHeard::Lines(lines) }
    }

    /// Notes whether a server is a ghost. Whether the reader knows.
    fn set_ghost(&mut self, key: &Key, is_ghost: bool) -> bool {
        if let Some(server) = self.beginning.as_mut().and_then(|beginning| beginning.get_mut(key)) {
            server.is_ghost = is_ghost;
        }
        self.known
            .get_mut(key)
            .is_some_and(|server| std::mem::replace(&mut server.is_ghost, is_ghost) == is_ghost)
    }

    /// What has changed while no worker looked.
    fn ready(&mut self, now: &str) -> Vec<JsonLine> {
        let Some(beginning) = self.beginning.take() else { return Vec::new() };
        let mut lines = Vec::new();
        for (key, old) in &self.known {
            match beginning.get(key) {
                None => lines.push(old.becomes("server-gone", now)),
                Some(new) if old.is_ghost && !new.is_ghost => lines.push(old.becomes("rescued", now)),
                Some(_) => {}
            }
        }
        self.known = beginning;
        lines
    }
}

impl ToldServer {
    /// What has become of it.
    fn becomes(&self, kind: &str, now: &str) -> JsonLine {
        let mut line = self.line.clone();
        line.remove("started");
        line.insert("event".to_owned(), kind.into());
        line.insert("time".to_owned(), now.into());
        if kind == "server-gone" {
            line.insert("cause".to_owned(), Value::Null);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: &str, path: &str, pid: i64, started: &str) -> String {
        format!(
            r#"{{"version":1,"event":"{kind}","path":"{path}","server_pid":{pid},"started":"{started}","uid":0}}"#
        )
    }

    fn told(heard: LineHeard) -> Vec<String> {
        let lines = match heard {
            LineHeard::Lines(lines) | LineHeard::Ready(_, lines) => lines,
            LineHeard::Garbled => return vec!["garbled".to_owned()],
        };
        assert!(lines.iter().all(|line| line.get("uid") == Some(&7.into())), "{lines:?}");
        let text = |line: &JsonLine, field: &str| {
            line.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        lines.iter().map(|line| format!("{} {}", text(line, "event"), text(line, "path"))).collect()
    }

    #[test]
    fn a_worker_that_begins_again_tells_what_has_changed_and_nothing_twice() {
        let mut servers = ToldServers::new(Uid::new(7));
        let mut hear = |line: &str| told(servers.hear(line.as_bytes(), "T"));
        for (path, pid) in [("/stays", 1), ("/goes", 2), ("/again", 3), ("/ghost", 4)] {
            assert_eq!(hear(&line("server-up", path, pid, "a")), [format!("server-up {path}")]);
        }
        assert_eq!(hear(&line("ghost", "/ghost", 4, "")), ["ghost /ghost"]);
        assert_eq!(hear(r#"{"event":"ready"}"#), [""; 0]);
        assert_eq!(hear(&line("renamed", "/stays", 1, "")), ["renamed /stays"]);
        for _ in 0..2 {
            servers.begin();
            let mut hear = |line: &str| told(servers.hear(line.as_bytes(), "T"));
            assert_eq!(hear(&line("server-up", "/stays", 1, "a")), [""; 0]);
            assert_eq!(hear(&line("server-up", "/ghost", 4, "a")), [""; 0]);
            assert_eq!(hear(&line("ghost", "/ghost", 4, "")), [""; 0]);
            // This worker ends before it was ready.
        }
        servers.begin();
        let mut hear = |line: &str| told(servers.hear(line.as_bytes(), "T"));
        assert_eq!(hear(&line("server-up", "/stays", 1, "a")), [""; 0]);
        assert_eq!(hear(&line("server-up", "/again", 3, "b")), ["server-gone /again", "server-up /again"]);
        assert_eq!(hear(&line("server-up", "/ghost", 4, "a")), [""; 0]);
        assert_eq!(hear(&line("server-up", "/new", 5, "a")), ["server-up /new"]);
        assert_eq!(hear(r#"{"event":"ready"}"#), ["rescued /ghost", "server-gone /goes"]);
        assert_eq!(hear(&line("server-gone", "/stays", 1, "")), ["server-gone /stays"]);
    }

    #[test]
    fn what_makes_no_sense_is_not_passed_on() {
        let mut servers = ToldServers::new(Uid::new(7));
        for line in ["", "x", "[]", "{}", r#"{"event":"server-up"}"#, r#"{"event":"x","path":"/x"}"#] {
            assert_eq!(servers.hear(line.as_bytes(), "T"), LineHeard::Garbled, "{line}");
        }
        for number in 0..MOST {
            assert_ne!(
                servers.hear(line("server-up", &number.to_string(), 1, "").as_bytes(), "T"),
                LineHeard::Garbled
            );
        }
        assert_eq!(
            servers.hear(line("server-up", "/x", 1, "").as_bytes(), "T"),
            LineHeard::Garbled,
            "too many"
        );
    }
}
