//! The watcher as a service, on a real machine with real tmux servers.

use crate::common::kernel_tells_ends;
use crate::common::skip::lacking;
use crate::machine::{Machine, User};
use crate::units::scene::{INSTALL, start};
use serde_json::Value;

const SERVER_GONE: &str = "e8a71bf29e1a4ac488afff24aa9a9f1f";
const SOCKET_REMOVED: &str = "02faf4bc75b3441f95bf477ea1110562";
const REJECTED: &str = "9d7ca7fe8bbc4c6db0e427172e81b8c6";
const UNIT: &str = "tmux-janitor-watch.service";

/// A machine with the program installed and a user.
fn installed() -> Option<(Machine, User)> {
    let machine = Machine::boot()?;
    machine.sh(&format!("{INSTALL} --prefix /usr"));
    let ann = machine.user("ann");
    Some((machine, ann))
}

#[track_caller]
fn show(machine: &Machine, user: &User, property: &str) -> String {
    machine
        .sh_as(user, &format!("systemctl --user show --property={property} --value {UNIT}"))
        .trim()
        .to_owned()
}

/// The journal's entries of the watcher.
#[track_caller]
fn entries(machine: &Machine) -> Vec<Value> {
    let text =
        machine.sh("journalctl --sync; journalctl --output=json --no-pager SYSLOG_IDENTIFIER=tmux-janitor");
    text.lines().map(|line| serde_json::from_str(line).expect("journalctl prints JSON")).collect()
}

/// Starts a server, kills it, and waits until its socket is gone and that is told.
#[track_caller]
fn dies_and_is_cleaned_up(machine: &Machine, user: &User, label: &str) -> String {
    let pid = start(machine, user, "/tmp", label);
    kill(machine, user, &pid, label);
    pid
}

/// Kills a server that the watcher holds, and waits until its socket is gone and that is told.
#[track_caller]
fn kill(machine: &Machine, user: &User, pid: &str, label: &str) {
    let socket = format!("/tmp/tmux-{}/{label}", user.uid);
    // One that ends before the watcher comes to it is told without its process, and that is right.
    let watcher = show(machine, user, "MainPID");
    machine.sh(&until(&format!("grep -qs '^Pid:[[:space:]]*{pid}$' /proc/{watcher}/fdinfo/*")));
    machine.sh_as(user, &format!("kill -KILL {pid}; {}", until(&format!("[ ! -e {socket} ]"))));
    // It is told when its parent has waited for it.
    let told = format!("journalctl --user -o cat MESSAGE_ID={SERVER_GONE} | grep -q '{socket} '");
    machine.sh_as(user, &until(&told));
}

/// A line of shell that waits for a condition.
fn until(condition: &str) -> String {
    format!("for i in $(seq 4000); do if {condition}; then break; fi; sleep 0.02; done; {condition}")
}

#[test]
fn started_it_removes_each_socket_and_the_journal_tells_all() {
    let Some((machine, ann)) = installed() else { return };
    let before = start(&machine, &ann, "/tmp", "before");
    machine.sh_as(&ann, &format!("systemctl --user start {UNIT}"));
    assert_eq!(show(&machine, &ann, "ActiveState"), "active");
    assert!(show(&machine, &ann, "StatusText").starts_with("watching 1 server in "));
    kill(&machine, &ann, &before, "before");
    let after = dies_and_is_cleaned_up(&machine, &ann, "after");

    let told = entries(&machine);
    let uid = ann.uid.to_string();
    for (label, pid) in [("before", &before), ("after", &after)] {
        for (id, outcome) in [(SERVER_GONE, None), (SOCKET_REMOVED, Some("removed"))] {
            let of_it: Vec<_> = told
                .iter()
                .filter(|entry| entry["MESSAGE_ID"] == id && entry["TMUX_JANITOR_LABEL"] == label)
                .collect();
            assert_eq!(of_it.len(), 1, "{id} of {label} in {told:#?}");
            let socket = format!("/tmp/tmux-{uid}/{label}");
            for (field, value) in [
                ("TMUX_JANITOR_SOCKET", socket.as_str()),
                ("TMUX_JANITOR_DIR", &format!("/tmp/tmux-{uid}")),
                ("TMUX_JANITOR_UID", &uid),
                // Known only where a server can be tied to its socket: the sandbox lets it.
                ("TMUX_JANITOR_SERVER_PID", pid),
                ("PRIORITY", "6"),
                ("_SYSTEMD_USER_UNIT", UNIT),
            ] {
                assert_eq!(of_it[0][field], value, "{field} of {:#}", of_it[0]);
            }
            match outcome {
                Some(outcome) => assert_eq!(of_it[0]["TMUX_JANITOR_OUTCOME"], outcome),
                None if kernel_tells_ends() => assert_eq!(of_it[0]["TMUX_JANITOR_CAUSE"], "signal:SIGKILL"),
                None => {}
            }
        }
    }
    let explained = machine.sh_as(&ann, &format!("journalctl --user --catalog --no-pager --unit={UNIT}"));
    assert!(explained.contains("Subject: The tmux server behind after is gone"), "{explained}");
    let warnings: Vec<_> =
        told.iter().filter(|entry| entry["PRIORITY"].as_str().is_some_and(|level| level < "6")).collect();
    assert!(warnings.is_empty(), "{warnings:#?}");

    let ended = machine.sh_as(
        &ann,
        &format!("before=$(date +%s%3N); systemctl --user stop {UNIT}; after=$(date +%s%3N); echo $((after - before))"),
    );
    assert!(ended.trim().parse::<u32>().is_ok_and(|took| took < 1500), "it took {ended} ms to stop");
    assert_eq!(
        (show(&machine, &ann, "Result"), show(&machine, &ann, "ExecMainStatus")),
        ("success".into(), "0".into())
    );
}

#[test]
fn a_reload_is_heard_and_a_bad_one_changes_nothing() {
    let Some((machine, ann)) = installed() else { return };
    let configure = |text: &str| {
        machine.sh_as(
            &ann,
            &format!("mkdir -p ~/.config/tmux-janitor; echo '{text}' >~/.config/tmux-janitor/config.toml"),
        );
    };
    configure("keep = [\"homebase\"]");
    // No other program is needed for it.
    machine.sh("rm -f /bin/kill /usr/bin/kill");
    machine.sh_as(&ann, &format!("systemctl --user start {UNIT}"));
    let main = show(&machine, &ann, "MainPID");
    let socket = format!("/tmp/tmux-{}/homebase", ann.uid);

    configure("keeep = []");
    machine.sh_as(&ann, &format!("systemctl --user reload {UNIT}"));
    machine.sh_as(
        &ann,
        &until(&format!("systemctl --user show --property=StatusText {UNIT} | grep -q rejected")),
    );
    assert_eq!(show(&machine, &ann, "ActiveState"), "active");
    let rejected = entries(&machine).into_iter().filter(|entry| entry["MESSAGE_ID"] == REJECTED).count();
    assert_eq!(rejected, 1);
    let pid = start(&machine, &ann, "/tmp", "homebase");
    machine.sh_as(&ann, &format!("kill -KILL {pid}"));
    dies_and_is_cleaned_up(&machine, &ann, "other");
    machine.sh(&format!("test -S {socket}"));

    configure("keep = []");
    machine.sh_as(&ann, &format!("systemctl --user reload {UNIT}; {}", until(&format!("[ ! -e {socket} ]"))));
    assert_eq!(show(&machine, &ann, "MainPID"), main, "the same process all the time");

    // At the start it is another matter: what a restart cannot cure is not restarted.
    configure("keeep = []");
    machine.try_sh_as(&ann, &format!("systemctl --user restart {UNIT}"));
    let state = ["ActiveState", "ExecMainStatus", "NRestarts"].map(|property| show(&machine, &ann, property));
    assert_eq!(state, ["failed", "78", "0"]);
}

#[test]
fn a_stopped_daemon_is_started_again_by_the_watchdog() {
    let Some((machine, ann)) = installed() else { return };
    machine.sh_as(
        &ann,
        &format!(
            "mkdir -p ~/.config/systemd/user/{UNIT}.d
            printf '[Service]\\nWatchdogSec=1s\\nRestartSec=100ms\\nTimeoutAbortSec=1s\\n' >~/.config/systemd/user/{UNIT}.d/fast.conf
            systemctl --user daemon-reload
            systemctl --user start {UNIT}"
        ),
    );
    let main = show(&machine, &ann, "MainPID");
    // It lives longer than the watchdog's time as long as its loop turns.
    machine.sh_as(&ann, "sleep 2.5");
    assert_eq!(show(&machine, &ann, "MainPID"), main);
    machine.sh_as(
        &ann,
        &format!(
            "kill -STOP {main}
            {}",
            until(&format!("new=$(systemctl --user show --property=MainPID --value {UNIT}); [ $new != 0 ] && [ $new != {main} ] && systemctl --user --quiet is-active {UNIT}"))
        ),
    );
    assert_eq!(show(&machine, &ann, "NRestarts"), "1");
    dies_and_is_cleaned_up(&machine, &ann, "afterwards");
}

#[test]
fn enabled_it_comes_back_after_a_reboot_beside_the_timer() {
    let Some((mut machine, ann)) = installed() else { return };
    machine.sh_as(&ann, &format!("systemctl --user enable --now {UNIT} tmux-janitor.timer"));
    let pid = start(&machine, &ann, "/tmp", "over-the-reboot");
    assert!(!pid.is_empty());
    machine.crash();
    let ann = machine.user("ann");
    assert_eq!(show(&machine, &ann, "ActiveState"), "active");
    machine.sh_as(&ann, &until(&format!("[ ! -e /tmp/tmux-{}/over-the-reboot ]", ann.uid)));
    for label in ["one", "two"] {
        dies_and_is_cleaned_up(&machine, &ann, label);
        machine.sh_as(&ann, "systemctl --user start tmux-janitor.service");
    }
}

#[test]
fn the_unit_loads_without_a_warning_and_stays_locked_up() {
    let Some((machine, ann)) = installed() else { return };
    let path = format!("/usr/lib/systemd/user/{UNIT}");
    let verified = machine.try_sh_as(&ann, &format!("systemd-analyze --user verify {path}"));
    assert_eq!((verified.code, verified.out.as_str(), verified.err.as_str()), (Some(0), "", ""));
    let report =
        machine.sh_as(&ann, &format!("systemd-analyze --user security --offline=true --no-pager {path}"));
    let (_, figure) = report.rsplit_once(&format!("{UNIT}: ")).expect("the figure stands in the last line");
    let figure: f64 = figure.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number");
    assert!(figure <= 6.2, "the exposure has grown:\n{report}");
}

/// A server in a scope that may have little memory, beside a process that stays when the service manager ends the others:
/// where the scope is gone, nobody can tell any more.
#[track_caller]
fn start_confined(machine: &Machine, user: &User, label: &str) -> String {
    let inside = format!(
        "trap '' TERM HUP; \"$TMUX_BIN\" -L {label} new-session -d 'sleep 3600'; while :; do sleep 1; done"
    );
    let has_session = format!("\"$TMUX_BIN\" -L {label} has-session 2>/dev/null");
    machine
        .sh_as(
            user,
            &format!(
                "export TMUX_TMPDIR=/tmp INSIDE={}
                systemd-run --user --scope --quiet --collect --unit={label} --property=MemoryMax=32M \
                    --property=MemorySwapMax=0 --property=TimeoutStopSec=10s \
                    sh -c \"$INSIDE\" </dev/null >/dev/null 2>&1 &
                {} >/dev/null
                \"$TMUX_BIN\" -L {label} display-message -p '#{{pid}}'",
                shell_word(&inside),
                until(&has_session)
            ),
        )
        .trim()
        .to_owned()
}

fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[test]
fn a_server_that_was_killed_for_lack_of_memory_is_told_from_one_that_somebody_killed() {
    if !kernel_tells_ends() {
        return lacking("this kernel does not tell how a process ended");
    }
    let Some((machine, ann)) = installed() else { return };
    let hungry = start_confined(&machine, &ann, "hungry");
    let killed = start_confined(&machine, &ann, "killed");
    let group = format!("cd /sys/fs/cgroup$(sed -n s/^0:://p /proc/{hungry}/cgroup)");
    if machine.try_sh(&format!("{group}; cat memory.events")).code != Some(0) {
        return lacking("no control group counts memory here");
    }
    // It is killed as a whole, but for the shell that keeps it.
    machine.sh(&format!(
        "{group}
        for pid in $(cat cgroup.procs); do
            [ \"$(cat /proc/$pid/comm)\" != sh ] || echo -1000 >/proc/$pid/oom_score_adj
        done
        echo 1 >memory.oom.group"
    ));
    machine.sh_as(
        &ann,
        &format!(
            "systemctl --user start {UNIT}
            systemd-run --user --quiet --unit=reader --property=StandardOutput=file:/tmp/told /usr/bin/tmux-janitor events --json
            {}",
            until("[ \"$(grep -c server-up /tmp/told)\" = 2 ]")
        ),
    );
    kill(&machine, &ann, &killed, "killed");
    machine.sh_as(
        &ann,
        &format!(
            "echo 1000 >/proc/{hungry}/oom_score_adj
            head -c 200M /dev/zero | TMUX_TMPDIR=/tmp \"$TMUX_BIN\" -L hungry load-buffer - || :
            {}",
            until("[ \"$(grep -c server-gone /tmp/told)\" = 2 ]")
        ),
    );
    let told = machine.sh("cat /tmp/told");
    let lines = told.lines().map(|line| serde_json::from_str::<Value>(line).expect("it prints JSON"));
    let causes: Vec<_> = lines
        .filter(|line| line["event"] == "server-gone")
        .map(|line| (line["label"].as_str().unwrap().to_owned(), line["cause"].clone()))
        .collect();
    let cause = |oom: bool| serde_json::json!({"signal": "SIGKILL", "core": false, "oom": oom});
    assert_eq!(causes, [("killed".to_owned(), cause(false)), ("hungry".to_owned(), cause(true))]);
    machine.sh_as(&ann, &until("journalctl --user -o cat TMUX_JANITOR_CAUSE=oom | grep -q '/hungry '"));
    let message = machine.sh("journalctl -o cat TMUX_JANITOR_CAUSE=oom");
    let line = format!(
        "server gone: /tmp/tmux-{}/hungry (pid {hungry}), killed by SIGKILL (out of memory)",
        ann.uid
    );
    assert_eq!(message.trim(), line);
}
