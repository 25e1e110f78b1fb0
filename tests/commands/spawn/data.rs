//! NAME, --cwd, --env and COMMAND are data: nothing in them is expanded or runs, and they arrive byte
//! for byte.

use super::scene::{Scene, text};
use crate::common::arena::{Server, tmux, tmux_program};
use crate::common::wait;
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Command;

/// Words that somebody might send. `F` stands for a file that must not be made.
const HOSTILE: &[&str] = &[
    "#(touch F)",
    "x;",
    ";",
    "\\;",
    "x\\;",
    "a ; touch F",
    "$(touch F)",
    "`touch F`",
    "#{pid}",
    "#{?1,a,b}",
    "##",
    "#",
    "##[x",
    "#[fg=red]",
    "#S",
    "#,",
    "#}",
    "%H:%M",
    "$HOME",
    "${HOME}",
    "-x",
    "--",
    "=",
    "{last}",
    "@0",
    "%0",
    "$0",
    "~",
    "a\\nb",
    "a\tb",
    "a\nb",
    "ü→☃",
    "\u{1b}[31m",
    "kill-server",
];

fn hostile(scene: &Scene) -> Vec<String> {
    let file = scene.path("F").display().to_string();
    HOSTILE.iter().map(|word| word.replace('F', &file)).collect()
}

/// The session name that tmux 3.3a makes of one that cannot be kept as it is: `:` and `.` become `_`,
/// control characters are spelled out, backslashes doubled, and a variable's `$` gets one.
fn kept_by_tmux(name: &str) -> String {
    let mut kept = String::new();
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied().unwrap_or(' ');
        match c {
            '$' if next.is_ascii_alphabetic() || matches!(next, '_' | '{') => kept.push_str("\\$"),
            ':' | '.' => kept.push('_'),
            '\\' => kept.push_str("\\\\"),
            '\n' => kept.push_str("\\n"),
            '\t' => kept.push_str("\\t"),
            '\u{1b}' => kept.push_str("\\033"),
            c => kept.push(c),
        }
    }
    kept
}

/// The one session on the socket of a result has the name that tmux makes of `name`.
#[track_caller]
fn assert_kept(json: &Value, name: &str) {
    let sessions = Scene::sessions(text(json, "socket"));
    assert_eq!(sessions, format!("{}\n", text(json, "tmux_name")), "{name:?}");
    let version = Command::new(tmux_program()).arg("-V").output().unwrap().stdout;
    if version == b"tmux 3.3a\n" {
        assert_eq!(text(json, "tmux_name"), kept_by_tmux(name));
    }
}

/// The name that the tmux of the tests itself gives a session that is to be called `name`; `None`: it
/// refuses. Versions differ: 3.3a spells control characters out, 3.7 refuses them, and keeps dots and colons.
fn named_by_tmux(name: &OsStr) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let mut command = tmux(&socket);
    command.args(["new-session", "-d", "-P", "-F", "#{pid} #{session_name}", "-s"]).arg(name);
    let output = command.arg("sleep 1000").output().unwrap();
    let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let (pid, kept) = answer.split_once(' ')?;
    drop(Server::of(pid.parse().unwrap()));
    Some(kept.to_owned())
}

/// Whether the tmux of the tests takes a name with this in it.
pub(super) fn is_taken(part: &str) -> bool {
    named_by_tmux(OsStr::new(&format!("a{part}b"))).is_some()
}

#[test]
fn in_a_name_nothing_runs_and_nothing_is_lost() {
    let scene = Scene::new();
    let takes_controls = is_taken("\t");
    for name in hostile(&scene) {
        if !takes_controls && name.contains(char::is_control) {
            let (run, json) = scene.spawn([name.as_str(), "--", "sleep 1000"]);
            assert_eq!((run.code, json["outcome"].as_str()), (Some(1), Some("failed")), "{name:?}");
            continue;
        }
        if name == "--" {
            assert_eq!(scene.run([name.as_str(), "--", "sleep 1000"]).code, Some(2));
            continue;
        }
        let json = scene.made([name.as_str(), "--", "sleep 1000"]);
        assert_eq!(text(&json, "session"), name);
        assert_kept(&json, &name);
        assert_eq!(scene.run([name.as_str(), "--", "sleep 1000"]).code, Some(3), "{name:?}");
        assert_kept(&json, &name);
    }
    assert!(!scene.path("F").exists(), "a name ran");
}

#[test]
fn names_of_every_kind_get_a_session_each() {
    let scene = Scene::new();
    let long = "n".repeat(300);
    let names = ["a b", "a.b", "a:b", "a_b", ".", "..", "ß", "=x", "*", "[a]", "-", long.as_str()];
    let mut sockets = Vec::new();
    for name in names {
        let json = scene.made([name, "--", "sleep 1000"]);
        assert_kept(&json, name);
        sockets.push(text(&json, "socket").to_owned());
    }
    sockets.sort();
    sockets.dedup();
    assert_eq!(sockets.len(), names.len(), "each has a socket of its own");
    assert!(sockets.iter().all(|socket| socket.len() <= 107), "{sockets:?}");
    let bytes = OsString::from_vec(b"\xff\xfe".to_vec());
    let (run, json) = scene.spawn([bytes.as_os_str(), OsStr::new("--"), OsStr::new("sleep 1000")]);
    assert_eq!(run.code, Some(i32::from(named_by_tmux(&bytes).is_none())), "{json:#}");
    assert_eq!(json["session_bytes"], serde_json::json!([255, 254]));
}

#[test]
fn a_name_that_could_be_a_target_is_verified_by_itself_alone() {
    // "$0" is the id of the first session of every server.
    let scene = Scene::new();
    scene.made(["first", "--socket-label", "l", "--", "sleep 1000"]);
    let json = scene.made(["$0", "--socket-label", "l", "--", "sleep 1000"]);
    assert_eq!(Scene::sessions(text(&json, "socket")), "$0\nfirst\n");
    assert_eq!(scene.run(["$0", "--socket-label", "l"]).code, Some(3));
    // What differs in what tmux cannot keep is the same session for it.
    scene.made(["a.b", "--socket-label", "l", "--", "sleep 1000"]);
    let is_same = named_by_tmux(OsStr::new("a.b")) == named_by_tmux(OsStr::new("a:b"));
    assert_eq!(scene.run(["a:b", "--socket-label", "l"]).code, Some(if is_same { 3 } else { 0 }));
    // A part of a name is no name.
    scene.made(["fir", "--socket-label", "l", "--", "sleep 1000"]);
}

/// Runs a program that writes its arguments, `$V` and its directory into a file, each ended by NUL.
fn told(scene: &Scene, name: &str, options: &[&OsStr], arguments: &[&OsStr]) -> Vec<Vec<u8>> {
    let file = scene.path("told");
    let script = r#"out=$0; d=$(pwd; echo x); { printf '%s\0' "$V" "${d%?x}" "$@"; } >"$out.part"; mv "$out.part" "$out"; exec sleep 1000"#;
    let fixed = ["sh", "-c", script].map(OsStr::new);
    let mut all = vec![OsStr::new(name)];
    all.extend(options);
    all.push(OsStr::new("--"));
    all.extend(fixed);
    all.push(file.as_os_str());
    all.extend(arguments);
    scene.made(all);
    wait::until("the session tells", || file.exists());
    let text = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    text.strip_suffix(b"\0").unwrap().split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

#[test]
fn every_word_of_a_command_arrives() {
    let scene = Scene::new();
    let mut words: Vec<OsString> = hostile(&scene).into_iter().map(OsString::from).collect();
    words.extend(["".into(), OsString::from_vec(b"\xff;".to_vec())]);
    let borrowed: Vec<&OsStr> = words.iter().map(OsString::as_os_str).collect();
    let told_words = told(&scene, "all", &[], &borrowed);
    let expected: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    assert_eq!(told_words[2..], expected);
    // Each at the end, where tmux looks for the end of a command.
    for (number, word) in borrowed.iter().enumerate() {
        assert_eq!(told(&scene, &format!("last-{number}"), &[], &[word])[2..], [word.as_bytes()]);
    }
    assert!(!scene.path("F").exists(), "a word ran");
}

#[test]
fn the_environment_arrives() {
    let scene = Scene::new();
    for (number, value) in hostile(&scene).into_iter().enumerate() {
        let variable = format!("V={value}");
        let options = [OsStr::new("--env"), OsStr::new(&variable)];
        let said = told(&scene, &number.to_string(), &options, &[]);
        assert_eq!(String::from_utf8_lossy(&said[0]), value);
    }
    assert!(!scene.path("F").exists(), "a variable ran");
}

#[test]
fn the_directory_arrives() {
    let scene = Scene::new();
    for (number, name) in HOSTILE.iter().enumerate() {
        let dir = scene.path("dirs").join(name.replace('/', "_"));
        fs::create_dir_all(&dir).unwrap();
        let options = [OsStr::new("--cwd"), dir.as_os_str()];
        let said = told(&scene, &number.to_string(), &options, &[]);
        assert_eq!(String::from_utf8_lossy(&said[1]), dir.to_str().unwrap());
    }
    let made: Vec<_> = fs::read_dir(scene.path("dirs")).unwrap().collect();
    assert_eq!(made.len(), HOSTILE.len(), "nothing else was made");
}

#[test]
fn one_word_is_a_shell_line() {
    let scene = Scene::new();
    let file = scene.path("line");
    let line = format!(
        "printf '%s' \"#{{pid}} $((1 + 1));\" >{0}.part; mv {0}.part {0}; sleep 1000;",
        file.display()
    );
    scene.made(["x", "--", &line]);
    wait::until("the line ran", || file.exists());
    assert_eq!(fs::read_to_string(file).unwrap(), "#{pid} 2;");
}

#[test]
fn a_stranger_cannot_end_the_server_that_is_joined() {
    let scene = Scene::new();
    let json = scene.made(["home", "--socket-label", "l", "--", "sleep 1000"]);
    for (number, words) in
        [&["sleep", ";", "kill-server"][..], &["sh", "-c", "sleep 1000", ";", "kill-server", ";"]]
            .into_iter()
            .enumerate()
    {
        let name = format!("n{number};");
        scene.spawn([&[name.as_str(), "--socket-label", "l", "--"][..], words].concat());
    }
    let alive = tmux(text(&json, "socket").as_ref()).args(["has-session", "-t", "=home"]).status();
    assert!(alive.is_ok_and(|alive| alive.success()));
    assert!(Command::new("kill").args(["-0", &json["server_pid"].to_string()]).status().unwrap().success());
}
