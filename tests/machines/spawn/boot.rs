//! At boot, after a power cut and after all of user space was started anew: the sweep first, then what brings sessions back.

use serde_json::Value;

use super::lives_on;
use crate::common::skip::lacking;
use crate::machine::{Machine, User};

#[test]
fn at_boot_sessions_start_after_the_sweep() {
    let Some(mut machine) = Machine::boot() else { return };
    let ann = starts_at_boot(&machine);
    machine.crash();
    started_after_the_sweep(&machine, &ann);
}

#[test]
fn after_a_soft_reboot_sessions_start_after_the_sweep() {
    let Some(mut machine) = Machine::boot() else { return };
    let version = machine.sh("systemctl --version | sed -n '1s/^systemd \\([0-9]*\\).*/\\1/p'");
    if version.trim().parse::<u32>().expect("a number") < 254 {
        lacking("systemctl soft-reboot came with systemd 254");
        return;
    }
    let ann = starts_at_boot(&machine);
    machine.soft_reboot();
    started_after_the_sweep(&machine, &ann);
}

/// A user with a service that brings the session "build" back at boot, with the timer, and with two live servers, one of them
/// where that session belongs.
#[track_caller]
fn starts_at_boot(machine: &Machine) -> User {
    machine.sh("/run/host/repository/packaging/install --binary /run/host/tmux-janitor --prefix /usr");
    let ann = machine.user("ann");
    machine.sh_as(
        &ann,
        r#"mkdir -p ~/.config/systemd/user
        cat >~/.config/systemd/user/forge-post-boot-sessions.service <<'END'
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'tmux-janitor spawn --json build -- "sleep 1000" >%h/said'
[Install]
WantedBy=default.target
END
        systemctl --user enable forge-post-boot-sessions.service tmux-janitor.timer
        "$TMUX_BIN" -L spawn-build new-session -d 'sleep 1000'
        "$TMUX_BIN" -L other new-session -d 'sleep 1000'"#,
    );
    ann
}

#[track_caller]
fn started_after_the_sweep(machine: &Machine, ann: &User) {
    let ann = User { uid: ann.uid, ..machine.user("ann") };
    let said = machine.sh("cat /home/ann/said");
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(json["outcome"], "spawned", "{json:#}");
    assert_eq!(json["swept"].to_string(), "[]", "the service had swept before");
    lives_on(machine, &ann, &json);
    let names = machine.sh(&format!("ls /tmp/tmux-{}", ann.uid));
    assert_eq!(names, "spawn-build\n");
    let journal =
        machine.sh_as(&ann, "journalctl --user --output=json MESSAGE_ID=54a7acd7ba464cab8a6929e939bc4af2");
    let entry: Value = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
    assert_eq!(entry["TMUX_JANITOR_LABEL"], "spawn-build", "{entry:#}");
    assert_eq!(entry["TMUX_JANITOR_SERVER_PID"], json["server_pid"].to_string());
}
