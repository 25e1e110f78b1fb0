//! The real `node_exporter` and the real Prometheus: the row is scraped, and a dead socket that stays is told of.

use crate::common::arena::Arena;
use crate::common::janitor::{Run, janitor};
use crate::common::metrics::samples;
use crate::common::skip::skip;
use crate::common::wait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A server of a test. It ends when this is dropped.
struct Server {
    child: Child,
    log: PathBuf,
    address: String,
}

impl Server {
    /// Starts a program that takes a free port and says which; `None`, after a loud skip, where it is not installed.
    #[track_caller]
    fn start(names: &[&str], arguments: &[String], room: &Path) -> Option<Self> {
        let log = room.join(format!("{}.log", names[0]));
        for name in names {
            let mut command = Command::new(name);
            command.args(arguments).args(["--web.listen-address", "127.0.0.1:0"]).current_dir(room);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
            match command.spawn() {
                Ok(child) => {
                    let mut server = Self { child, log, address: String::new() };
                    wait::until("it says where it listens", || server.finds_address());
                    return Some(server);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => panic!("{name}: {error}"),
            }
        }
        skip(&format!("{} is not installed", names[0]));
        None
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn finds_address(&mut self) -> bool {
        assert!(self.child.try_wait().unwrap().is_none(), "{}", self.log());
        let log = self.log();
        let line = log.lines().find(|line| line.contains("\"Listening on\""));
        let address = line.and_then(|line| line.split("address=").nth(1));
        address.unwrap_or_default().split(' ').next().unwrap_or_default().clone_into(&mut self.address);
        !self.address.is_empty()
    }

    /// What it answers to a request, once it is ready to.
    fn get(&self, path: &str) -> String {
        let mut body = None;
        wait::until("it answers", || {
            let (status, said) = self.ask(path);
            // Prometheus listens before it is ready.
            assert!(status == "200" || status == "503", "{path}: {status} {said}");
            body = (status == "200").then_some(said);
            body.is_some()
        });
        body.unwrap()
    }

    /// The status of an answer, and the answer.
    fn ask(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        (head.split(' ').nth(1).unwrap_or_default().to_owned(), body.to_owned())
    }

    /// What a query of its own language gives: labels and values.
    fn query(&self, expr: &str) -> Vec<(Value, f64)> {
        let escaped = expr.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
        let json: Value = serde_json::from_str(&self.get(&format!("/api/v1/query?query={escaped}"))).unwrap();
        let of =
            |found: &Value| (found["metric"].clone(), found["value"][1].as_str().unwrap().parse().unwrap());
        json["data"]["result"].as_array().unwrap().iter().map(of).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The shipped rules with every `for:` shortened: nobody waits half an hour for a test.
fn hurried_rules() -> String {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/prometheus/tmux-janitor.rules.yml");
    let rules = fs::read_to_string(rules).unwrap();
    let hurried = |line: &str| {
        let (indent, word) = line.split_at(line.len() - line.trim_start().len());
        if word.starts_with("for: ") { format!("{indent}for: 1s\n") } else { format!("{line}\n") }
    };
    let rules: String = rules.lines().map(hurried).collect();
    assert!(rules.matches("for: 1s").count() > 3, "{rules}");
    rules
}

#[test]
fn the_row_is_scraped_and_a_dead_socket_that_stays_is_told_of() {
    let arena = Arena::new().live("live").dead("stays").dead("too");
    let room = tempfile::tempdir().unwrap();
    let files = room.path().join("textfiles");
    fs::create_dir(&files).unwrap();
    let row = files.join("tmux-janitor.prom");
    let write = || Run::of(janitor(arena.dir()).args(["status", "--metrics-file"]).arg(&row)).code;

    let arguments = [
        "--collector.disable-defaults".to_owned(),
        "--collector.textfile".to_owned(),
        format!("--collector.textfile.directory={}", files.display()),
    ];
    let names = ["prometheus-node-exporter", "node_exporter"];
    let Some(exporter) = Server::start(&names, &arguments, room.path()) else { return };
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [rules.yml]\n\
         scrape_configs: [{{job_name: node, static_configs: [{{targets: ['{}']}}]}}]\n",
        exporter.address
    );
    fs::write(room.path().join("rules.yml"), hurried_rules()).unwrap();
    fs::write(room.path().join("prometheus.yml"), config).unwrap();
    assert_eq!(write(), Some(1));
    let arguments = ["--config.file=prometheus.yml", "--storage.tsdb.path=data"].map(str::to_owned);
    let Some(prometheus) = Server::start(&["prometheus"], &arguments, room.path()) else { return };

    // Every sample, as it stands in the file.
    let expected = samples(&fs::read_to_string(&row).unwrap());
    let as_written = |(metric, value): (Value, f64)| {
        let label = |name: &str| metric[name].as_str().map(|value| format!("{name}=\"{value}\""));
        let labels: Vec<_> =
            ["cause", "place", "state", "uid", "version"].into_iter().filter_map(label).collect();
        (format!("{}{{{}}}", metric["__name__"].as_str().unwrap(), labels.join(",")), value)
    };
    let in_prometheus = || -> BTreeMap<String, f64> {
        prometheus.query("{__name__=~\"tmux_janitor_.*\"}").into_iter().map(as_written).collect()
    };
    wait::until("the row is scraped", || in_prometheus().len() == expected.len());
    assert_eq!(in_prometheus(), expected);
    let passed_on = exporter.get("/metrics");
    assert!(passed_on.contains("\nnode_textfile_scrape_error 0\n"), "{passed_on}");
    assert!(passed_on.contains("\n# TYPE tmux_janitor_sockets gauge\n"), "{passed_on}");

    let firing = || prometheus.query("ALERTS{alertstate=\"firing\"}");
    wait::until("the alert fires", || !firing().is_empty());
    let uid = rustix::process::getuid().to_string();
    for (alert, value) in firing() {
        assert_eq!(value, 1.0);
        assert_eq!(
            (&alert["alertname"], &alert["instance"], &alert["state"], &alert["uid"]),
            (
                &"TmuxDeadSocketStays".into(),
                &exporter.address.as_str().into(),
                &"dead".into(),
                &uid.as_str().into()
            )
        );
    }
    let alerts: Value = serde_json::from_str(&prometheus.get("/api/v1/alerts")).unwrap();
    let summary = alerts["data"]["alerts"][0]["annotations"]["summary"].as_str().unwrap();
    assert_eq!(summary, format!("{}: dead tmux sockets stay (2, uid {uid})", exporter.address));

    Run::of(janitor(arena.dir()).arg("sweep"));
    assert_eq!(write(), Some(0));
    wait::until("the alert is over", || prometheus.query("ALERTS").is_empty());
    assert_eq!(prometheus.query("sum(tmux_janitor_sockets{state=\"live\"})")[0].1, 1.0);
}
