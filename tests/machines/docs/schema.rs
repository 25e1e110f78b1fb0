//! The schema of what `--json` prints, against what is printed, and against the words of the code.

use super::page::Order;
use super::steps::{Scene, Step, Wants};
use super::{REPOSITORY, here};
use crate::common::skip::skip;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const FILE: &str = "docs/tmux-janitor.schema.json";
const VALIDATOR: &str = "tests/machines/docs/validate.py";

/// Sockets of every kind, names that are no text, and each command in several of its ends.
const SCENES: [&str; 3] = [
    r#"live homebase; dead old; live lost; rm /tmp/tmux-1000/lost; touch /tmp/tmux-1000/note
       for name in old homebase none note lost; do tmux-janitor probe -L "$name" --json; done
       tmux-janitor probe --session x --json
       tmux-janitor list --json; tmux-janitor status --json; tmux-janitor doctor --json
       tmux-janitor rescue --dry-run --json; tmux-janitor sweep --dry-run --json; tmux-janitor sweep --json
       timeout 1 tmux-janitor events --json --dead
       tmux-janitor rescue --json; tmux-janitor status --json; tmux-janitor --dir /none list --json
       tmux-janitor events --json >told & until grep -q server-up told; do sleep 0.1; done
       mv /tmp/tmux-1000/homebase "$(printf '/tmp/tmux-1000/a\377')"; until grep -q renamed told; do sleep 0.1; done
       mv "$(printf '/tmp/tmux-1000/a\377')" /tmp/tmux-1000/homebase
       tmux -L homebase kill-server; until grep -q server-gone told; do sleep 0.1; done; kill $!; cat told"#,
    r"tmux-janitor spawn work --json -- sleep 1000; tmux-janitor spawn work --json; tmux-janitor spawn work --exist-ok --json
       tmux-janitor spawn short --json -- false; tmux-janitor spawn none --join-only --json
       tmux-janitor spawn killed --json -- sh -c 'kill -9 $$'; chmod 500 /tmp/tmux-1000; chmod 500 /run/user/1000
       tmux-janitor spawn nowhere --json -- sleep 1000; tmux-janitor spawn work --cwd /none --json
       chmod 700 /tmp/tmux-1000 /run/user/1000
       printf '#!/bin/sh\ntmux kill-server\nrm /tmp/tmux-1000/x\n' >bad; printf '#!/bin/sh\n:\n' >good
       tmux-janitor audit --json bad good; tmux-janitor audit --json good",
    r#"odd=$(printf 'a\377b\n'); dead "$odd"; live x; tmux-janitor list --json; tmux-janitor probe -L "$odd" --json
       tmux-janitor sweep --json; mkdir -p "$odd"; tmux-janitor --dir "$odd" list --json
       tmux-janitor spawn "$odd" --json -- sleep 1000; chmod 755 /tmp/tmux-1000; tmux-janitor status --json; chmod 700 /tmp/tmux-1000
       rm /tmp/tmux-1000/x; live x; tmux-janitor rescue --aside --dry-run --json; tmux-janitor rescue --aside --json"#,
];

fn schema() -> Value {
    serde_json::from_str(&fs::read_to_string(Path::new(REPOSITORY).join(FILE)).unwrap()).unwrap()
}

#[test]
fn everything_that_is_printed_is_in_the_schema() {
    if !here::is_possible() {
        return;
    }
    let has_library =
        Command::new("/usr/bin/python3").args(["-c", "import jsonschema"]).stderr(Stdio::null()).status();
    if !has_library.is_ok_and(|status| status.success()) {
        return skip("python3-jsonschema is not installed");
    }
    let mut printed = String::new();
    for script in SCENES {
        let step = Step { line: 0, script: format!("{{ {script}\n}} 2>/dev/null"), wants: Wants::Success };
        let said = here::run(&Scene { page: FILE.to_owned(), order: Order::Here, steps: vec![step] });
        printed.extend(
            said[0].text.lines().filter(|line| line.starts_with('{')).map(|line| format!("{line}\n")),
        );
    }
    let kinds: BTreeSet<String> = printed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|object| object["command"].as_str().unwrap_or("event").to_owned())
        .collect();
    let all = ["audit", "doctor", "event", "list", "probe", "rescue", "spawn", "status", "sweep"];
    assert_eq!(kinds, all.map(str::to_owned).into(), "{printed}");
    let mut validator = Command::new("/usr/bin/python3")
        .args([VALIDATOR, FILE])
        .current_dir(REPOSITORY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = validator.stdin.take().unwrap();
    stdin.write_all(printed.as_bytes()).unwrap();
    drop(stdin);
    let ended = validator.wait_with_output().unwrap();
    assert!(ended.status.success());
    let wrong = String::from_utf8(ended.stdout).unwrap();
    assert!(wrong.is_empty(), "{wrong}");
}

/// What the page for programs shows of exit codes is what `--help` has, and each command is on it.
#[test]
fn the_page_has_every_command_and_every_kind() {
    let page = fs::read_to_string(Path::new(REPOSITORY).join("docs/json.md")).unwrap();
    for kind in schema()["$defs"].as_object().unwrap().keys() {
        let is_part = ["directory", "counts", "socket", "place", "run", "event"].contains(&kind.as_str());
        assert!(is_part || page.contains(&format!("`{kind}")), "{kind}");
    }
    for property in
        ["run", "status", "probe", "spawn", "doctor", "audit", "event", "ready"].iter().flat_map(|kind| {
            schema()["$defs"][kind]["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        })
    {
        assert!(property.ends_with("_bytes") || page.contains(&format!("`{property}`")), "{property}");
    }
}

/// Each part of the man page has the fields that the schema has there.
#[test]
fn the_man_page_has_every_field() {
    let page = fs::read_to_string(Path::new(REPOSITORY).join("packaging/man/tmux-janitor.json.5")).unwrap();
    let parts = page.split("\n.SH ").flat_map(|part| part.split("\n.SS ")).collect::<Vec<_>>();
    for (kinds, heading) in [
        (&["run", "counts", "directory"][..], "\"SWEEP, LIST, RESCUE\""),
        (&["socket"], "A socket"),
        (&["status", "place"], "STATUS"),
        (&["probe"], "PROBE"),
        (&["spawn"], "SPAWN"),
        (&["doctor"], "DOCTOR"),
        (&["audit"], "AUDIT"),
        (&["event", "ready"], "EVENTS"),
    ] {
        let part = parts.iter().find(|part| part.lines().next() == Some(heading));
        let part = part.unwrap_or_else(|| panic!("there is a part {heading}"));
        let words: BTreeSet<&str> = part.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for kind in kinds {
            for property in schema()["$defs"][kind]["properties"].as_object().unwrap().keys() {
                // Those stand before all parts.
                let is_everywhere = property.ends_with("_bytes") && property != "memory_bytes";
                let is_everywhere = is_everywhere || ["version", "command"].contains(&property.as_str());
                assert!(is_everywhere || words.contains(property.as_str()), "{heading}: {kind}.{property}");
            }
        }
    }
}
