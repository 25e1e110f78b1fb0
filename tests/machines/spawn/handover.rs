//! What is handed over to systemd: nothing that somebody else resolves names us, and nothing is left of a spawn that
//! is killed.

use super::JANITOR;
use crate::machine::Machine;
use rustix::process::{Pid, Signal, kill_process};

/// `of NAME`: the processes of the held service whose program has that name. `until_it_holds COMMAND`: for 20 s.
const SHELL: &str = r#"
of() {
  for pid in $(cat /sys/fs/cgroup/system.slice/held.service/cgroup.procs 2>/dev/null); do
    [ "$(cat /proc/$pid/comm 2>/dev/null)" != "$1" ] || echo $pid
  done
}
until_it_holds() {
  for _ in $(seq 4000); do ! "$@" || return 0; sleep 0.02; done
  echo "in vain: $*" >&2; return 1
}
some() { [ -n "$(of "$1")" ]; }
none() { [ -z "$(of "$1")" ]; }
"#;

/// Starts a service that waits for `/run/go` and then calls `spawn`. Its leader's pid. `KillMode=process`: systemd
/// does not tidy up what we should have.
fn hold(machine: &Machine, user: &str, properties: &str) -> String {
    let script = r#"until [ -e /run/go ]; do sleep 0.02; done
        exec /run/host/tmux-janitor spawn held -- sh -c "echo ran >>/var/tmp/ran; exec sleep 1000""#;
    machine.sh(&format!("cat >/run/held <<'END'\n{script}\nEND\nrm -f /run/go"));
    machine.sh(&format!(
        "systemd-run --quiet --collect --unit=held --uid={user} -p KillMode=process {properties} -- sh /run/held"
    ));
    machine.sh(&format!("{SHELL} until_it_holds some sh; of sh"))
}

#[test]
fn a_spawn_that_is_killed_leaves_nothing_behind() {
    let Some(machine) = Machine::boot() else { return };
    let ann = machine.user("ann");
    let (process, _) = machine.seen_from_the_host();
    let pid_1 = process.file_name().and_then(|name| name.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let manager = machine.sh(&format!("systemctl show --property=MainPID --value user@{}.service", ann.uid));
    for (user, properties) in
        [("ann", ""), ("ann", "-p PrivateTmp=yes"), ("root", ""), ("root", "-p PrivateTmp=yes")]
    {
        let signal = |name: &str, signal| match user {
            "root" => kill_process(pid_1.unwrap(), signal).unwrap(),
            _ => drop(machine.sh(&format!("kill -{name} {manager}"))),
        };
        let spawn = hold(&machine, user, properties);
        let spawn = spawn.trim();
        signal("STOP", Signal::STOP);
        let asked =
            "touch /run/go; until_it_holds some systemd-run; tr '\\0' '\\n' </proc/$(of systemd-run)/cmdline";
        let arguments = machine.sh(&format!("{SHELL} {asked}"));
        // A unit's name may have our number; nothing that is resolved has.
        assert!(!arguments.contains(&format!("/{spawn}")), "{arguments}");
        assert!(!arguments.lines().any(|argument| argument == spawn), "{arguments}");
        assert!(!arguments.contains("/var/tmp/ran"), "{arguments}");
        machine.sh(&format!("{SHELL} kill -KILL {spawn}; until_it_holds none systemd-run"));
        signal("CONT", Signal::CONT);
        machine.sh(&format!("{SHELL} gone() {{ ! systemctl --quiet is-active held; }}; until_it_holds gone"));
        let list = "list-units --all --plain --no-legend 'tmux-*'";
        let theirs = machine.sh_as(&ann, &format!("systemctl --user {list}"));
        let machines = machine.sh(&format!("systemctl {list}"));
        assert_eq!((theirs.as_str(), machines.as_str()), ("", ""), "{user} {properties}");
        let left = machine.sh(
            "[ ! -e /var/tmp/ran ] || echo ran; find /run /tmp /dev/shm -xdev -newer /run/held '(' -name '*janitor*' -o -name spawn-held ')' ! -path '/run/host*' ! -name '.tmux-janitor-*'",
        );
        assert_eq!(left, "", "{user} {properties}");
    }
}

#[test]
fn the_hidden_command_takes_nothing_but_a_sealed_order_of_its_own_user() {
    let Some(machine) = Machine::boot() else { return };
    // A FIFO is not waited for; neither is a path.
    let script = format!(
        "mkfifo /tmp/fifo; exec 7<>/tmp/fifo
        try() {{ timeout 60 {JANITOR} carry-out \"$@\" && echo 0 || echo $?; }}
        for stdin in /dev/null /tmp/fifo /etc/passwd; do try <$stdin; done; try /tmp/fifo"
    );
    let ended = machine.try_sh(&script);
    assert_eq!(ended.out, "2\n2\n2\n2\n", "{ended:?}");
    assert_eq!(ended.err.matches("this command is for tmux-janitor itself").count(), 3, "{ended:?}");
}

#[test]
fn root_has_no_program_started_that_others_can_replace() {
    let Some(machine) = Machine::boot() else { return };
    machine.user("ann");
    machine.sh(
        "install -D -m 755 /run/host/tmux-janitor /home/ann/bin/tmux-janitor; chown -R ann /home/ann/bin",
    );
    let spawn = |path: &str, name: &str| {
        machine.try_sh(&format!(
            "systemd-run --quiet --wait --pipe --collect -p PrivateTmp=yes -- {path} spawn {name} -- sleep 1000"
        ))
    };
    let ended = spawn("/home/ann/bin/tmux-janitor", "one");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("/home/ann/bin/tmux-janitor is not for root alone to write"), "{ended:?}");
    // What lies in the service's own /tmp is another program, or none, for the manager.
    machine.sh("mkdir -m 755 /var/own; install -m 755 /run/host/tmux-janitor /var/own");
    let ended = machine.try_sh(
        "systemd-run --quiet --wait --pipe --collect -p BindPaths=/var/own:/tmp -- /tmp/tmux-janitor spawn two -- sleep 1000",
    );
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("/tmp/tmux-janitor"), "{ended:?}");
    let ended = spawn("/var/own/tmux-janitor", "three");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
