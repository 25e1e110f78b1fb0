//! The units, the installer and the journal, on a real machine with real tmux servers.
#![expect(
    clippy::expect_used,
    reason = "a test stops at the first thing that does not work"
)]

#[path = "machine/mod.rs"]
mod machine;
#[path = "common/skip.rs"]
mod skip;

use std::collections::BTreeSet;

use machine::{Machine, User};
use serde_json::Value;

/// The installer with the program that is tested, so that nothing is built twice.
const INSTALL: &str = "/run/host/repository/packaging/install --binary /run/host/tmux-janitor";
const UNINSTALL: &str = "/run/host/repository/packaging/install --uninstall";

/// Where `TMUX_TMPDIR` of the tests' users points.
const ELSEWHERE: &str = "/tmp/elsewhere";

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
    assert_eq!(
        seen(&machine),
        dead,
        "without the janitor the spawner meets the dead"
    );

    machine.sh_as(&ann, "systemctl --user enable --now tmux-janitor.timer");
    machine.crash();
    machine.user("ann");
    assert_eq!(seen(&machine), BTreeSet::new());
    let ended = monotonic(
        &machine,
        &ann,
        "tmux-janitor.service",
        "ExecMainExitTimestampMonotonic",
    );
    let began = monotonic(
        &machine,
        &ann,
        "forge-post-boot-sessions.service",
        "ExecMainStartTimestampMonotonic",
    );
    assert!(
        0 < ended && ended <= began,
        "the sweep ended at {ended}, the spawner began at {began}"
    );
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
    let explained = machine.sh_as(
        &ann,
        "journalctl --user --catalog --no-pager --unit=tmux-janitor.service",
    );
    for part in [
        "Subject: The dead tmux socket gone was removed",
        "/tmp/elsewhere/tmux-",
        "man:tmux-janitor(1)",
    ] {
        assert!(
            explained.contains(part),
            "{part} is missing in:\n{explained}"
        );
    }

    let before = entries(&machine).len();
    machine.sh_as(&ann, "systemctl --user start tmux-janitor.service");
    let idle = entries(&machine).len() - before;
    assert!(idle <= 1, "a run that removed nothing wrote {idle} entries");
}

#[test]
fn installed_into_a_home_it_does_the_same() {
    let Some(mut machine) = Machine::boot() else {
        return;
    };
    let ann = user(&machine);
    let said = machine.sh_as(&ann, &format!("{INSTALL} --user --now"));
    assert!(
        said.contains("only root can add"),
        "nothing about the catalog in:\n{said}"
    );
    next_sweep_is_near(&machine, &ann);

    removes_only_the_dead(&machine, &ann);
    let program = machine.sh_as(
        &ann,
        "systemctl --user show --property=ExecStart tmux-janitor.service",
    );
    assert!(
        program.contains("path=/home/ann/.local/bin/tmux-janitor "),
        "{program}"
    );

    leave_dead(&machine, &ann, "/tmp", "before-the-reboot");
    machine.reboot();
    machine.user("ann");
    next_sweep_is_near(&machine, &ann);
    assert_eq!(
        machine.sh(&format!("ls /tmp/tmux-{}", ann.uid)),
        "homebase\n"
    );
}

#[test]
fn uninstalling_takes_away_what_was_installed_and_nothing_else() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    let ann = user(&machine);
    // Not all of "/": the rest shows this host's files, which others may be changing.
    let everything = "find /usr /etc /var/lib/systemd /home/ann /root/.config -xdev | sort >";
    machine.sh(&format!(
        "journalctl --update-catalog; mkdir -p /root/.config; {everything} /run/before"
    ));

    machine.sh(&format!(
        "{INSTALL} --prefix /usr --now; {UNINSTALL} --prefix /usr"
    ));
    machine.sh_as(
        &ann,
        &format!("{INSTALL} --user --now; {INSTALL} --user; {UNINSTALL} --user"),
    );
    machine.sh(&format!(
        "{everything} /run/after; diff /run/before /run/after"
    ));
    for about in ["list-timers --all", "list-unit-files", "list-units --all"] {
        let left = machine.sh_as(&ann, &format!("systemctl --user --no-pager {about}"));
        assert!(!left.contains("tmux-janitor"), "{left}");
    }

    let again = machine.sh_as(&ann, &format!("{UNINSTALL} --user"));
    assert!(
        again.starts_with("Nothing of tmux-janitor is installed under /home/ann/.local"),
        "{again}"
    );
}

#[test]
fn enabling_the_timer_alone_brings_the_sweep_every_ten_minutes_and_the_one_at_boot() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh(&format!("{INSTALL} --prefix /usr"));
    let ann = user(&machine);
    machine.sh_as(&ann, "systemctl --user enable --now tmux-janitor.timer");
    next_sweep_is_near(&machine, &ann);
    let wanted = machine.sh_as(
        &ann,
        "systemctl --user show --property=Wants default.target timers.target",
    );
    for unit in ["tmux-janitor.service", "tmux-janitor.timer"] {
        assert!(wanted.contains(unit), "{unit} is not wanted: {wanted}");
    }
    machine.sh_as(&ann, "systemctl --user start tmux-janitor.service");
    next_sweep_is_near(&machine, &ann);

    // The same lines, six hundred times as fast: it comes again and again.
    machine.sh_as(&ann, "
        sed 's/=10min/=1s/; s/^AccuracySec=.*/AccuracySec=1ms/' /usr/lib/systemd/user/tmux-janitor.timer \\
            >~/.config/systemd/user/tmux-janitor.timer
        systemctl --user daemon-reload
        systemctl --user restart tmux-janitor.timer
        journalctl --user --follow --lines=0 --output=cat --unit=tmux-janitor.service | grep --max-count=3 ^Finished
    ");
}

#[test]
fn installed_for_all_users_the_timer_starts_for_who_is_here_and_who_comes() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    let ann = user(&machine);
    machine.sh(&format!("{INSTALL} --prefix /usr --now"));
    next_sweep_is_near(&machine, &ann);
    let bob = machine.user("bob");
    next_sweep_is_near(&machine, &bob);
}

#[test]
fn where_users_may_not_make_namespaces_it_sweeps_without_that_part_of_the_sandbox() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh("
        mkdir -p /etc/systemd/system/user@.service.d
        printf '[Service]\\nRestrictNamespaces=~user\\n' >/etc/systemd/system/user@.service.d/refuse.conf
        systemctl daemon-reload
    ");
    let ann = user(&machine);
    let said = machine.sh_as(&ann, &format!("{INSTALL} --user"));
    assert!(said.contains("refuses user namespaces"), "{said}");
    removes_only_the_dead(&machine, &ann);
    let hardened = machine.sh_as(
        &ann,
        "systemctl --user show --property=NoNewPrivileges --value tmux-janitor.service",
    );
    assert_eq!(hardened.trim(), "yes");

    machine.sh_as(
        &ann,
        "rm ~/.config/systemd/user/tmux-janitor.service.d/*; systemctl --user daemon-reload",
    );
    assert_eq!(exit_status(&machine, &ann), "217", "the drop-in is needed");
}

#[test]
fn the_units_load_without_a_warning_and_stay_locked_up() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    let ann = user(&machine);
    machine.sh(&format!("{INSTALL} --prefix /usr"));
    let units = machine.sh(
        "ls /usr/lib/systemd/user/tmux-janitor*.service /usr/lib/systemd/user/tmux-janitor*.timer",
    );
    for unit in units.lines() {
        // It ends with 0 even where it warns.
        let verified = machine.try_sh_as(&ann, &format!("systemd-analyze --user verify {unit}"));
        assert_eq!(
            (verified.code, verified.out.as_str(), verified.err.as_str()),
            (Some(0), "", ""),
            "{unit}"
        );
    }

    let report = machine.sh_as(
        &ann,
        "systemd-analyze --user security --offline=true --no-pager /usr/lib/systemd/user/tmux-janitor.service",
    );
    let (_, figure) = report
        .rsplit_once("tmux-janitor.service: ")
        .expect("the figure stands in the last line");
    let figure: f64 = figure
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a number");
    assert!(figure <= 1.6, "the exposure has grown:\n{report}");

    // Not promised only: what the service may not do, it cannot do.
    machine.sh_as(&ann, "
        mkdir -p ~/.config/systemd/user/tmux-janitor.service.d
        cat >~/.config/systemd/user/tmux-janitor.service.d/probe.conf <<'END'
        [Service]
        ExecStart=
        ExecStart=/bin/sh -c 'touch /tmp/written %t/written; touch %h/no /etc/no /var/tmp/no; unshare --net true || touch /tmp/no-namespace'
END
        systemctl --user daemon-reload
    ");
    machine.try_sh_as(&ann, "systemctl --user start tmux-janitor.service");
    let uid = ann.uid;
    machine.sh(&format!(
        "ls /tmp/written /run/user/{uid}/written /tmp/no-namespace"
    ));
    let written = machine.try_sh("ls /home/ann/no /var/tmp/no").out;
    assert_eq!(written, "", "the sandbox is open");
}

#[test]
fn a_folder_outside_the_sandbox_is_reported_and_opened_by_a_drop_in() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh(&format!("{INSTALL} --prefix /usr"));
    let ann = user(&machine);
    let sockets = "/home/ann/sockets";
    machine.sh_as(
        &ann,
        &format!("mkdir {sockets}; systemctl --user set-environment TMUX_TMPDIR={sockets}"),
    );
    leave_dead(&machine, &ann, sockets, "gone");
    let socket = format!("{sockets}/tmux-{}/gone", ann.uid);

    assert_eq!(exit_status(&machine, &ann), "1");
    machine.sh(&format!("test -S {socket}"));
    let told = machine.sh_as(
        &ann,
        "journalctl --user --catalog --no-pager --unit=tmux-janitor.service",
    );
    for part in [
        format!("ReadWritePaths={sockets}"),
        format!("The socket {socket} is dead, but removing it failed"),
    ] {
        assert!(told.contains(&part), "{part} is missing in:\n{told}");
    }

    machine.sh_as(&ann, "
        mkdir -p ~/.config/systemd/user/tmux-janitor.service.d
        printf '[Service]\\nReadWritePaths=%%h/sockets\\n' >~/.config/systemd/user/tmux-janitor.service.d/sockets.conf
        systemctl --user daemon-reload
    ");
    assert_eq!(exit_status(&machine, &ann), "0");
    machine.sh(&format!("test ! -e {socket}"));
}

#[test]
fn with_a_wrong_configuration_nothing_is_removed_and_the_journal_says_why() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh(&format!("{INSTALL} --prefix /usr"));
    let ann = user(&machine);
    leave_dead(&machine, &ann, "/tmp", "homebase");
    machine.sh_as(&ann, "mkdir -p ~/.config/tmux-janitor; echo 'keeep = [\"homebase\"]' >~/.config/tmux-janitor/config.toml");

    assert_eq!(exit_status(&machine, &ann), "78");
    machine.sh(&format!("test -S /tmp/tmux-{}/homebase", ann.uid));
    let told = machine.sh_as(
        &ann,
        "journalctl --user --catalog --no-pager --unit=tmux-janitor.service",
    );
    for part in [
        "keeep",
        "Subject: The configuration of tmux-janitor was rejected",
    ] {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
}

#[test]
fn a_machine_ends_with_its_test() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    let (process, cgroup) = machine.seen_from_the_host();
    assert!(
        process.exists() && cgroup.exists(),
        "{process:?} {cgroup:?}"
    );
    drop(machine);
    assert!(
        !process.exists() && !cgroup.exists(),
        "{process:?} {cgroup:?}"
    );
}

/// Starts the service and tells how its process ended.
#[track_caller]
fn exit_status(machine: &Machine, user: &User) -> String {
    machine.try_sh_as(user, "systemctl --user start tmux-janitor.service");
    let property = "systemctl --user show --property=ExecMainStatus --value tmux-janitor.service";
    machine.sh_as(user, property).trim().to_owned()
}

/// A user with sockets in three folders: the manager's `TMUX_TMPDIR` is a place of its own.
#[track_caller]
fn user(machine: &Machine) -> User {
    machine.sh(&format!("mkdir -p -m 1777 {ELSEWHERE}; mkdir -p /etc/environment.d; echo TMUX_TMPDIR={ELSEWHERE} >/etc/environment.d/tmux.conf"));
    machine.user("ann")
}

/// Starts a real server in a unit of its own, as a login would, and tells its process.
#[track_caller]
fn start(machine: &Machine, user: &User, dir: &str, label: &str) -> String {
    machine
        .sh_as(
            user,
            &format!(
                "
        export TMUX_TMPDIR={dir}
        systemd-run --user --scope --quiet --collect \"$TMUX_BIN\" -L {label} new-session -d
        \"$TMUX_BIN\" -L {label} display-message -p '#{{pid}}'
    "
            ),
        )
        .trim()
        .to_owned()
}

/// Starts a server and kills it, which leaves its socket behind.
#[track_caller]
fn leave_dead(machine: &Machine, user: &User, dir: &str, label: &str) {
    let pid = start(machine, user, dir, label);
    machine.sh_as(
        user,
        &format!(
            "
        kill -KILL {pid}
        tail --pid={pid} --sleep-interval=0.01 --follow /dev/null
        test -S {dir}/tmux-{}/{label}
    ",
            user.uid
        ),
    );
}

/// One run of the installed service among the living, the dead and the kept, in all three folders.
#[track_caller]
fn removes_only_the_dead(machine: &Machine, user: &User) {
    let User { name, uid } = user;
    machine.sh_as(user, "mkdir -p ~/.config/tmux-janitor; echo 'keep = [\"home*\"]' >~/.config/tmux-janitor/config.toml");
    let dirs = [
        "/tmp".to_owned(),
        ELSEWHERE.to_owned(),
        format!("/run/user/{uid}"),
    ];
    let living: Vec<_> = dirs
        .iter()
        .map(|dir| start(machine, user, dir, "live"))
        .collect();
    for dir in &dirs {
        leave_dead(machine, user, dir, "gone");
    }
    leave_dead(machine, user, "/tmp", "homebase");

    machine.sh_as(user, "systemctl --user start tmux-janitor.service");

    for (dir, pid) in dirs.iter().zip(living) {
        let now = machine.sh_as(
            user,
            &format!("TMUX_TMPDIR={dir} \"$TMUX_BIN\" -L live display-message -p '#{{pid}}'"),
        );
        assert_eq!(
            now.trim(),
            pid,
            "another server than before in {dir} of {name}"
        );
        let names = lines(&machine.sh(&format!("ls -A {dir}/tmux-{uid}")));
        let expected: &[&str] = if dir == "/tmp" {
            &["homebase", "live"]
        } else {
            &["live"]
        };
        assert_eq!(
            names,
            expected.iter().map(ToString::to_string).collect(),
            "in {dir}"
        );
    }
}

/// The entries for what [`removes_only_the_dead`] removed: one each, with every field.
#[track_caller]
fn journal_tells_each_removal_once(machine: &Machine, user: &User) {
    let uid = user.uid;
    let removals: Vec<_> = entries(machine)
        .into_iter()
        .filter(|entry| entry["MESSAGE_ID"] == SOCKET_REMOVED)
        .collect();
    let sockets: BTreeSet<_> = removals
        .iter()
        .map(|entry| entry["TMUX_JANITOR_SOCKET"].as_str())
        .collect();
    let dirs = [
        "/tmp".to_owned(),
        ELSEWHERE.to_owned(),
        format!("/run/user/{uid}"),
    ]
    .map(|dir| format!("{dir}/tmux-{uid}"));
    let paths = dirs.each_ref().map(|dir| format!("{dir}/gone"));
    assert_eq!(
        sockets,
        paths.iter().map(|path| Some(path.as_str())).collect()
    );
    assert_eq!(removals.len(), paths.len(), "one entry for each socket");
    for entry in removals {
        assert!(
            dirs.iter()
                .any(|dir| entry["TMUX_JANITOR_DIR"] == dir.as_str()),
            "{entry:#}"
        );
        for (field, value) in [
            ("SYSLOG_IDENTIFIER", "tmux-janitor"),
            ("TMUX_JANITOR_LABEL", "gone"),
            ("TMUX_JANITOR_UID", &uid.to_string()),
            ("TMUX_JANITOR_STATE", "dead"),
            ("TMUX_JANITOR_OUTCOME", "removed"),
            ("_SYSTEMD_USER_UNIT", "tmux-janitor.service"),
        ] {
            assert_eq!(entry[field], value, "{field} of {entry:#}");
        }
        assert!(
            entry["TMUX_JANITOR_REASON"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty()),
            "{entry:#}"
        );
    }
}

/// All journal entries of the program.
#[track_caller]
fn entries(machine: &Machine) -> Vec<Value> {
    let text = machine.sh(
        "journalctl --sync; journalctl --output=json --no-pager SYSLOG_IDENTIFIER=tmux-janitor",
    );
    text.lines()
        .map(|line| serde_json::from_str(line).expect("journalctl prints JSON"))
        .collect()
}

/// The timer is to fire within ten minutes from now.
#[track_caller]
fn next_sweep_is_near(machine: &Machine, user: &User) {
    let listed = machine.sh_as(
        user,
        "systemctl --user list-timers --output=json tmux-janitor.timer",
    );
    let timers: Value = serde_json::from_str(&listed).expect("systemctl prints JSON");
    let next = timers[0]["next"]
        .as_u64()
        .expect("the timer has a next time");
    let now: u64 = machine
        .sh("date +%s%6N")
        .trim()
        .parse()
        .expect("date prints a number");
    let ten_minutes = 600_000_000;
    assert!(
        now < next && next <= now + ten_minutes,
        "now {now}, next {next}"
    );
}

#[track_caller]
fn monotonic(machine: &Machine, user: &User, unit: &str, property: &str) -> u64 {
    let value = machine.sh_as(
        user,
        &format!("systemctl --user show --property={property} --value {unit}"),
    );
    value.trim().parse().expect("a time in microseconds")
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}
