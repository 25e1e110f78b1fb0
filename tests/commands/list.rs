//! `list`: the table, the fields, what is told of live servers, and what was asked for.

use crate::common::arena::{Arena, Server, tmux};
use crate::common::janitor::{Run, bare, entry, find, janitor};
use crate::common::terminal::Terminal;
use crate::common::wait;
use serde_json::Value;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, SystemTime};

/// What is said of a folder, as JSON.
fn json(dir: &Path, arguments: &[&str]) -> Value {
    let run = Run::of(janitor(dir).args(["list", "--json"]).args(arguments));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.json()
}

/// The labels that are listed, sorted.
fn labels(json: &Value) -> Vec<&str> {
    let sockets = json["sockets"].as_array().unwrap();
    let mut labels: Vec<&str> = sockets.iter().map(|socket| socket["label"].as_str().unwrap()).collect();
    labels.sort_unstable();
    labels
}

/// What a terminal of that width is shown, without what ends its lines.
#[track_caller]
fn shown(dir: &Path, columns: u16, arguments: &[&str]) -> Vec<String> {
    shown_of(&[dir], columns, arguments)
}

/// The same, of several folders.
#[track_caller]
fn shown_of(dirs: &[&Path], columns: u16, arguments: &[&str]) -> Vec<String> {
    let (terminal, end) = Terminal::of_width(columns);
    let mut command = bare();
    for dir in dirs {
        command.arg("--dir").arg(dir);
    }
    command.arg("list").args(arguments).env("NO_COLOR", "1").stdout(end);
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    // The terminal is open as long as the command is there to be run.
    drop(command);
    terminal.all().lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
}

/// A tmux client on a terminal of its own.
struct Client(Child);

impl Client {
    #[track_caller]
    fn attach(socket: &Path) -> Self {
        let (terminal, end) = Terminal::of_width(80);
        let mut command = tmux(socket);
        command.arg("attach").env("TERM", "xterm").stdin(end.try_clone().unwrap());
        let client = Self(command.stdout(end.try_clone().unwrap()).stderr(end).spawn().unwrap());
        // It is read until the client closes it.
        std::thread::spawn(move || terminal.all());
        client
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_live_server_is_told_of_in_detail() {
    let before = SystemTime::now() - Duration::from_secs(2);
    let arena = Arena::new().live("a").dead("dead");
    let json = json(arena.dir(), &[]);
    let live = entry(&json, "a");
    let started = humantime::parse_rfc3339(live["started"].as_str().unwrap()).unwrap();
    assert!(before <= started && started <= SystemTime::now() + Duration::from_secs(1), "{live:#}");
    let name = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
    assert_eq!((live["user"].as_str(), entry(&json, "dead")["user"].as_str()), (Some(&*name), Some(&*name)));
    assert!(live["memory_bytes"].as_u64().unwrap() > 100_000, "{live:#}");
    let cgroup = std::fs::read_to_string(format!("/proc/{}/cgroup", arena.server("a").pid)).unwrap();
    let unit = live["unit"].as_str();
    assert!(live.get("unit").is_some() && unit.is_none_or(|unit| cgroup.contains(unit)), "{live:#} {cgroup}");
    assert_eq!(entry(&json, "dead").get("started"), None, "nothing is told of a server that is not there");
    // Only `list` takes the trouble.
    let swept = Run::of(janitor(arena.dir()).args(["sweep", "--dry-run", "--json"])).json();
    assert_eq!(entry(&swept, "dead").get("user"), None);
}

#[test]
fn who_is_attached_is_told_without_asking() {
    let arena = Arena::new().live("a").live("b").listener("other");
    let attached = |label: &str| entry(&json(arena.dir(), &[]), label)["attached"].clone();
    assert_eq!((attached("a"), attached("b")), (false.into(), false.into()));
    let client = Client::attach(&arena.path("a"));
    wait::until("the client is seen to be attached", || attached("a") == true);
    assert_eq!(attached("b"), false);
    let field = |label: &str| {
        let text = Run::of(janitor(arena.dir()).args(["list", "--label", label])).stdout;
        text.lines().nth(1).unwrap().split('\t').nth(4).unwrap().to_owned()
    };
    assert_eq!((field("a").as_str(), field("b").as_str()), ("yes", "no"));
    drop(client);
    wait::until("the client is seen to have gone", || attached("a") == false);
    // The socket of another program has execute bits by default, which mean nothing.
    assert_eq!(attached("other"), Value::Null);
}

#[test]
fn nobody_is_connected_to() {
    let arena = Arena::new().listener("a").listener("b").live("c");
    for arguments in [&["--json"][..], &[], &["-v"]] {
        let run = Run::of(janitor(arena.dir()).arg("list").args(arguments));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stdout.contains('a') && run.stdout.contains("live"), "{}", run.stdout);
    }
    shown(arena.dir(), 80, &[]);
    assert_eq!((arena.connections("a"), arena.connections("b")), (0, 0));
}

#[test]
fn the_memory_of_what_runs_in_the_panes_counts() {
    let arena = Arena::new().live("a").live("b");
    let fat = r#"x=$(head -c 40000000 /dev/zero | tr '\0' x); sleep 3600; : "$x""#;
    let done = tmux(&arena.path("a")).args(["respawn-pane", "-k", "sh", "-c", fat]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let memory = |label: &str| entry(&json(arena.dir(), &[]), label)["memory_bytes"].as_u64().unwrap();
    wait::until("the pane's memory is the server's", || memory("a") > 40_000_000);
    assert!(memory("b") < 20_000_000, "and nobody else's");
}

#[test]
fn a_ghost_is_told_of_in_detail_and_whether_somebody_is_attached_is_not_known() {
    let arena = Arena::new().live("a");
    std::fs::remove_file(arena.path("a")).unwrap();
    let json = json(arena.dir(), &[]);
    let ghost = entry(&json, "a");
    assert_eq!((ghost["state"].as_str(), &ghost["attached"]), (Some("ghost"), &Value::Null));
    assert!(ghost["started"].is_string() && ghost["memory_bytes"].is_u64(), "{ghost:#}");
}

#[test]
fn a_pipe_gets_fields_and_a_terminal_a_table() {
    let hostile = "a\tb\n\x1b[31m日本";
    let arena = Arena::new().live("work").dead(hostile).bound_only("bound");
    let piped = Run::of(janitor(arena.dir()).arg("list")).stdout;
    let lines: Vec<Vec<&str>> = piped.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(
        lines[0],
        ["STATE", "LABEL", "PID", "AGE", "ATTACHED", "UNIT", "MEMORY", "USER", "PATH", "REASON"]
    );
    assert!(lines.len() == 4 && lines.iter().all(|fields| fields.len() == 10), "{piped}");
    let dead = lines.iter().find(|fields| fields[0] == "dead").unwrap();
    assert_eq!((dead[1], dead[2]), ("a\\tb\\n\\x1b[31m日本", "-"));
    let live = lines.iter().find(|fields| fields[0] == "live").unwrap();
    assert_eq!(
        (live[2], live[8]),
        (&*arena.server("work").pid.to_string(), arena.path("work").to_str().unwrap())
    );

    let wide = shown(arena.dir(), 200, &[]);
    assert_eq!(
        wide[0].split_whitespace().collect::<Vec<_>>(),
        ["STATE", "LABEL", "PID", "AGE", "ATTACHED", "UNIT", "MEMORY"]
    );
    let bound = wide.iter().position(|line| line.starts_with("unknown")).unwrap();
    assert!(wide[bound + 1].starts_with("  a process has bound it"), "{wide:#?}");
    assert_eq!(wide.len(), 5, "only what is neither live nor dead has a reason: {wide:#?}");
    let narrow = shown(arena.dir(), 60, &["-v"]);
    assert!(narrow.iter().all(|line| line.chars().count() <= 60), "{narrow:#?}");
    assert!(narrow.iter().any(|line| line.starts_with("  a server listens")), "{narrow:#?}");
    let (first, second) = (Arena::new().dead("x"), Arena::new().dead("y"));
    let both = shown_of(&[first.dir(), second.dir()], 100, &[]);
    let path = second.path("y").display().to_string();
    assert!(both[0].contains(" PATH ") && both[2].contains(&path), "{both:#?}");
}

#[test]
fn only_what_was_asked_for_is_listed_and_all_is_counted() {
    let arena = Arena::new().live("work-1").dead("work-2").dead("old").bound_only("bound");
    let asked = |arguments: &[&str]| {
        let json = json(arena.dir(), arguments);
        assert_eq!((&json["counts"]["live"], &json["counts"]["dead"]), (&1.into(), &2.into()), "{json:#}");
        labels(&json).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(asked(&[]), ["bound", "old", "work-1", "work-2"]);
    assert_eq!(asked(&["--label", "work-*"]), ["work-1", "work-2"]);
    assert_eq!(asked(&["--label", "?ld"]), ["old"]);
    assert_eq!(asked(&["--label", "[bo]*"]), ["bound", "old"]);
    assert_eq!(asked(&["--state", "dead"]), ["old", "work-2"]);
    assert_eq!(asked(&["--state", "dead", "--state", "unknown"]), ["bound", "old", "work-2"]);
    assert_eq!(asked(&["--state", "dead", "--label", "work-*"]), ["work-2"]);
    assert_eq!(asked(&["--label", "nothing"]), [""; 0]);
    let text = Run::of(janitor(arena.dir()).args(["list", "--state", "live"])).stdout;
    assert!(text.lines().count() == 2 && text.contains("\nlive\twork-1\t"), "{text}");
    assert_eq!(
        shown(arena.dir(), 80, &["--label", "nothing"]),
        ["nothing matches; `tmux-janitor list` shows all 4"]
    );
    for (arguments, said) in [
        (["--label", "[a"], "invalid value '[a' for '--label <GLOB>': not a glob: "),
        (["--state", "alive"], "invalid value 'alive' for '--state <STATE>'"),
    ] {
        let run = Run::of(janitor(arena.dir()).arg("list").args(arguments));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
        assert!(run.stderr.starts_with("error: ") && run.stderr.contains(said), "{}", run.stderr);
    }
    let states = Run::of(janitor(arena.dir()).args(["list", "--state", "alive"])).stderr;
    assert!(states.contains("live, starting, dead, ghost, foreign, unknown, not-a-socket"), "{states}");
}

#[test]
fn a_server_that_is_stopped_is_told_of_all_the_same() {
    let arena = Arena::new().stopped("a");
    let json = json(arena.dir(), &[]);
    let stopped: &Server = arena.server("a");
    let entry = find(&json, "a").unwrap();
    assert_eq!(
        (entry["state"].as_str(), entry["server_pid"].as_i64()),
        (Some("live"), Some(stopped.pid.into()))
    );
    assert!(entry["started"].is_string() && entry["memory_bytes"].is_u64(), "{entry:#}");
}
