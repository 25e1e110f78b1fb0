//! The sandbox of the service: what it lets through, what it does not, and where it cannot be had.

use super::scene::{INSTALL, exit_status, leave_dead, removes_only_the_dead, user};
use crate::machine::Machine;

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
    let hardened =
        machine.sh_as(&ann, "systemctl --user show --property=NoNewPrivileges --value tmux-janitor.service");
    assert_eq!(hardened.trim(), "yes");

    machine.sh_as(&ann, "rm ~/.config/systemd/user/tmux-janitor.service.d/*; systemctl --user daemon-reload");
    assert_eq!(exit_status(&machine, &ann), "217", "the drop-in is needed");
}

#[test]
fn the_units_load_without_a_warning_and_stay_locked_up() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    let ann = user(&machine);
    machine.sh(&format!("{INSTALL} --prefix /usr"));
    let units = machine
        .sh("ls /usr/lib/systemd/user/tmux-janitor*.service /usr/lib/systemd/user/tmux-janitor*.timer");
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
    let (_, figure) =
        report.rsplit_once("tmux-janitor.service: ").expect("the figure stands in the last line");
    let figure: f64 = figure.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number");
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
    machine.sh(&format!("ls /tmp/written /run/user/{uid}/written /tmp/no-namespace"));
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
    machine.sh_as(&ann, &format!("mkdir {sockets}; systemctl --user set-environment TMUX_TMPDIR={sockets}"));
    leave_dead(&machine, &ann, sockets, "gone");
    let socket = format!("{sockets}/tmux-{}/gone", ann.uid);

    assert_eq!(exit_status(&machine, &ann), "1");
    machine.sh(&format!("test -S {socket}"));
    let told = super::explained(&machine, &ann);
    for part in
        [format!("ReadWritePaths={sockets}"), format!("The socket {socket} is dead, but removing it failed")]
    {
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

/// However few the manager lets a unit have (1,024 is usual): having more servers than that must not make a sweep fail.
#[test]
fn a_sweep_has_a_descriptor_for_each_server() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh(&format!("{INSTALL} --prefix /usr --system"));
    let few = "[Manager]\nDefaultLimitNOFILE=64:64\n";
    machine
        .sh(&format!("mkdir -p /etc/systemd/user.conf.d; printf '{few}' >/etc/systemd/user.conf.d/few.conf"));
    let ann = user(&machine);
    leave_dead(&machine, &ann, "/tmp", "gone");
    let limit = machine.sh_as(
        &ann,
        r#"
        for label in $(seq 80); do TMUX_TMPDIR=/tmp "$TMUX_BIN" -f /dev/null -L "$label" new-session -d 'sleep 1000'; done
        systemctl --user show --property=DefaultLimitNOFILESoft --value
    "#,
    );
    assert_eq!(limit.trim(), "64", "it is to lack them");
    assert_eq!(exit_status(&machine, &ann), "0");
    machine.sh(&format!("test ! -e /tmp/tmux-{}/gone", ann.uid));

    machine.sh(&format!(
        "mkdir -p /etc/systemd/system.conf.d; printf '{few}' >/etc/systemd/system.conf.d/few.conf"
    ));
    let property = |property: &str, of: &str| {
        machine.sh(&format!("systemctl show --property={property} --value {of}")).trim().to_owned()
    };
    machine.sh("systemctl daemon-reload");
    assert_eq!(property("DefaultLimitNOFILE", ""), "64");
    // Else the manager forgets the service as soon as it has ended.
    machine.sh("systemctl start tmux-janitor.timer; systemctl start tmux-janitor.service");
    assert_ne!(property("ExecMainExitTimestampMonotonic", "tmux-janitor.service"), "0", "it has run");
    assert_eq!(property("ExecMainStatus", "tmux-janitor.service"), "0");
}
