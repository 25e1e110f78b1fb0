//! What is found about units, logins and cleaners, on a machine with systemd.

use crate::machine::{Machine, User};
use serde_json::Value;

const INSTALL: &str = "/run/host/repository/packaging/install --binary /run/host/tmux-janitor";

/// A machine on which nothing is to be found.
fn healthy() -> Option<(Machine, User)> {
    let machine = Machine::boot()?;
    machine.sh(&format!("{INSTALL} --prefix /usr"));
    let ann = machine.user("ann");
    machine.sh_as(&ann, "systemctl --user enable --now tmux-janitor.timer");
    assert_eq!(diagnosis(&machine, &ann, ""), Vec::<Value>::new());
    Some((machine, ann))
}

#[track_caller]
fn diagnosis(machine: &Machine, user: &User, environment: &str) -> Vec<Value> {
    let ended = machine.try_sh_as(user, &format!("env {environment} tmux-janitor doctor --json"));
    let json: Value = serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{ended:?}"));
    let findings = json["findings"].as_array().unwrap().clone();
    let is_healthy = findings.iter().all(|finding| finding["severity"] == "note");
    assert_eq!(ended.code, Some(i32::from(!is_healthy)), "{ended:?}");
    findings
}

/// There is exactly one finding, of that check and with that in its evidence.
#[track_caller]
fn finds(machine: &Machine, user: &User, environment: &str, check: &str, part: &str) -> String {
    let found = diagnosis(machine, user, environment);
    let is_it =
        |finding: &Value| finding["check"] == check && finding["what"].as_str().unwrap().contains(part);
    assert!(found.len() == 1 && is_it(&found[0]), "not only {check} {part:?}: {found:#?}");
    found[0]["cure"].as_str().unwrap().to_owned()
}

#[track_caller]
fn is_healthy(machine: &Machine, user: &User, environment: &str) {
    assert_eq!(diagnosis(machine, user, environment), Vec::<Value>::new());
}

#[test]
fn units_that_are_not_enabled_failed_or_need_lingering() {
    let Some((machine, ann)) = healthy() else {
        return;
    };
    machine.sh_as(&ann, "systemctl --user disable --now tmux-janitor.timer");
    finds(&machine, &ann, "", "units", "tmux-janitor.timer is inactive (disabled)");
    machine.sh_as(&ann, "systemctl --user enable --now tmux-janitor.timer");

    let config = "~/.config/tmux-janitor/config.toml";
    machine.sh_as(&ann, &format!("mkdir -p ~/.config/tmux-janitor; echo nonsense >{config}; systemctl --user start tmux-janitor.service || :; rm {config}"));
    let cure =
        finds(&machine, &ann, "", "units", "tmux-janitor.service failed lately: exit-code (exit status 78)");
    machine.sh_as(&ann, &cure);
    is_healthy(&machine, &ann, "");

    machine.sh("rm /var/lib/systemd/linger/ann");
    let cure = finds(&machine, &ann, "", "boot", "tmux-janitor.timer, tmux-janitor.service enabled for ann");
    machine.sh(&cure.replace("sudo ", ""));
    is_healthy(&machine, &ann, "");
}

#[test]
fn an_environment_of_its_own_in_the_manager() {
    let Some((machine, ann)) = healthy() else {
        return;
    };
    machine.sh("mkdir -m 1777 /tmp/elsewhere /srv/elsewhere");
    machine.sh_as(&ann, "systemctl --user set-environment TMUX_TMPDIR=/srv/elsewhere");
    let cure = finds(&machine, &ann, "", "environment", "unset here and /srv/elsewhere in the user's");
    assert!(cure.contains("unset-environment TMUX_TMPDIR"), "{cure}");
    is_healthy(&machine, &ann, "TMUX_TMPDIR=/srv/elsewhere");
    machine.sh_as(&ann, "systemctl --user set-environment TMUX_TMPDIR=/tmp");
    is_healthy(&machine, &ann, "");
    // It is gone after a boot.
    machine.sh("echo 'D /tmp 1777 root root -' >/etc/tmpfiles.d/tmp.conf");
    machine.sh_as(&ann, "systemctl --user set-environment TMUX_TMPDIR=/tmp/elsewhere");
    let cure = finds(
        &machine,
        &ann,
        "TMUX_TMPDIR=/tmp/elsewhere",
        "emptied",
        "systemd-tmpfiles empties /tmp at boot",
    );
    machine.sh(&cure.replace("sudo ", ""));
    is_healthy(&machine, &ann, "TMUX_TMPDIR=/tmp/elsewhere");
}

#[test]
fn servers_in_a_services_cgroup_and_in_the_runtime_directory() {
    let Some((machine, ann)) = healthy() else {
        return;
    };
    machine.sh_as(&ann, "systemd-run --user --scope --quiet --collect \"$TMUX_BIN\" -L scope new-session -d");
    is_healthy(&machine, &ann, "");
    let unit = "systemd-run --user --quiet --unit=holder --property=Type=oneshot --remain-after-exit";
    machine.sh_as(&ann, &format!("{unit} \"$TMUX_BIN\" -L inside new-session -d"));
    finds(&machine, &ann, "", "cgroup", "runs inside holder.service");
    machine.sh_as(&ann, "systemctl --user stop holder.service; tmux-janitor sweep");
    is_healthy(&machine, &ann, "");

    machine.sh_as(&ann, "TMUX_TMPDIR=$XDG_RUNTIME_DIR systemd-run --user --scope --quiet --collect \"$TMUX_BIN\" -L a new-session -d");
    is_healthy(&machine, &ann, "");
    machine.sh("rm /var/lib/systemd/linger/ann");
    machine.sh_as(&ann, "systemctl --user disable tmux-janitor.timer");
    finds(&machine, &ann, "", "emptied", "lies in /run/user/");
}

#[test]
fn spawners_without_an_order() {
    let Some((machine, ann)) = healthy() else {
        return;
    };
    let unit = |name: &str, command: &str| {
        machine.sh_as(
            &ann,
            &format!(
                "mkdir -p ~/.config/systemd/user; printf '[Service]\\nType=oneshot\\nExecStart={command}\\n[Install]\\nWantedBy=default.target\\n' >~/.config/systemd/user/{name}; systemctl --user daemon-reload; systemctl --user enable {name}"
            ),
        );
    };
    // The units are ordered before this one by themselves.
    unit("forge-post-boot-sessions.service", "/usr/bin/tmux -L x new-session -d");
    unit("harmless.service", "/bin/true");
    is_healthy(&machine, &ann, "");
    machine.sh_as(
        &ann,
        "printf '#!/bin/sh\\nexec tmux -L y new-session -d\\n' >~/spawn-it; chmod +x ~/spawn-it",
    );
    unit("other.service", "/home/ann/spawn-it");
    let cure = finds(&machine, &ann, "", "spawner", "other.service starts tmux at boot");
    machine.sh_as(&ann, &cure);
    is_healthy(&machine, &ann, "");
}

#[test]
fn sockets_that_would_be_aged_away() {
    let Some((machine, ann)) = healthy() else {
        return;
    };
    machine.sh_as(&ann, "systemd-run --user --scope --quiet --collect \"$TMUX_BIN\" -L a new-session -d");
    machine.sh("echo 'q /tmp 1777 root root 10d' >/etc/tmpfiles.d/tmp.conf");
    finds(&machine, &ann, "", "tmpfiles", "older than 10d below /tmp");
    // The shield of the watcher.
    let dir = format!("/tmp/tmux-{}", ann.uid);
    let shielded = machine.sh_as(&ann, &format!("flock --shared {dir} tmux-janitor doctor"));
    assert_eq!(shielded, "nothing found\n");
    machine.sh("echo 'x /tmp/tmux-*' >/etc/tmpfiles.d/tmux.conf");
    is_healthy(&machine, &ann, "");
}
