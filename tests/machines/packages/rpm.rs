//! The .rpm on a real machine, by rpm itself and with its own scripts.

use std::process::Command;

use super::built::{bring, later_rpm, rpm, run};
use crate::machine::Machine;

/// rpm has its own database here: what Debian calls its packages it does not know. To install it, Debian's rpm wants to be told so up to 4.18.
const RPM: &str = "rpm --nodeps $(rpm --force-debian --version >/dev/null 2>&1 && echo --force-debian) --dbpath=/var/lib/rpm";

#[test]
fn the_rpm_says_what_it_is() {
    let Some(rpm) = rpm() else {
        return;
    };
    let ask = ["--query", "--package", "--queryformat"];
    let about = run(Command::new("rpm")
        .args(ask)
        .arg("%{NAME} %{VERSION}-%{RELEASE} %{LICENSE} [%{RECOMMENDS} ]")
        .arg(rpm));
    assert_eq!(about, concat!("tmux-janitor ", env!("CARGO_PKG_VERSION"), "-1 MIT systemd tmux "));
    let requires = run(Command::new("rpm").args(["--query", "--package", "--requires"]).arg(rpm));
    assert!(requires.lines().any(|line| line.starts_with("libc.so.6(")), "{requires}");
    assert!(
        requires.lines().all(|line| line == "/bin/sh" || line.contains('(')),
        "only libraries: {requires}"
    );
}

#[test]
fn installed_upgraded_and_erased_it_enables_nothing_and_leaves_nothing() {
    let Some((machine, rpm)) = rpm().and_then(|rpm| Machine::boot().map(|machine| (machine, rpm))) else {
        return;
    };
    let (rpm, later) = (bring(&machine, rpm), bring(&machine, &later_rpm()));
    let ann = machine.user("ann");
    // Folders that belong to other packages where rpm is at home.
    machine.sh("mkdir -p /usr/share/licenses /usr/share/zsh/site-functions");
    let everything = "find /usr /etc /var/lib/systemd -xdev | sort >";
    machine.sh(&format!("journalctl --update-catalog; {everything} /run/before"));

    machine.sh(&format!("{RPM} --install {rpm}"));
    assert_eq!(machine.sh("find /etc/systemd -name '*tmux-janitor*'"), "", "something was enabled");
    let explained = machine.sh("journalctl --dump-catalog 02faf4bc75b3441f95bf477ea1110562");
    assert!(explained.contains("Subject: The dead tmux socket"), "{explained}");

    machine.sh("systemctl --quiet enable --now tmux-janitor.timer tmux-janitor-watch@root.service");
    machine.sh_as(&ann, "systemctl --user start tmux-janitor-watch.service");
    let pid = "systemctl --user show --property=MainPID --value tmux-janitor-watch.service";
    let before = machine.sh_as(&ann, pid);
    machine.sh(&format!("{RPM} --upgrade {later}"));
    machine.sh("systemctl --quiet is-enabled tmux-janitor.timer tmux-janitor-watch@root.service");
    machine.sh("systemctl --quiet is-active tmux-janitor.timer tmux-janitor-watch@root.service");
    let after = machine.sh_as(&ann, pid);
    assert!(after != "0\n" && after != before, "the old program is still running: {before}{after}");

    machine.sh(&format!("{RPM} --erase tmux-janitor"));
    let left = machine.sh("systemctl list-units --plain --no-legend 'tmux-janitor*'");
    assert_eq!(left, "", "something runs on");
    let left = machine.sh_as(&ann, "systemctl --user list-units --plain --no-legend 'tmux-janitor*'");
    assert_eq!(left, "", "something runs on");
    machine.sh(&format!("{everything} /run/after; diff /run/before /run/after"));
}
