//! What `journalctl -x` shows beside each entry.

use super::scene::{INSTALL, leave_dead, start};
use crate::machine::Machine;
use std::fs;

/// A user's day with one of each.
const DAY: &str = "
    mkdir /tmp/tmux-UID/stuck.lock
    rm /tmp/tmux-UID/lost
    systemctl --user start tmux-janitor.service || :
    tmux-janitor --log-target journal rescue --aside
    tmux-janitor --log-target journal spawn build -- sleep 1000
    chmod 777 /tmp/tmux-UID
    systemctl --user start tmux-janitor.service || :
    chmod 700 /tmp/tmux-UID
    mkdir -p ~/.config/tmux-janitor
    echo 'kep = []' >~/.config/tmux-janitor/config.toml
    systemctl --user start tmux-janitor.service || :
    rm ~/.config/tmux-janitor/config.toml
    for command in status list doctor 'probe -L spawn-build' 'spawn build'; do
        systemd-run --user --quiet --wait /usr/bin/tmux-janitor $command || :
    done
    systemctl --user start tmux-janitor-watch.service
    kill -KILL WATCHED
    for i in $(seq 4000); do [ -e /tmp/tmux-UID/watched ] || break; sleep 0.02; done
    systemctl --user stop tmux-janitor-watch.service
";

#[test]
fn every_catalog_text_is_shown_with_its_fields_filled() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh(&format!("{INSTALL} --prefix /usr"));
    let ann = machine.user("ann");
    leave_dead(&machine, &ann, "/tmp", "gone");
    leave_dead(&machine, &ann, "/tmp", "stuck");
    start(&machine, &ann, "/tmp", "lost");
    start(&machine, &ann, "/tmp", "twice");
    machine.sh_as(&ann, &format!("rm /tmp/tmux-{}/twice", ann.uid));
    start(&machine, &ann, "/tmp", "twice");
    let watched = start(&machine, &ann, "/tmp", "watched");
    let day = DAY.replace("UID", &ann.uid.to_string()).replace("WATCHED", &watched);
    machine.sh_as(&ann, &day);
    let shown = machine.sh("journalctl --sync; journalctl -t tmux-janitor --catalog --no-pager -o cat; journalctl -t tmux-janitor --catalog --no-pager");
    assert!(!shown.contains("@TMUX_JANITOR"), "{shown}");
    let catalog = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/catalog/tmux-janitor.catalog");
    let catalog = fs::read_to_string(catalog).expect("the catalog is there");
    let subjects: Vec<_> = catalog.lines().filter(|line| line.starts_with("Subject: ")).collect();
    assert_eq!(subjects.len(), 11);
    for subject in subjects {
        // What stands around the fields.
        let parts: Vec<_> = subject.split('@').step_by(2).collect();
        let is_shown = |line: &str| parts.iter().all(|part| line.contains(part));
        assert!(shown.lines().any(is_shown), "{subject} is never shown:\n{shown}");
    }
    // In a unit every command speaks, with its counts.
    let told = machine
        .sh("journalctl -t tmux-janitor -o cat --no-pager MESSAGE_ID=c47d1e0a93b24f6e8d15a2b70fe8c964");
    for part in ["tmux sockets: ", "/spawn-build: live", "\"build\" is there already"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let counted = "journalctl -t tmux-janitor -o json --no-pager | grep -c TMUX_JANITOR_GHOSTS";
    assert!(machine.sh(counted).trim().parse::<u32>().expect("grep counts") >= 4, "{told}");
}
