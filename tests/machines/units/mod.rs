//! The units, the installer and the journal, on a real machine with real tmux servers.

mod all_users;
mod blinded;
mod catalog;
mod fleet;
mod installation;
mod journal;
mod overview;
mod sandbox;
pub(crate) mod scene;
mod setup;

use std::collections::BTreeSet;

use crate::machine::{Machine, User};
use scene::{ELSEWHERE, INSTALL, exit_status, leave_dead, lines, removes_only_the_dead, start, user};
use serde_json::Value;

const SOCKET_REMOVED: &str = "02faf4bc75b3441f95bf477ea1110562";

#[test]
fn at_boot_the_sweep_ends_before_the_spawner_begins() {
    let Some(mut machine) = Machine::boot() else {
        return;
    };
    machine.sh(&format!("{INSTALL} --prefix /usr"));
    let ann = user(&machine);
    machine.sh_as(&ann, "
        mkdir -p ~/.config/systemd/user
        cat >~/.config/systemd/user/forge-post-boot-sessions.service <<'END'
        [Service]
        Type=oneshot
        ExecStart=/bin/sh -c 'find /tmp/tmux-%U /tmp/elsewhere/tmux-%U -type s >%h/seen'
        [Install]
        WantedBy=default.target
END
        systemctl --user enable forge-post-boot-sessions.service
        # Slow, so that only the order can make the spawner wait, never luck.
        mkdir -p ~/.config/systemd/user/tmux-janitor.service.d
        printf '[Service]\\nExecStartPre=/bin/sleep 0.5\\n' >~/.config/systemd/user/tmux-janitor.service.d/slow.conf
    ");
    for (dir, label) in [("/tmp", "one"), ("/tmp", "two"), (ELSEWHERE, "one")] {
        leave_dead(&machine, &ann, dir, label);
    }
    start(&machine, &ann, "/tmp", "ended-by-the-shutdown");
    let uid = ann.uid;
    let dead = BTreeSet::from([
        format!("/tmp/tmux-{uid}/one"),
        format!("/tmp/tmux-{uid}/two"),
        format!("/tmp/tmux-{uid}/ended-by-the-shutdown"),
        format!("/tmp/elsewhere/tmux-{uid}/one"),
    ]);
    let seen = |machine: &Machine| lines(&machine.sh("cat /home/ann/seen"));

    machine.reboot();
    machine.user("ann");
    assert_eq!(seen(&machine), dead, "without the janitor the spawner meets the dead");

    machine.sh_as(&ann, "systemctl --user enable --now tmux-janitor.timer");
    machine.crash();
    machine.user("ann");
    assert_eq!(seen(&machine), BTreeSet::new());
    let ended = monotonic(&machine, &ann, "tmux-janitor.service", "ExecMainExitTimestampMonotonic");
    let began =
        monotonic(&machine, &ann, "forge-post-boot-sessions.service", "ExecMainStartTimestampMonotonic");
    assert!(0 < ended && ended <= began, "the sweep ended at {ended}, the spawner began at {began}");
}

#[test]
fn a_sweep_removes_the_dead_and_leaves_the_living_and_the_kept_alone() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh(&format!("{INSTALL} --prefix /usr"));
    let ann = user(&machine);
    removes_only_the_dead(&machine, &ann);

    journal_tells_each_removal_once(&machine, &ann);
    let explained = explained(&machine, &ann);
    for part in
        ["Subject: The dead tmux socket gone was removed", "/tmp/elsewhere/tmux-", "man:tmux-janitor(1)"]
    {
        assert!(explained.contains(part), "{part} is missing in:\n{explained}");
    }

    let before = entries(&machine).len();
    machine.sh_as(&ann, "systemctl --user start tmux-janitor.service");
    let idle = entries(&machine).len() - before;
    assert!(idle <= 1, "a run that removed nothing wrote {idle} entries");
}

#[test]
fn with_a_wrong_configuration_nothing_is_removed_and_the_journal_says_why() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh(&format!("{INSTALL} --prefix /usr"));
    let ann = user(&machine);
    leave_dead(&machine, &ann, "/tmp", "homebase");
    machine.sh_as(
        &ann,
        "mkdir -p ~/.config/tmux-janitor; echo 'keeep = [\"homebase\"]' >~/.config/tmux-janitor/config.toml",
    );

    assert_eq!(exit_status(&machine, &ann), "78");
    machine.sh(&format!("test -S /tmp/tmux-{}/homebase", ann.uid));
    let told = explained(&machine, &ann);
    for part in ["keeep", "Subject: The configuration of tmux-janitor was rejected"] {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
}

#[test]
fn a_machine_ends_with_its_test() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    let (process, cgroup) = machine.seen_from_the_host();
    assert!(process.exists() && cgroup.exists(), "{process:?} {cgroup:?}");
    drop(machine);
    assert!(!process.exists() && !cgroup.exists(), "{process:?} {cgroup:?}");
}

/// The entries for what [`removes_only_the_dead`] removed: one each, with every field.
#[track_caller]
fn journal_tells_each_removal_once(machine: &Machine, user: &User) {
    let uid = user.uid;
    let removals: Vec<_> = entries(machine)
        .into_iter()
        .filter(|entry| {
            let speaks_of_it = entry["MESSAGE"].as_str().is_some_and(|text| text.contains("/gone"));
            speaks_of_it || entry["MESSAGE_ID"] == SOCKET_REMOVED
        })
        .collect();
    let sockets: BTreeSet<_> = removals.iter().map(|entry| entry["TMUX_JANITOR_SOCKET"].as_str()).collect();
    let dirs = ["/tmp".to_owned(), ELSEWHERE.to_owned(), format!("/run/user/{uid}")]
        .map(|dir| format!("{dir}/tmux-{uid}"));
    let paths = dirs.each_ref().map(|dir| format!("{dir}/gone"));
    assert_eq!(sockets, paths.iter().map(|path| Some(path.as_str())).collect());
    assert_eq!(removals.len(), paths.len(), "one entry for each socket");
    for entry in removals {
        assert!(dirs.iter().any(|dir| entry["TMUX_JANITOR_DIR"] == dir.as_str()), "{entry:#}");
        for (field, value) in [
            ("MESSAGE_ID", SOCKET_REMOVED),
            ("SYSLOG_IDENTIFIER", "tmux-janitor"),
            ("TMUX_JANITOR_LABEL", "gone"),
            ("TMUX_JANITOR_UID", &uid.to_string()),
            ("TMUX_JANITOR_STATE", "dead"),
            ("TMUX_JANITOR_OUTCOME", "removed"),
        ] {
            assert_eq!(entry[field], value, "{field} of {entry:#}");
        }
        assert!(entry["TMUX_JANITOR_REASON"].as_str().is_some_and(|reason| !reason.is_empty()), "{entry:#}");
        // Of a process that has ended by the time the journal reads its entry, the journal cannot see the unit.
        let is_unseen = entry["_SYSTEMD_USER_UNIT"].is_null() && entry["_EXE"].is_null();
        assert!(is_unseen || entry["_SYSTEMD_USER_UNIT"] == "tmux-janitor.service", "{entry:#}");
    }
}

/// What the journal tells of the program, with the catalog's explanations.
#[track_caller]
fn explained(machine: &Machine, user: &User) -> String {
    machine.sh("journalctl --sync");
    // By its name: the unit may not be known, see above.
    machine.sh_as(user, "journalctl --user --catalog --no-pager --identifier=tmux-janitor")
}

/// All journal entries of the program.
#[track_caller]
fn entries(machine: &Machine) -> Vec<Value> {
    let text =
        machine.sh("journalctl --sync; journalctl --output=json --no-pager SYSLOG_IDENTIFIER=tmux-janitor");
    text.lines().map(|line| serde_json::from_str(line).expect("journalctl prints JSON")).collect()
}

#[track_caller]
fn monotonic(machine: &Machine, user: &User, unit: &str, property: &str) -> u64 {
    let value = machine.sh_as(user, &format!("systemctl --user show --property={property} --value {unit}"));
    value.trim().parse().expect("a time in microseconds")
}
