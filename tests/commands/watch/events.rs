//! The reader of events, and what it was told.

use crate::common::daemon::{ended, watches};
use crate::common::janitor::{janitor, with};
use crate::common::wait;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A running `tmux-janitor events --json`.
pub(crate) struct Events {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Events {
    /// Follows `dir`. What runs there is announced first: `announced` servers.
    #[track_caller]
    pub(crate) fn of(dir: &Path, announced: usize) -> Self {
        Self::from(with(janitor(dir), ["events", "--json"]), announced)
    }

    /// The same by a command.
    #[track_caller]
    pub(crate) fn from(command: Command, announced: usize) -> Self {
        let events = Self::run(command);
        // Beside them a ghost is told of as one, and that it is ready.
        assert!(events.all().len() > announced, "{:?}", events.all());
        // inotify is there, so births are seen from now on.
        wait::until("the stream listens", || watches(events.child.id()));
        events
    }

    /// Runs this command until it is ready.
    #[track_caller]
    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (reader, sink) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                sink.lock().unwrap().push(serde_json::from_str(&line).expect("each line is an object"));
            }
        });
        let events = Self { child, lines };
        wait::until("it is ready", || events.all().iter().any(|event| event["event"] == "ready"));
        events
    }

    pub(crate) fn all(&self) -> Vec<Value> {
        self.lines.lock().unwrap().clone()
    }

    /// Each event in turn, with its label.
    pub(crate) fn in_turn(&self) -> Vec<(String, Option<String>)> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.all().iter().map(|event| (text(&event["event"]).unwrap(), text(&event["label"]))).collect()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The events of a label: what, and whose.
    pub(crate) fn of_label(&self, label: &str) -> Vec<(String, Option<i64>)> {
        let of = |event: &Value| (event["event"].as_str().unwrap().to_owned(), event["server_pid"].as_i64());
        self.all().iter().filter(|event| event["label"] == label).map(of).collect()
    }

    /// The events of a label.
    pub(crate) fn whats(&self, label: &str) -> Vec<String> {
        self.of_label(label).into_iter().map(|(what, _)| what).collect()
    }

    /// How many events of that kind a label has had.
    pub(crate) fn count(&self, label: &str, what: &str) -> usize {
        self.of_label(label).iter().filter(|(event, _)| event == what).count()
    }

    /// How the one server of a label ended.
    #[track_caller]
    pub(crate) fn cause(&self, label: &str) -> Value {
        let gone = |event: &&Value| event["label"] == label && event["event"] == "server-gone";
        self.all().iter().find(gone).expect("it has gone")["cause"].clone()
    }

    /// Waits for an event.
    #[track_caller]
    pub(crate) fn until(&self, label: &str, what: &str) {
        wait::until(&format!("{what} of {label:?}"), || self.count(label, what) > 0);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Ends it as a supervisor would.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        assert_eq!(ended(&mut self.child).code(), Some(0));
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the events:\n{:#?}", self.all());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
