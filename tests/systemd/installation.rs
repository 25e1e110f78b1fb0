//! Installed in the several ways, it runs when it is to run and leaves without a trace.

use serde_json::Value;

use crate::machine::{Machine, User};
use crate::scene::{INSTALL, UNINSTALL, leave_dead, removes_only_the_dead, user};

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
