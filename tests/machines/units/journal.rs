//! The journal that stops reading, goes, comes anew or is told much: nobody waits for it, and it hears what it missed.

use super::scene::{INSTALL, start};
use crate::machine::{Machine, User};
use serde_json::Value;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;

const SOCKET_REMOVED: &str = "02faf4bc75b3441f95bf477ea1110562";
const REJECTED: &str = "9d7ca7fe8bbc4c6db0e427172e81b8c6";
const WATCH: &str = "tmux-janitor-watch.service";

/// More entries than the kernel and we keep.
const MANY: usize = 2_000;

struct Scene {
    machine: Machine,
    ann: User,
    dir: String,
}

impl Scene {
    /// A user with a living server, and the program for all.
    fn open() -> Option<Self> {
        let machine = Machine::boot()?;
        machine.sh(&format!("{INSTALL} --prefix /usr --system"));
        let ann = machine.user("ann");
        start(&machine, &ann, "/tmp", "live");
        let dir = format!("/tmp/tmux-{}", ann.uid);
        machine.sh("mkdir /tmp/made");
        Some(Self { machine, ann, dir })
    }

    fn sh(&self, script: &str) -> String {
        self.machine.sh_as(&self.ann, script)
    }

    /// Puts dead sockets into the user's directory.
    #[track_caller]
    fn leave_dead(&self, labels: impl Iterator<Item = String>) {
        self.leave_dead_in(&self.dir, labels);
    }

    #[track_caller]
    fn leave_dead_in(&self, dir: &str, labels: impl Iterator<Item = String>) {
        let made = self.machine.seen_from_the_host().0.join("root/tmp/made");
        for label in labels {
            drop(UnixListener::bind(made.join(&label)).expect("the folder is ours"));
            chown(made.join(&label), Some(self.ann.uid), Some(self.ann.uid)).expect("this needs root");
        }
        self.machine.sh(&format!("find /tmp/made -type s -exec mv -t {dir} {{}} +"));
    }

    #[track_caller]
    fn await_removal(&self) {
        let gone = format!("test -z \"$(find {} -type s ! -name live ! -name spawn-build)\"", self.dir);
        self.until(&gone);
    }

    #[track_caller]
    fn until(&self, condition: &str) {
        self.sh(&format!("until {condition}; do sleep 0.02; done"));
    }

    fn journald(&self, signal: &str) {
        self.machine.sh(&format!("kill -{signal} $(systemctl show -P MainPID systemd-journald.service)"));
    }

    /// A property of the watcher.
    fn show(&self, property: &str) -> String {
        self.sh(&format!("systemctl --user show --property={property} --value {WATCH}")).trim().to_owned()
    }

    /// What was told since the last time, oldest first.
    #[track_caller]
    fn told(&self) -> Vec<Value> {
        let text = self.machine.sh("journalctl --sync; journalctl --all --output=json --no-pager --cursor-file=/tmp/read SYSLOG_IDENTIFIER=tmux-janitor");
        text.lines().map(|line| serde_json::from_str(line).expect("journalctl prints JSON")).collect()
    }
}

fn removals(told: &[Value]) -> Vec<&str> {
    let of_it = told.iter().filter(|entry| entry["MESSAGE_ID"] == SOCKET_REMOVED);
    of_it.filter_map(|entry| entry["TMUX_JANITOR_LABEL"].as_str()).collect()
}

/// How many are missing, as the entries say that begin so.
fn missing(told: &[Value], why: &str) -> usize {
    let texts = told.iter().filter(|entry| entry["PRIORITY"] == "4");
    let counts = texts.filter_map(|entry| {
        let (count, rest) = entry["MESSAGE"].as_str()?.strip_prefix(why)?.split_once(' ')?;
        assert!(rest.starts_with("entr") && rest.ends_with("dropped"), "{entry:#}");
        count.parse::<usize>().ok()
    });
    counts.sum()
}

#[test]
fn one_that_is_stopped_for_good_stops_nobody() {
    let Some(scene) = Scene::open() else { return };
    // It would be killed for its silence after some minutes.
    scene.machine.sh("
        mkdir -p /run/systemd/system/systemd-journald.service.d
        printf '[Service]\\nWatchdogSec=0\\n' >/run/systemd/system/systemd-journald.service.d/silent.conf
        systemctl daemon-reload
        systemctl restart systemd-journald.service
    ");
    scene.sh(&format!(
        "mkdir -p ~/.config/systemd/user/{WATCH}.d
        printf '[Service]\\nWatchdogSec=15s\\n' >~/.config/systemd/user/{WATCH}.d/soon.conf
        systemctl --user daemon-reload
        systemctl --user start {WATCH}"
    ));
    let main = scene.show("MainPID");
    scene.told();

    scene.journald("STOP");
    scene.leave_dead((0..MANY).map(|number| format!("watched-{number}")));
    scene.await_removal();
    // It is alive as the service manager sees it, for longer than it would be left alone.
    let pinged: u64 = scene.show("WatchdogTimestampMonotonic").parse().expect("a time");
    let then = pinged + 20_000_000;
    scene.until(&format!("test $(systemctl --user show -P WatchdogTimestampMonotonic {WATCH}) -gt {then}"));
    assert_eq!((scene.show("MainPID"), scene.show("NRestarts")), (main, "0".to_owned()));

    // Others meet a queue that is full, in a folder of their own.
    let other = "/tmp/other";
    scene.sh(&format!("mkdir -m 700 {other}"));
    scene.leave_dead_in(other, (0..MANY).map(|number| format!("swept-{number}")));
    let said = scene.sh(&format!("tmux-janitor --log-target journal --dir {other} sweep 2>&1 | tail -n 2"));
    assert!(said.contains(&format!("swept {MANY} dead sockets")), "{said}");
    let (_, rest) = said.split_once("warning: the journal did not read; ").expect("it says what is missing");
    assert!(rest.starts_with(&format!("{} entries may be missing", MANY + 1)), "{said}");
    scene.sh("tmux-janitor spawn --log-target journal build -- sleep 1000 && \"$TMUX_BIN\" -L spawn-build has-session -t build");

    scene.journald("CONT");
    scene.leave_dead(std::iter::once("afterwards".to_owned()));
    scene.await_removal();
    let told = scene.told();
    let missing = missing(&told, "the journal did not read; ");
    let removed = removals(&told);
    assert!(missing > 0, "nothing was too much");
    assert_eq!(removed.len() + missing, MANY + 1, "{missing} are missing");
    let (last, before) = removed.split_last().expect("it is not empty");
    assert_eq!(*last, "afterwards");
    assert!(before.iter().all(|label| label.starts_with("watched-")), "{before:?}");
}

#[test]
fn one_that_was_away_hears_what_it_missed_and_one_that_was_made_anew_is_found() {
    let Some(scene) = Scene::open() else { return };
    scene.sh(&format!("systemctl --user start {WATCH}"));
    scene.told();
    scene.machine.sh("mv /run/systemd/journal/socket /run/systemd/journal/away");
    scene.leave_dead((0..3).map(|number| format!("lost-{number}")));
    scene.await_removal();
    scene.machine.sh("mv /run/systemd/journal/away /run/systemd/journal/socket");
    scene.leave_dead(std::iter::once("found".to_owned()));
    scene.await_removal();
    let told = scene.told();
    assert_eq!(missing(&told, "No such file or directory; "), 3, "{told:#?}");
    assert_eq!(removals(&told), ["found"]);

    let inode = || scene.machine.sh("stat -c %i /run/systemd/journal/socket");
    let before = inode();
    scene.machine.sh("systemctl stop systemd-journald.socket systemd-journald.service; rm -f /run/systemd/journal/socket; systemctl start systemd-journald.socket systemd-journald.service");
    assert_ne!(inode(), before, "it is the same socket");
    scene.leave_dead(std::iter::once("anew".to_owned()));
    scene.await_removal();
    let told = scene.told();
    assert_eq!(removals(&told), ["anew"]);
}

#[test]
fn a_long_entry_arrives_whole_out_of_each_sandbox() {
    let Some(scene) = Scene::open() else { return };
    let key = "k".repeat(400_000);
    // Its own words and not a command's: those are shorter.
    scene.sh("mkdir -p ~/.config/tmux-janitor; head -c 400000 /dev/zero | tr '\\0' k >~/.config/tmux-janitor/config.toml; echo ' = 1' >>~/.config/tmux-janitor/config.toml");
    scene
        .machine
        .sh("mkdir -p /etc/tmux-janitor; cp /home/ann/.config/tmux-janitor/config.toml /etc/tmux-janitor/");
    // One after the other: of a process that has ended before it reads the journal does not know the unit.
    for (manager, unit) in [
        ("--user", "tmux-janitor.service"),
        ("--user", WATCH),
        ("--system", "tmux-janitor-watch@ann.service"),
    ] {
        let start = format!("systemctl {manager} start {unit}");
        if manager == "--user" {
            scene.machine.try_sh_as(&scene.ann, &start);
        } else {
            scene.machine.try_sh(&start);
        }
        let told = scene.told();
        let of_it = told.iter().find(|entry| entry["MESSAGE_ID"] == REJECTED);
        let of_it = of_it.unwrap_or_else(|| panic!("{unit} said nothing"));
        for field in ["MESSAGE", "TMUX_JANITOR_ERROR"] {
            assert!(of_it[field].as_str().is_some_and(|text| text.contains(&key)), "{unit}: {field} was cut");
        }
    }

    // Where it cannot be sent, the kernel's word is told and not that the journal did not read.
    scene.machine.try_sh_as(
        &scene.ann,
        "systemd-run --user --wait --quiet --property=SystemCallFilter=~memfd_create --property=SystemCallErrorNumber=EPERM tmux-janitor sweep",
    );
    let told = scene.told();
    assert!(
        told.iter().any(|entry| entry["MESSAGE"]
            == "tmux-janitor: warning: Operation not permitted; 1 entry may be missing from the journal"),
        "{told:.3000?}"
    );
}
