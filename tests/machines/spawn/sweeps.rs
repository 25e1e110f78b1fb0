//! `sweep`, `status` and `rescue` in every sandbox that a unit can have: what lives is never touched, and where something
//! cannot be seen it is not called healthy, swept or free of ghosts.

use super::JANITOR;
use super::sandboxes::{BLIND, SANDBOXES, is_refused};
use crate::machine::{Machine, User};
use crate::units::scene::UNTIL_CLOSED;
use serde_json::Value;

/// What a sandbox must let a sweep do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// The dead socket is removed.
    Whole,
    /// It is not, and that is said.
    None,
    /// One or the other, by what the manager makes of it.
    Either,
}

/// What lets nobody see the user's sockets, or the network namespace that they are in.
const HIDES: [&str; 4] = ["PrivateNetwork=", "PrivateTmp=", "TemporaryFileSystem=", "BindPaths="];
/// What may, by the systemd and by who asks for it: with these the manager can be hidden, or the folder read-only.
const MAY_HIDE: [&str; 5] =
    ["PrivatePIDs=", "ProtectProc=", "ProtectSystem=strict", "RootDirectory=", "ProtectHome="];

fn sight(properties: &str) -> Sight {
    let has = |words: &[&str]| words.iter().any(|word| properties.contains(word));
    match (has(&HIDES), has(&MAY_HIDE) && !properties.contains("ReadWritePaths=/tmp")) {
        (true, _) => Sight::None,
        (false, true) => Sight::Either,
        (false, false) => Sight::Whole,
    }
}

/// Three commands in one unit; a line for each: its exit code and its JSON.
const SCRIPT: &str = r#"for command in "status --json" "rescue --dry-run --json" "sweep --json"; do
    out=$(@JANITOR@ $command) && code=0 || code=$?; echo $code $out; done"#;

#[test]
fn what_a_sandbox_hides_is_neither_removed_nor_called_healthy() {
    let Some(machine) = Machine::boot() else { return };
    let ann = machine.user("ann");
    let version = machine.sh("systemctl --version");
    for label in ["live", "ghost"] {
        machine.sh_as(
            &ann,
            &format!("systemd-run --user --scope --quiet --collect \"$TMUX_BIN\" -L {label} new-session -d"),
        );
    }
    let server = pid(&machine, &ann, "live");
    let socket = |label: &str| format!("/tmp/tmux-{}/{label}", ann.uid);
    machine.sh(&format!("rm {}", socket("ghost")));
    let (mut seen, mut wrong) = (Vec::new(), Vec::new());
    for (manager, run) in [
        ("user", "systemd-run --user --quiet --wait --pipe --collect"),
        ("system", "systemd-run --quiet --wait --pipe --collect --uid=ann"),
    ] {
        for properties in SANDBOXES.iter().chain(BLIND) {
            if machine.try_sh(&format!("test -e {}", socket("gone"))).code != Some(0) {
                leave_dead(&machine, &ann);
            }
            let script = SCRIPT.replace("@JANITOR@", JANITOR);
            let line = format!("{run} {properties} -- /bin/sh -c '{script}'");
            let ended =
                if manager == "user" { machine.try_sh_as(&ann, &line) } else { machine.try_sh(&line) };
            let about = format!("{manager} {properties}: {ended:?}\n{version}");
            if is_refused(&ended) {
                continue;
            }
            let answers: Vec<(i32, Value)> = ended.out.lines().map(answer).collect();
            let [(status, _), (rescue, ghosts), (sweep, swept)] = &answers[..] else { panic!("{about}") };
            let is_there = machine.try_sh(&format!("test -e {}", socket("gone"))).code == Some(0);
            seen.push(format!(
                "{manager} {properties}: status {status}, rescue {rescue}, sweep {sweep}, {}",
                if is_there { "kept" } else { "removed" }
            ));
            assert_eq!(pid(&machine, &ann, "live"), server, "{about}");
            let is_unknown = |entry: &Value| entry["path"] == socket("gone") && entry["state"] == "unknown";
            let is_said = *sweep != 0 || swept["sockets"].as_array().into_iter().flatten().any(is_unknown);
            // Nothing is worse than "nothing to do".
            let is_right = (*rescue != 0 || ghosts["counts"]["ghost"] == 1)
                && if is_there {
                    is_said && (matches!(status, 4 | 78) || (*status, *sweep) == (1, 1))
                } else {
                    (*status, *sweep) == (1, 0)
                };
            // The user's manager of systemd 252 leaves out without a word what it has no right to.
            let may_ignore = manager == "user" && version.starts_with("systemd 252 ");
            let is_as_wanted = match sight(properties) {
                Sight::None if may_ignore => true,
                Sight::Whole => !is_there,
                Sight::None => is_there,
                Sight::Either => true,
            };
            if !is_right || !is_as_wanted {
                wrong.push(about);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // systemd 252 refuses most to a user's manager that has no rights for it.
    assert!(seen.len() >= 25, "{seen:#?}");
    // What was seen as a ghost through all of it is one, and can be helped.
    machine.sh_as(&ann, &format!("{JANITOR} rescue"));
    pid(&machine, &ann, "ghost");
}

fn answer(line: &str) -> (i32, Value) {
    let (code, json) = line.split_once(' ').unwrap_or((line, ""));
    (code.parse().unwrap(), serde_json::from_str(json).unwrap_or_default())
}

#[track_caller]
fn pid(machine: &Machine, user: &User, label: &str) -> String {
    machine.sh_as(user, &format!("\"$TMUX_BIN\" -N -L {label} display-message -p '#{{pid}}'"))
}

/// Starts a server and kills it, which leaves its socket behind.
fn leave_dead(machine: &Machine, user: &User) {
    machine.sh_as(
        user,
        &format!(
            "systemd-run --user --scope --quiet --collect \"$TMUX_BIN\" -L gone new-session -d
            pid=$(\"$TMUX_BIN\" -L gone display-message -p '#{{pid}}')
            kill -KILL $pid
            tail --pid=$pid --sleep-interval=0.01 --follow /dev/null
            P=/tmp/tmux-{}/gone
            {UNTIL_CLOSED}",
            user.uid
        ),
    );
}
