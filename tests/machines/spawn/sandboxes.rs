//! `spawn` in every sandbox that a unit can have: it says 0 only for a session that its user can reach from outside,
//! and that outlives the unit.

use super::{JANITOR, in_system_service};
use crate::machine::{Ended, Machine, User};
use serde_json::Value;

/// Properties of units; the right answer is a session that can be reached.
pub(crate) const SANDBOXES: &[&str] = &[
    "",
    "-p PrivateTmp=yes",
    "-p PrivateTmp=disconnected",
    "-p PrivateTmp=yes -p DefaultDependencies=no",
    "-p TemporaryFileSystem=/tmp:mode=1777",
    "-p BindPaths=/var/tmp:/tmp",
    "-p ProtectSystem=strict",
    "-p ProtectSystem=strict -p ReadWritePaths=/tmp",
    "-p PrivateDevices=yes",
    "-p PrivateUsers=yes",
    "-p PrivateUsers=full",
    "-p PrivateNetwork=yes",
    "-p PrivatePIDs=yes",
    "-p PrivatePIDs=yes -p PrivateTmp=yes",
    "-p PrivatePIDs=yes -p TemporaryFileSystem=/tmp:mode=1777",
    "-p ProtectProc=invisible",
    "-p ProtectProc=invisible -p TemporaryFileSystem=/tmp:mode=1777",
    "-p ProtectProc=invisible -p ProcSubset=pid",
    "-p ProtectControlGroups=strict",
    "-p ProtectControlGroups=strict -p TemporaryFileSystem=/tmp:mode=1777",
    "-p InaccessiblePaths=/sys/fs/cgroup -p TemporaryFileSystem=/tmp:mode=1777",
    "-p NoNewPrivileges=yes -p RestrictNamespaces=yes -p MemoryDenyWriteExecute=yes -p SystemCallFilter=@system-service",
    "-p RootDirectory=/",
];

/// Those that hide the home, and with it the configuration, which may say what is to be kept.
pub(crate) const BLIND: &[&str] = &["-p ProtectHome=yes", "-p ProtectHome=tmpfs"];

/// What systemd ends a unit with whose sandbox it cannot make: `EXIT_NAMESPACE` and its kind (systemd.exec(5)).
const NO_SANDBOX: std::ops::RangeInclusive<i32> = 200..=243;

/// Whether this systemd knows these properties and can have them.
pub(crate) fn is_refused(ended: &Ended) -> bool {
    ended.code.is_some_and(|code| NO_SANDBOX.contains(&code))
        || ["Failed to parse", "Unknown assignment"].iter().any(|text| ended.err.contains(text))
}

#[test]
fn nobody_is_told_of_a_session_that_cannot_be_reached() {
    let Some(machine) = Machine::boot() else { return };
    let ann = machine.user("ann");
    let version = machine.sh("systemctl --version");
    let mut refused = Vec::new();
    for (manager, run) in [
        ("user", "systemd-run --user --quiet --wait --pipe --collect"),
        ("system", "systemd-run --quiet --wait --pipe --collect --uid=ann"),
    ] {
        for (number, properties) in SANDBOXES.iter().chain(BLIND).enumerate() {
            let script =
                format!("{run} {properties} -- {JANITOR} spawn --json {manager}-{number} -- sleep 1000");
            let ended =
                if manager == "user" { machine.try_sh_as(&ann, &script) } else { machine.try_sh(&script) };
            let about = format!("{manager} {properties}: {ended:?}\n{version}");
            if is_refused(&ended) {
                refused.push(format!("{manager} {properties}"));
            } else if ended.code == Some(78) {
                assert!(BLIND.contains(properties), "{about}");
            } else {
                // The user's manager of systemd 252 leaves ProtectHome= out without a word.
                assert_eq!(ended.code, Some(0), "{about}");
                let json: Value = serde_json::from_str(&ended.out).unwrap();
                is_reached(&machine, &ann, &json, &about);
            }
        }
    }
    // systemd 252 refuses most to a user's manager that has no rights for it.
    assert!(refused.len() <= 22, "{refused:#?}");
}

fn is_reached(machine: &Machine, user: &User, json: &Value, about: &str) {
    let (socket, session) = (json["socket"].as_str().unwrap(), json["session"].as_str().unwrap());
    let seen = machine.try_sh_as(user, &format!("\"$TMUX_BIN\" -N -S {socket} has-session -t ={session}"));
    assert_eq!(seen.code, Some(0), "{seen:?} {about}");
    machine.sh_as(user, &format!("\"$TMUX_BIN\" -N -S {socket} kill-server"));
}

#[test]
fn where_nobody_outside_can_be_asked_it_does_not_say_yes() {
    let Some(machine) = Machine::boot() else { return };
    machine.sh("useradd --create-home --shell /bin/sh bob");
    let hidden = "-p TemporaryFileSystem=/tmp:mode=1777";
    // Without a manager process 1 shows what is outside.
    let (ended, json) = in_system_service(&machine, "bob", hidden, "one -- 'sleep 1000'");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(json["errors"][0].as_str().unwrap().contains("TemporaryFileSystem="), "{json:#}");
    // A manager that does not answer.
    let ann = machine.user("ann");
    machine.sh(&format!("kill -STOP $(systemctl show --property=MainPID --value user@{}.service)", ann.uid));
    let (ended, json) = in_system_service(&machine, "ann", hidden, "two -- 'sleep 1000'");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(json["errors"][0].as_str().unwrap().contains("did not answer"), "{json:#}");
    let deaf = "-p ProtectProc=invisible -p TemporaryFileSystem=/tmp:mode=1777";
    let (ended, _) = in_system_service(&machine, "ann", deaf, "three -- 'sleep 1000'");
    assert_eq!(ended.code, Some(1), "{ended:?}");
}
