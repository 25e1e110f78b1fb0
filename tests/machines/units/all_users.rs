//! The units of the system manager: every user of the machine, swept by one service.

use serde_json::Value;
use std::collections::BTreeSet;

use super::scene::{INSTALL, UNINSTALL, leave_dead, start};
use super::{SOCKET_REMOVED, entries};
use crate::machine::{Machine, User};

const SWEEP: &str = "systemctl start tmux-janitor.service";

#[test]
fn one_service_sweeps_for_every_user_and_logs_each_removal_once() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh(&format!("{INSTALL} --prefix /usr --system"));
    let users = ["ann", "bob", "cyd"].map(|name| machine.user(name));
    let dirs = |user: &User| ["/tmp".to_owned(), format!("/run/user/{}", user.uid)];
    let mut living = vec![];
    let mut dead = BTreeSet::new();
    for user in &users {
        for dir in dirs(user) {
            living.push((user, dir.clone(), start(&machine, user, &dir, "live")));
            leave_dead(&machine, user, &dir, "gone");
            dead.insert((format!("{dir}/tmux-{}/gone", user.uid), user.uid.to_string()));
        }
    }
    machine.sh_as(
        &users[1],
        "mkdir -p ~/.config/tmux-janitor; echo 'keep = [\"base\"]' >~/.config/tmux-janitor/config.toml",
    );
    leave_dead(&machine, &users[1], "/tmp", "base");
    // A name that would be fields of a log, in a format where lines count.
    leave_dead(&machine, &users[2], "/tmp", "\"$(printf 'g\\nMESSAGE=forged\\nTMUX_JANITOR_UID=0')\"");
    let forged = format!("/tmp/tmux-{}/g\nMESSAGE=forged\nTMUX_JANITOR_UID=0", users[2].uid);
    dead.insert((forged, users[2].uid.to_string()));
    machine.sh_as(&users[2], "ln -s / /tmp/tmux-4242");

    // Else the manager forgets the service as soon as it has ended.
    machine.sh(&format!("systemctl start tmux-janitor.timer; {SWEEP}"));
    let property = |name: &str| {
        machine
            .sh(&format!("systemctl show --property={name} --value tmux-janitor.service"))
            .trim()
            .to_owned()
    };
    // A stranger's name that lies is counted, and nobody's error.
    assert_eq!((property("ExecMainStatus").as_str(), property("Result").as_str()), ("0", "success"));

    for (user, dir, pid) in living {
        let now = machine
            .sh_as(user, &format!("TMUX_TMPDIR={dir} \"$TMUX_BIN\" -L live display-message -p '#{{pid}}'"));
        assert_eq!(now.trim(), pid, "another server than before in {dir} of {}", user.name);
    }
    let left = machine.sh("find /tmp/tmux-* /run/user/*/tmux-* -type s -name '[gb]*'");
    assert_eq!(left, format!("/tmp/tmux-{}/base\n", users[1].uid));
    assert_eq!(machine.sh("find /tmp/tmux-* /run/user/*/tmux-* -uid 0 ! -name tmux-0 ! -type l"), "");
    assert_eq!(
        machine.sh("find /tmp/tmux-* /run/user/*/tmux-* -name '*.lock' -o -name '.tmux-janitor*' ! -name .tmux-janitor-record"),
        ""
    );

    let told = entries(&machine);
    let removals: Vec<_> = told.iter().filter(|entry| entry["MESSAGE_ID"] == SOCKET_REMOVED).collect();
    let logged: BTreeSet<_> = removals
        .iter()
        .map(|entry| {
            ["TMUX_JANITOR_SOCKET", "TMUX_JANITOR_UID"]
                .map(|field| entry[field].as_str().unwrap_or("-").to_owned())
        })
        .map(|[socket, uid]| (socket, uid))
        .collect();
    assert_eq!((logged, removals.len()), (dead, 7), "one entry for each");
    // Of a process that has ended by the time the journal reads its entry, the journal cannot see the unit.
    let is_unseen = |entry: &Value| entry["_SYSTEMD_UNIT"].is_null() && entry["_EXE"].is_null();
    let is_the_units = |entry: &Value| entry["_SYSTEMD_UNIT"] == "tmux-janitor.service";
    assert!(removals.iter().all(|entry| entry["_UID"] == "0" && (is_the_units(entry) || is_unseen(entry))));
    assert!(removals.iter().any(|entry| is_the_units(entry)));
    let counted = |entry: &Value| entry["MESSAGE"].as_str().is_some_and(|told| told.contains("1 stray"));
    assert!(told.iter().any(counted), "{told:#?}");

    assert!(told.iter().all(|entry| entry["MESSAGE"] != "forged"), "{told:#?}");

    let before = told.len();
    machine.sh(&format!("rm /tmp/tmux-4242; {SWEEP}"));
    assert!(entries(&machine).len() - before <= 1, "a run that removed nothing writes a line at most");
    assert_eq!(property("ExecMainStatus"), "0");
}

#[test]
fn at_boot_the_system_sweep_ends_before_the_systems_spawner_begins() {
    let Some(mut machine) = Machine::boot() else {
        return;
    };
    let ann = machine.user("ann");
    machine.sh("
        cat >/etc/systemd/system/forge-post-boot-sessions.service <<'END'
        [Service]
        Type=oneshot
        RemainAfterExit=yes
        User=ann
        ExecStartPre=/bin/sh -c 'find /tmp/tmux-* -type s >/home/ann/seen || true'
        ExecStart=/bin/sh -c 'exec \"$TMUX_BIN\" -L forge new-session -d -s forge'
        [Install]
        WantedBy=multi-user.target
END
        sed -i \"s|\\$TMUX_BIN|$(command -v \"$TMUX_BIN\")|\" /etc/systemd/system/forge-post-boot-sessions.service
        systemctl enable forge-post-boot-sessions.service
    ");
    for label in ["one", "forge"] {
        leave_dead(&machine, &ann, "/tmp", label);
    }
    machine.sh(&format!(
        "{INSTALL} --prefix /usr --system
        systemctl enable tmux-janitor.timer
        # Slow, so that only the order can make the spawner wait, never luck.
        mkdir -p /etc/systemd/system/tmux-janitor.service.d
        printf '[Service]\\nExecStartPre=/bin/sleep 0.5\\n' >/etc/systemd/system/tmux-janitor.service.d/slow.conf"
    ));
    machine.crash();
    machine.user("ann");
    assert_eq!(machine.sh("cat /home/ann/seen"), "");
    let time = |unit: &str, property: &str| -> u64 {
        let value = machine.sh(&format!("systemctl show --property={property} --value {unit}"));
        value.trim().parse().expect("a time in microseconds")
    };
    let ended = time("tmux-janitor.service", "ExecMainExitTimestampMonotonic");
    let began = time("forge-post-boot-sessions.service", "ExecMainStartTimestampMonotonic");
    assert!(0 < ended && ended <= began, "the sweep ended at {ended}, the spawner began at {began}");
    machine.sh("systemctl start tmux-janitor.service");
    assert_eq!(machine.sh_as(&ann, "\"$TMUX_BIN\" -L forge list-sessions -F '#{session_name}'"), "forge\n");
    assert!(machine.sh("systemctl list-timers --all").contains("tmux-janitor.timer"));
}

#[test]
fn the_systems_units_load_without_a_warning_and_stay_locked_up() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh(&format!("{INSTALL} --prefix /usr --system"));
    for unit in ["tmux-janitor.service", "tmux-janitor.timer", "tmux-janitor-watch@.service"] {
        // It ends with 0 even where it warns.
        let verified = machine.try_sh(&format!("systemd-analyze verify /usr/lib/systemd/system/{unit}"));
        assert_eq!(
            (verified.code, verified.out.as_str(), verified.err.as_str()),
            (Some(0), "", ""),
            "{unit}"
        );
    }
    for (unit, ceiling) in [("tmux-janitor.service", 2.4), ("tmux-janitor-watch@.service", 3.1)] {
        let report = machine.sh(&format!(
            "systemd-analyze security --offline=true --no-pager /usr/lib/systemd/system/{unit}"
        ));
        let (_, figure) = report.rsplit_once(".service: ").expect("the figure stands in the last line");
        let figure: f64 =
            figure.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number");
        assert!(figure <= ceiling, "the exposure has grown:\n{report}");
    }

    // Not promised only: what root may not do there, it cannot do.
    machine.sh("
        mkdir -p /etc/systemd/system/tmux-janitor.service.d; install -d -m 700 -o nobody /tmp/closed
        cat >/etc/systemd/system/tmux-janitor.service.d/probe.conf <<'END'
        [Service]
        ExecStart=
        ExecStart=/bin/sh -c 'touch /tmp/written; touch /tmp/closed/no /etc/no /root/no /var/no; unshare --net true || touch /tmp/no-namespace; grep ^CapEff: /proc/self/status >/tmp/capabilities'
END
        systemctl daemon-reload
    ");
    machine.try_sh(SWEEP);
    machine.sh("ls /tmp/written /tmp/no-namespace");
    assert_eq!(machine.try_sh("ls /tmp/closed/no /etc/no /root/no /var/no").out, "", "the sandbox is open");
    // capabilities(7): KILL is 5, SETGID 6, SETUID 7.
    assert_eq!(machine.sh("cat /tmp/capabilities"), "CapEff:\t00000000000000e0\n");
}

#[test]
fn a_users_watcher_of_the_system_removes_a_socket_as_its_server_dies() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh(&format!("{INSTALL} --prefix /usr --system"));
    let (ann, bob) = (machine.user("ann"), machine.user("bob"));
    machine.sh("systemctl start tmux-janitor-watch@ann.service");
    let living = start(&machine, &ann, "/tmp", "live");
    leave_dead(&machine, &bob, "/tmp", "gone");
    for dir in ["/tmp".to_owned(), format!("/run/user/{}", ann.uid)] {
        let pid = start(&machine, &ann, &dir, "gone");
        machine.sh(&format!(
            "
            kill -KILL {pid}
            timeout 90 sh -c 'while test -S {dir}/tmux-{}/gone; do :; done'
        ",
            ann.uid
        ));
    }
    let answer = machine.sh_as(&ann, "\"$TMUX_BIN\" -L live display-message -p '#{pid}'");
    assert_eq!(answer.trim(), living);
    machine.sh(&format!("test -S /tmp/tmux-{}/gone", bob.uid));
    let user = machine
        .sh("ps -o user= -p $(systemctl show --property=MainPID --value tmux-janitor-watch@ann.service)");
    assert_eq!(user.trim(), "ann");
}

#[test]
fn what_is_installed_for_the_system_is_taken_away_again() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.user("ann");
    let everything = "find /usr /etc /var/lib/systemd -xdev | sort >";
    machine.sh(&format!("journalctl --update-catalog; {everything} /run/before"));
    machine.sh(&format!("{INSTALL} --prefix /usr --system --now"));
    let next = machine.sh("systemctl list-timers --no-legend tmux-janitor.timer");
    assert!(next.contains("tmux-janitor.service"), "{next}");
    assert_eq!(
        machine.sh("systemctl is-enabled tmux-janitor.timer tmux-janitor.service"),
        "enabled\nenabled\n"
    );
    machine.sh(&format!("systemctl enable tmux-janitor-watch@ann.service; {UNINSTALL} --prefix /usr"));
    machine.sh(&format!("{everything} /run/after; diff /run/before /run/after"));
    for about in ["list-timers --all", "list-unit-files", "list-units --all"] {
        let left = machine.sh(&format!("systemctl --no-pager {about}"));
        assert!(!left.contains("tmux-janitor"), "{left}");
    }
}
