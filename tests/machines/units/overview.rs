//! What the bare command says beside a real service manager, and that in a unit every command speaks.

use super::scene::{INSTALL, leave_dead, start};
use crate::machine::{Machine, User};

/// The last line of the overview.
#[track_caller]
fn next(machine: &Machine, user: &User) -> String {
    machine.sh_as(user, "tmux-janitor | tail -n 1").trim_end().to_owned()
}

#[test]
fn the_overview_knows_who_sweeps_and_when() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh("cp /run/host/tmux-janitor /usr/bin/tmux-janitor");
    let ann = machine.user("ann");
    assert_eq!(
        next(&machine, &ann),
        "next: nothing to do; no timer and no watcher sweeps here: `tmux-janitor setup --now` has it done every 10 minutes"
    );

    machine.sh(&format!("{INSTALL} --prefix /usr"));
    machine.sh_as(&ann, "systemctl --user daemon-reload");
    let told = next(&machine, &ann);
    let command = told.split('`').nth(1).expect("it names a command");
    assert_eq!(command, "systemctl --user enable --now tmux-janitor.timer");
    machine.sh_as(&ann, command);
    let told = next(&machine, &ann);
    let span = told.strip_prefix("next: nothing to do; the timer sweeps again in ");
    assert!(span.is_some_and(|span| span.starts_with('9') && span.contains('m')), "{told}");

    leave_dead(&machine, &ann, "/tmp", "dead");
    let told = next(&machine, &ann);
    let begin = "next: `tmux-janitor sweep` removes the dead sockets (`--dry-run` shows them first); the timer does so in 9m";
    assert!(told.starts_with(begin), "{told}");
    // Somebody cannot get at their sessions: that comes first.
    start(&machine, &ann, "/tmp", "ghost");
    machine.sh_as(&ann, "rm /tmp/tmux-$(id -u)/ghost");
    let told = next(&machine, &ann);
    assert!(told.starts_with("next: `tmux-janitor rescue` gets the ghosts' sessions back"), "{told}");
    machine.sh_as(&ann, "tmux-janitor rescue; tmux-janitor sweep");

    machine.sh_as(&ann, "systemctl --user start tmux-janitor-watch.service");
    assert_eq!(
        next(&machine, &ann),
        "next: nothing to do; tmux-janitor-watch.service removes each socket as its server ends"
    );
    // Nobody answers.
    machine.sh(&format!("loginctl disable-linger ann; systemctl stop user@{}.service", ann.uid));
    machine.sh_as(&ann, "tmux-janitor sweep");
    let told = next(&machine, &ann);
    assert!(told.starts_with("next: nothing to do; "), "{told}");
    assert!(!told.contains("sweeps again") && !told.contains("removes each"), "{told}");
    // No systemd at all.
    machine.sh_as(&ann, "touch /tmp/told");
    machine.sh("chmod 666 /tmp/told; unshare --mount sh -c 'mount -t tmpfs t /run/systemd; setpriv --reuid=ann --regid=ann --clear-groups env -u XDG_CONFIG_HOME HOME=/home/ann tmux-janitor >/tmp/told'");
    let told = machine.sh("cat /tmp/told");
    assert!(told.contains("put this line into `crontab -e`: */10 * * * * tmux-janitor sweep -q"), "{told}");
}

/// Each command, what the journal is to say of it, and its exit code.
const COMMANDS: [(&str, &str, &str); 14] = [
    ("list", "tmux sockets: ", "0"),
    ("status", "tmux sockets: ", "0"),
    ("sweep", "swept 0 dead sockets", "0"),
    ("sweep -S /tmp/nothing", "there is no such socket", "0"),
    ("rescue", "no ghosts", "0"),
    ("probe -L live", "/live: live", "0"),
    ("probe -L nobody", "/nobody: absent", "3"),
    ("doctor", "units: ", "1"),
    ("check-config", "configuration: ok", "0"),
    ("audit /tmp/script", "nothing found in 1 file", "0"),
    ("spawn one -- sleep 1000", "spawned \"one\" on ", "0"),
    ("spawn one -- sleep 1000", "\"one\" is there already", "3"),
    ("spawn two -- false", "ended at once, with exit code 1", "4"),
    ("spawn three --join-only", "no server", "1"),
];

#[test]
fn in_a_unit_every_command_speaks() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh(&format!(
        "{INSTALL} --prefix /usr; cp /run/host/tmux-janitor-audit /usr/libexec/ 2>/dev/null || :"
    ));
    let ann = machine.user("ann");
    start(&machine, &ann, "/tmp", "live");
    machine.sh_as(&ann, "echo 'tmux -L mine new-session -d' >/tmp/script");
    let mut silent = Vec::new();
    for (command, part, code) in COMMANDS {
        let ended = machine
            .try_sh_as(&ann, &format!("systemd-run --user --quiet --wait /usr/bin/tmux-janitor {command}"));
        let code_is = ended.code.map(|code| code.to_string()).unwrap_or_default();
        // Not by its unit: of a process that has ended journald does not know it.
        let told = machine
            .sh("journalctl --sync; journalctl --no-pager -o cat -t tmux-janitor --cursor-file=/run/read");
        if !told.contains(part) || code_is != code {
            silent.push(format!("{command}: {code_is}: {told}"));
        }
        // Nothing twice.
        let mut lines: Vec<&str> = told.lines().collect();
        lines.sort_unstable();
        let all = lines.len();
        lines.dedup();
        if lines.len() < all {
            silent.push(format!("{command}: says something twice: {told}"));
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}
