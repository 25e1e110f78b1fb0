//! Live servers in folders that nobody sweeps: the doctor says what has them swept.

use super::{JANITOR, install, janitor};
use crate::common::arena::{self, Server};
use crate::common::janitor::Run;
use crate::users::scene::{Hall, User, make_dir};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A server that is started with `tmux -S`.
#[track_caller]
fn start(user: User, path: &str) -> Server {
    let mut command = user.command(&arena::tmux_program());
    command.args(["-f", "/dev/null", "-S", path, "new-session", "-d", "sleep 3600", ";"]);
    let output = command.args(["display-message", "-p", "#{pid}"]).output().unwrap();
    let pid = String::from_utf8_lossy(&output.stdout).trim().parse();
    Server::of(pid.unwrap_or_else(|_| panic!("tmux did not start: {output:?}")))
}

/// The doctor's notes of such folders, and the exit code without any other finding.
#[track_caller]
fn notes(user: User, config: &str) -> Vec<Value> {
    fs::write("/tmp/config.toml", config).unwrap();
    fs::set_permissions("/tmp/config.toml", fs::Permissions::from_mode(0o644)).unwrap();
    let run = Run::of(janitor(user).args(["--config", "/tmp/config.toml", "doctor", "--json"]));
    let json = run.json();
    let all = json["findings"].as_array().unwrap();
    all.iter().filter(|finding| finding["check"] == "elsewhere").cloned().collect()
}

#[track_caller]
fn text<'a>(note: &'a Value, part: &str) -> &'a str {
    note[part].as_str().unwrap()
}

#[test]
fn the_doctor_has_the_line_that_has_their_folders_swept() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let user = User::new();
    for (dir, mode) in [("/tmp/agents", 0o700), ("/tmp/o[d]d", 0o700), ("/tmp/loose", 0o770)] {
        make_dir(Path::new(dir), user);
        fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
    }
    let paths = ["/tmp/agents/a.sock", "/tmp/o[d]d/b", "/tmp/loose/c", "/tmp/plain"];
    let _servers = paths.map(|path| start(user, path));
    let found = notes(user, "extra-socket-dirs = [\"/srv/x\", \"/srv/*/y\"]\n");
    assert!(found.iter().all(|note| text(note, "severity") == "note"), "{found:#?}");
    assert_eq!(found.len(), 3, "{found:#?}");
    let of = |part: &str| {
        let mut notes = found.iter().filter(|note| text(note, "what").contains(part));
        notes.next().unwrap_or_else(|| panic!("{part}: {found:#?}"))
    };
    assert!(
        text(of("/tmp/agents, /tmp/o[d]d"), "cure")
            .ends_with("extra-socket-dirs = [\"/srv/x\", \"/tmp/agents\", \"/tmp/o[[]d]d\", \"/srv/*/y\"]"),
        "{found:#?}"
    );
    assert_eq!(text(of("/tmp/loose, which"), "command"), "chmod g-w /tmp/loose");
    assert!(
        text(of("bound in /tmp, which"), "cure").contains("`tmux-janitor sweep -S /tmp/plain`"),
        "{found:#?}"
    );

    // Both cures, and that of the note that comes of the second.
    let chmod =
        Run::of(user.command(OsStr::new("sh")).args(["-c", text(of("/tmp/loose, which"), "command")]));
    assert_eq!(chmod.code, Some(0), "{}", chmod.stderr);
    let found = notes(user, "");
    let line = text(&found[0], "cure").split_once("`): ").unwrap().1.to_owned();
    let found = notes(user, &line);
    assert!(found.len() == 1 && text(&found[0], "what").contains("bound in /tmp,"), "{line}: {found:#?}");
    // Notes are no problem: with every other check left out, whatever is wrong with this machine.
    fs::write("/tmp/unknown.toml", "[doctor]\nignore = [\"unknown\"]\n").unwrap();
    fs::set_permissions("/tmp/unknown.toml", fs::Permissions::from_mode(0o644)).unwrap();
    let run = Run::of(user.command(OsStr::new(JANITOR)).args(["check-config", "/tmp/unknown.toml"]));
    let names = run.stderr.split_once("; it has ").unwrap().1.trim().split(", ");
    let others: Vec<&str> = names.filter(|name| *name != "elsewhere").collect();
    fs::write("/tmp/config.toml", format!("[doctor]\nignore = {others:?}\n")).unwrap();
    let run = Run::of(user.command(OsStr::new(JANITOR)).args(["--config", "/tmp/config.toml", "doctor"]));
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    assert!(run.stdout.contains("elsewhere: note: "), "{}", run.stdout);
}
