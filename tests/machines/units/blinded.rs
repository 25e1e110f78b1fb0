//! Drop-ins that blind the sweep: it notices, removes nothing, and says which directive to blame.

use super::entries;
use super::scene::{INSTALL, leave_dead, start};
use crate::machine::{Machine, User};

/// What a drop-in says, and what the journal must then.
const BLINDING: [(&str, &str); 6] = [
    ("PrivateNetwork=yes", "PrivateNetwork="),
    ("PrivateTmp=yes", "PrivateTmp="),
    ("RestrictAddressFamilies=\\nRestrictAddressFamilies=AF_UNIX", "RestrictAddressFamilies="),
    ("ProtectHome=yes", "ProtectHome="),
    // The system's unit is not blinded by the second line alone: its own first one wins.
    ("ReadOnlyPaths=\\nProtectHome=tmpfs", "ProtectHome="),
    ("ReadWritePaths=\\nReadOnlyPaths=/tmp", "ReadWritePaths="),
];

#[test]
fn a_users_sweep_that_is_blinded_names_the_directive() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh(&format!("{INSTALL} --prefix /usr"));
    let ann = machine.user("ann");
    is_blinded(&machine, &ann, |script| {
        machine.try_sh_as(
            &ann,
            &script.replace("@DIR@", "~/.config/systemd/user").replace("systemctl", "systemctl --user"),
        );
    });
}

#[test]
fn the_systems_sweep_that_is_blinded_names_the_directive() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh(&format!("{INSTALL} --prefix /usr --system"));
    let ann = machine.user("ann");
    is_blinded(&machine, &ann, |script| {
        machine.try_sh(&script.replace("@DIR@", "/etc/systemd/system"));
    });
}

#[track_caller]
fn is_blinded(machine: &Machine, ann: &User, sh: impl Fn(&str)) {
    machine.sh_as(
        ann,
        "mkdir -p ~/.config/tmux-janitor; echo 'keep = [\"base\"]' >~/.config/tmux-janitor/config.toml",
    );
    let live = start(machine, ann, "/tmp", "live");
    for label in ["gone", "base"] {
        leave_dead(machine, ann, "/tmp", label);
    }
    for (directive, blamed) in BLINDING {
        let before = entries(machine).len();
        sh(&format!(
            "
            mkdir -p @DIR@/tmux-janitor.service.d
            printf '[Service]\\n{directive}\\n' >@DIR@/tmux-janitor.service.d/blind.conf
            systemctl daemon-reload
            systemctl start tmux-janitor.service
        "
        ));
        let told: Vec<_> = entries(machine).into_iter().skip(before).collect();
        let said =
            |entry: &serde_json::Value| entry["MESSAGE"].as_str().is_some_and(|text| text.contains(blamed));
        assert!(told.iter().any(said), "{directive}: {told:#?}");
        let names = machine.sh(&format!("ls -A -I .tmux-janitor-record /tmp/tmux-{}", ann.uid));
        assert_eq!(names, "base\ngone\nlive\n", "{directive}");
        let pid = machine.sh_as(ann, "\"$TMUX_BIN\" -L live display-message -p '#{pid}'");
        assert_eq!(pid.trim(), live, "{directive}");
    }
    sh(
        "rm @DIR@/tmux-janitor.service.d/blind.conf; systemctl daemon-reload; systemctl start tmux-janitor.service",
    );
    assert_eq!(machine.sh(&format!("ls -A -I .tmux-janitor-record /tmp/tmux-{}", ann.uid)), "base\nlive\n");
}
