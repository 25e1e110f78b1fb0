//! Installed in the several ways, it runs when it is to run and leaves without a trace.

use serde_json::Value;

use super::scene::{INSTALL, UNINSTALL, leave_dead, removes_only_the_dead, user};
use crate::machine::{Machine, User};

#[test]
fn installed_into_a_home_it_does_the_same() {
    let Some(mut machine) = Machine::boot() else {
        return;
    };
    let ann = user(&machine);
    let said = machine.sh_as(&ann, &format!("{INSTALL} --user --now"));
    assert!(said.contains("only root can add"), "nothing about the catalog in:\n{said}");
    next_sweep_is_near(&machine, &ann);

    removes_only_the_dead(&machine, &ann);
    let program = machine.sh_as(&ann, "systemctl --user show --property=ExecStart tmux-janitor.service");
    assert!(program.contains("path=/home/ann/.local/bin/tmux-janitor "), "{program}");

    leave_dead(&machine, &ann, "/tmp", "before-the-reboot");
    machine.reboot();
    machine.user("ann");
    next_sweep_is_near(&machine, &ann);
    assert_eq!(machine.sh(&format!("ls /tmp/tmux-{}", ann.uid)), "homebase\n");
}

#[test]
fn uninstalling_takes_away_what_was_installed_and_nothing_else() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    let ann = user(&machine);
    // Not all of "/": the rest shows this host's files, which others may be changing.
    let everything = "find /usr /etc /var/lib/systemd /home/ann /root/.config -xdev | sort >";
    machine.sh(&format!("journalctl --update-catalog; mkdir -p /root/.config; {everything} /run/before"));

    machine.sh(&format!("{INSTALL} --prefix /usr --now; {UNINSTALL} --prefix /usr"));
    machine.sh_as(&ann, &format!("{INSTALL} --user --now; {INSTALL} --user; {UNINSTALL} --user"));
    machine.sh(&format!("{everything} /run/after; diff /run/before /run/after"));
    for about in ["list-timers --all", "list-unit-files", "list-units --all"] {
        let left = machine.sh_as(&ann, &format!("systemctl --user --no-pager {about}"));
        assert!(!left.contains("tmux-janitor"), "{left}");
    }

    let again = machine.sh_as(&ann, &format!("{UNINSTALL} --user"));
    assert!(again.starts_with("Nothing of tmux-janitor is installed under /home/ann/.local"), "{again}");
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
    let wanted = machine.sh_as(&ann, "systemctl --user show --property=Wants default.target timers.target");
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

/// The timer is to fire within ten minutes from now.
#[track_caller]
fn next_sweep_is_near(machine: &Machine, user: &User) {
    let listed = machine.sh_as(user, "systemctl --user list-timers --output=json tmux-janitor.timer");
    let timers: Value = serde_json::from_str(&listed).expect("systemctl prints JSON");
    let next = timers[0]["next"].as_u64().expect("the timer has a next time");
    let now: u64 = machine.sh("date +%s%6N").trim().parse().expect("date prints a number");
    let ten_minutes = 600_000_000;
    assert!(now < next && next <= now + ten_minutes, "now {now}, next {next}");
}

/// Used in every way and uninstalled as docs/uninstall.md says: no file, no folder, no unit, no record, no word.
#[test]
fn used_and_uninstalled_it_leaves_nothing() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    let ann = user(&machine);
    // A server of before, with tmux's own folder in both places.
    for dir in ["/tmp", super::scene::ELSEWHERE] {
        super::scene::start(&machine, &ann, dir, "before");
    }
    // The programs' own folders: uninstalling_takes_away_what_was_installed_and_nothing_else.
    let everything = "find /home/ann /root/.config /tmp /var/lib/systemd /etc -xdev -not -path '*/journal/*' | LC_ALL=C sort -T /dev/shm";
    machine.sh(&format!("journalctl --update-catalog; mkdir -p /root/.config; {everything} >/run/before"));

    let used = "
        systemctl --user start tmux-janitor.service tmux-janitor-watch.service
        for command in list status doctor rescue events 'probe -L before' 'status --metrics' 'audit /usr/bin/ldd'; do
            timeout 2 PROGRAM $command >/dev/null 2>&1 || :
        done";
    let record = format!("/tmp/tmux-{}/.tmux-janitor-record", ann.uid);
    for (install, uninstall, program) in [
        (
            format!("sudo {INSTALL} --prefix /usr --system --now"),
            format!("sudo {UNINSTALL} --prefix /usr"),
            "tmux-janitor",
        ),
        (format!("{INSTALL} --user --now"), format!("{UNINSTALL} --user"), "~/.local/bin/tmux-janitor"),
    ] {
        let run = |line: &str| match line.strip_prefix("sudo ") {
            Some(line) => machine.sh(line),
            None => machine.sh_as(&ann, line),
        };
        run(&install);
        machine.sh_as(&ann, "systemctl --user daemon-reload");
        leave_dead(&machine, &ann, "/tmp", "gone");
        machine.sh_as(&ann, &used.replace("PROGRAM", program));
        machine.sh(&format!(
            "until [ ! -e /tmp/tmux-{}/gone ]; do sleep 0.02; done; test -s {record}/record.json",
            ann.uid
        ));
        if program == "tmux-janitor" {
            machine.sh("tmux-janitor sweep --all-users; systemctl start tmux-janitor.service");
        }
        // As docs/uninstall.md has it.
        machine.sh_as(&ann, "systemctl --user disable --now tmux-janitor.timer tmux-janitor-watch.service");
        run(&uninstall);
    }
    let left = machine.sh(&format!("{everything} >/run/after; diff /run/before /run/after || :"));
    assert_eq!(left, "", "it leaves");
    for about in ["list-timers --all", "list-unit-files", "list-units --all"] {
        for whose in ["--user", "--system"] {
            let left = machine.sh_as(&ann, &format!("systemctl {whose} --no-pager {about}"));
            assert!(!left.contains("tmux-janitor"), "{about}: {left}");
        }
    }
    let named = machine.sh("find /run /dev/shm /var/lib/systemd -name '*tmux-janitor*' -not -path '/run/host/*'; pgrep --list-name --exact tmux-janitor || :");
    assert_eq!(named, "", "it is still there");
    machine.sh_as(
        &ann,
        "for dir in /tmp /tmp/elsewhere; do TMUX_TMPDIR=$dir \"$TMUX_BIN\" -L before has-session; done",
    );
}
