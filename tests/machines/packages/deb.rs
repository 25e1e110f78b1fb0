//! The .deb on a real machine with its own dpkg: installed, upgraded, removed, purged.
//!
//! `--no-triggers` where none matters: man-db goes through all man pages of the machine each time.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::built::{bring, deb, here, later_deb, run};
use crate::machine::{Machine, User};
use crate::units::scene::{leave_dead, lines, start, user};

const CATALOG_ID: &str = "02faf4bc75b3441f95bf477ea1110562";
const SYSTEM_UNITS: [&str; 3] =
    ["tmux-janitor.service", "tmux-janitor.timer", "tmux-janitor-watch@root.service"];
const USER_UNITS: [&str; 3] = ["tmux-janitor.service", "tmux-janitor.timer", "tmux-janitor-watch.service"];

#[test]
fn lintian_finds_nothing() {
    let Some(deb) = deb().filter(|_| here(&["lintian"])) else {
        return;
    };
    // It leaves a folder behind there.
    let room = tempfile::tempdir().expect("a folder for the test");
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning"]).arg(deb).env("TMPDIR", room.path());
    let found = run(&mut lintian);
    assert_eq!(found, "");
}

#[test]
fn installed_nothing_runs_and_everything_is_there() {
    let Some((machine, ann, deb)) = machine(deb()) else {
        return;
    };
    let said = machine.sh(&format!("dpkg --install {deb} 2>&1"));
    assert!(!said.contains("rror") && !said.contains("arning"), "{said}");

    nothing_is_enabled_or_active(&machine, &ann);
    machine.sh("systemctl preset tmux-janitor.service tmux-janitor.timer tmux-janitor-watch@root.service");
    machine.sh(&format!("systemctl --global preset {}", USER_UNITS.join(" ")));
    nothing_is_enabled_or_active(&machine, &ann);
    // An administrator's own preset stands before the package's.
    machine.sh("
        mkdir -p /etc/systemd/user-preset
        echo 'enable tmux-janitor.timer' >/etc/systemd/user-preset/50-local.preset
        systemctl --global preset tmux-janitor.timer tmux-janitor-watch.service
    ");
    assert_eq!(enabled(&machine, "--global", &USER_UNITS), ["enabled", "enabled", "disabled"]);

    let explained = machine.sh(&format!("journalctl --dump-catalog {CATALOG_ID}"));
    assert!(explained.contains("Subject: The dead tmux socket"), "{explained}");
    for page in ["1 tmux-janitor", "5 tmux-janitor.toml", "8 tmux-janitor.service"] {
        let page = machine.sh(&format!("man --warnings {page} 2>&1"));
        assert!(page.contains("SEE ALSO") && !page.contains("warning:"), "{page}");
    }
    completes(&machine);

    leave_dead(&machine, &ann, "/tmp", "gone");
    machine.sh_as(&ann, "systemctl --user start tmux-janitor.service");
    machine.sh(&format!("test ! -e /tmp/tmux-{}/gone", ann.uid));
}

#[test]
fn an_upgrade_renews_what_runs_and_changes_no_decision() {
    let Some((machine, ann, deb)) = machine(deb()) else {
        return;
    };
    let later = bring(&machine, &later_deb());
    machine.sh(&format!("dpkg --no-triggers --install {deb}"));
    let config = "# of the administrator\nkeep = [\"kept\"]\n";
    machine.sh(&format!(
        "
        mkdir /etc/tmux-janitor
        printf '%s' '{config}' >/etc/tmux-janitor/config.toml
        systemctl --quiet enable --now tmux-janitor.timer
        systemctl --quiet disable tmux-janitor.service
        systemctl start tmux-janitor-watch@root.service
        systemctl --quiet --global enable tmux-janitor.timer
    "
    ));
    machine.sh_as(&ann, "systemctl --quiet --user start tmux-janitor-watch.service");
    let server = start(&machine, &ann, "/tmp", "live");
    leave_dead(&machine, &ann, "/tmp", "kept");
    let decided = decisions(&machine, &ann);
    let watchers = watchers(&machine, &ann);
    let version = "dpkg-query --show --showformat='${Version}' tmux-janitor";
    assert_eq!(machine.sh(version), concat!(env!("CARGO_PKG_VERSION"), "-1"));

    machine.sh(&format!("dpkg --no-triggers --install {later}"));

    assert_eq!(machine.sh(version), "99.0.0-1");
    assert_eq!(decisions(&machine, &ann), decided);
    assert_eq!(machine.sh("cat /etc/tmux-janitor/config.toml"), config);
    for (old, new) in watchers.iter().zip(super::deb::watchers(&machine, &ann)) {
        assert_ne!(*old, new, "the old program is still running");
        let program = machine.sh(&format!("readlink /proc/{new}/exe"));
        assert_eq!(program.trim(), "/usr/bin/tmux-janitor");
    }
    let now = machine.sh_as(&ann, "TMUX_TMPDIR=/tmp \"$TMUX_BIN\" -L live display-message -p '#{pid}'");
    assert_eq!(now.trim(), server, "another server than before");
    machine.sh(&format!("test -S /tmp/tmux-{}/kept", ann.uid));
}

#[test]
fn removed_it_stops_and_remembers_and_purged_it_leaves_nothing() {
    let Some((machine, ann, deb)) = machine(deb()) else {
        return;
    };
    // Not all of "/": the rest shows this host's files, which others may be changing.
    let everything = "find /usr /etc /var/lib/systemd /var/lib/dpkg/info -xdev | sort >";
    machine.sh(&format!("journalctl --update-catalog; {everything} /run/before"));
    machine.sh(&format!("dpkg --no-triggers --install {deb}"));
    machine.sh("
        mkdir /etc/tmux-janitor
        echo 'keep = [\"kept\"]' >/etc/tmux-janitor/config.toml
        systemctl --quiet enable --now tmux-janitor.timer tmux-janitor-watch@root.service
        systemctl --quiet --global enable tmux-janitor-watch.service
    ");
    machine.sh_as(&ann, "systemctl --user start tmux-janitor-watch.service tmux-janitor.timer");
    let decided = decisions(&machine, &ann);

    machine.sh("dpkg --no-triggers --remove tmux-janitor");
    let left = machine.sh("systemctl list-units --plain --no-legend 'tmux-janitor*'");
    assert_eq!(left, "", "something runs on");
    let left = machine.sh_as(&ann, "systemctl --user list-units --plain --no-legend 'tmux-janitor*'");
    assert_eq!(left, "", "something runs on");
    machine.sh("test ! -e /usr/bin/tmux-janitor; test -e /etc/tmux-janitor/config.toml");

    machine.sh(&format!("dpkg --no-triggers --install {deb}"));
    let enabled: BTreeSet<_> = decided.iter().map(|(unit, enabled, _)| (unit, enabled)).collect();
    let again = decisions(&machine, &ann);
    assert_eq!(again.iter().map(|(unit, enabled, _)| (unit, enabled)).collect::<BTreeSet<_>>(), enabled);

    machine.sh("dpkg --purge tmux-janitor");
    machine.sh(&format!("{everything} /run/after; diff /run/before /run/after"));
    let explained = machine.try_sh(&format!("journalctl --dump-catalog {CATALOG_ID}")).out;
    assert!(!explained.contains("tmux"), "{explained}");
    for manager in ["--system", "--global"] {
        let left =
            machine.try_sh(&format!("systemctl {manager} list-unit-files --no-legend 'tmux-janitor*'"));
        assert_eq!((left.out.as_str(), left.err.as_str()), ("", ""), "{manager}");
    }
}

#[test]
fn where_users_may_not_make_namespaces_a_drop_in_says_so() {
    let Some((machine, _, deb)) = machine(deb()) else {
        return;
    };
    let drop_in = "/etc/systemd/user/tmux-janitor.service.d/no-user-namespaces.conf";
    let allowed = format!("dpkg --no-triggers --install {deb}");
    let refused = format!("systemd-run --quiet --pipe --wait --property=RestrictNamespaces=~user {allowed}");
    machine.sh(&format!("{refused}; grep --quiet ^PrivateUsers=no {drop_in}"));
    // The administrator changed the kernel's mind, and again.
    machine.sh(&format!("{allowed}; test ! -L {drop_in}; {refused}; test -L {drop_in}"));
    machine.sh(&format!("dpkg --no-triggers --remove tmux-janitor; test ! -L {drop_in}"));

    // What an administrator put there is theirs.
    machine.sh(&format!("mkdir -p $(dirname {drop_in}); ln -s /dev/null {drop_in}"));
    machine.sh(&format!("{refused}; dpkg --no-triggers --purge tmux-janitor"));
    assert_eq!(machine.sh(&format!("readlink {drop_in}")), "/dev/null\n");
}

/// A machine with the user ann and the package, on which dpkg does what it does by default.
#[track_caller]
fn machine(deb: Option<&Path>) -> Option<(Machine, User, String)> {
    let deb = deb?;
    if !here(&["deb-systemd-helper", "man", "zsh", "fish"]) {
        return None;
    }
    let machine = Machine::boot()?;
    // Images for containers forbid services to start, and leave man pages out.
    // man finds pages without man-db's index, and making that anew takes long on a busy machine.
    machine.sh("rm -rf /usr/sbin/policy-rc.d /etc/dpkg/dpkg.cfg.d /var/lib/man-db/auto-update");
    let ann = user(&machine);
    let deb = bring(&machine, deb);
    Some((machine, ann, deb))
}

#[track_caller]
fn nothing_is_enabled_or_active(machine: &Machine, user: &User) {
    for (unit, enabled, active) in decisions(machine, user) {
        assert_eq!((enabled.as_str(), active.as_str()), ("disabled", "inactive"), "{unit}");
    }
    // No link that another unit's [Install] section brought.
    let links = machine.sh("find /etc/systemd -name '*tmux-janitor*'");
    assert_eq!(links, "");
}

/// Of each unit of both managers: whether it is enabled, and whether it is active.
#[track_caller]
fn decisions(machine: &Machine, user: &User) -> Vec<(String, String, String)> {
    let active = |manager: &str, unit: &str| {
        let ask = format!("systemctl {manager} is-active {unit}");
        let ended = if manager == "--user" { machine.try_sh_as(user, &ask) } else { machine.try_sh(&ask) };
        ended.out.trim().to_owned()
    };
    let mut decided = vec![];
    for (who, manager, units) in
        [("--system", "--system", &SYSTEM_UNITS), ("--global", "--user", &USER_UNITS)]
    {
        for (unit, enabled) in units.iter().zip(enabled(machine, who, units)) {
            decided.push((format!("{manager} {unit}"), enabled, active(manager, unit)));
        }
    }
    decided
}

#[track_caller]
fn enabled(machine: &Machine, who: &str, units: &[&str]) -> Vec<String> {
    let said = machine.try_sh(&format!("systemctl {who} is-enabled {}", units.join(" ")));
    let said: Vec<_> = said.out.lines().map(str::to_owned).collect();
    assert_eq!(said.len(), units.len(), "one answer each: {said:?}");
    said
}

/// The processes of the two daemons.
#[track_caller]
fn watchers(machine: &Machine, user: &User) -> [String; 2] {
    let ask = "show --property=MainPID --value";
    [
        machine.sh(&format!("systemctl {ask} tmux-janitor-watch@root.service")),
        machine.sh_as(user, &format!("systemctl --user {ask} tmux-janitor-watch.service")),
    ]
    .map(|pid| {
        assert_ne!(pid.trim(), "0", "it does not run");
        pid.trim().to_owned()
    })
}

/// Each shell finds its completions where the package puts them, and they work.
#[track_caller]
fn completes(machine: &Machine) {
    let offered = machine.sh("fish --private --command 'complete --do-complete \"tmux-janitor swe\"'");
    assert!(offered.starts_with("sweep"), "{offered}");

    let found = machine.sh("zsh -fc 'autoload -Uz compinit; compinit -D; print ${_comps[tmux-janitor]}; autoload +X _tmux-janitor'");
    assert_eq!(found.trim(), "_tmux-janitor");

    let script = "/usr/share/bash-completion/completions/tmux-janitor";
    let offered = machine.sh(&format!(
        "bash -euc '. {script}; complete -p tmux-janitor >/dev/null
            COMP_WORDS=(tmux-janitor swe) COMP_CWORD=1; _tmux__janitor tmux-janitor swe tmux-janitor; echo \"${{COMPREPLY[@]}}\"'"
    ));
    assert_eq!(lines(&offered), BTreeSet::from(["sweep".to_owned()]));
}
