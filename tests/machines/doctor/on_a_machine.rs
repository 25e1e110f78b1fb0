//! What is found about units, logins and cleaners, on a machine with systemd; and each cure, as it is printed, applied to
//! the fault that had it printed.

use crate::machine::{Machine, User};
use serde_json::Value;

const INSTALL: &str = "/run/host/repository/packaging/install --binary /run/host/tmux-janitor";

/// A machine on which nothing is to be found.
pub(crate) fn healthy() -> Option<(Machine, User)> {
    let machine = Machine::boot()?;
    machine.sh(&format!("{INSTALL} --prefix /usr"));
    let ann = administrator(&machine);
    machine.sh_as(&ann, "systemctl --user enable --now tmux-janitor.timer");
    assert_eq!(diagnosis(&machine, &ann, ""), Vec::<Value>::new());
    Some((machine, ann))
}

/// A user for whom `sudo` asks for no password.
pub(crate) fn administrator(machine: &Machine) -> User {
    machine.sh(
        "install -m 4755 \"$(command -v setpriv)\" /usr/local/sbin/become; printf '#!/bin/sh\\nexec become --reuid=0 --regid=0 --clear-groups -- \"$@\"\\n' >/usr/local/bin/sudo; chmod 755 /usr/local/bin/sudo",
    );
    let ann = machine.user("ann");
    assert_eq!(machine.sh_as(&ann, "sudo id -u"), "0\n");
    ann
}

#[track_caller]
pub(crate) fn diagnosis(machine: &Machine, user: &User, environment: &str) -> Vec<Value> {
    diagnosis_after(machine, user, environment, ":")
}

/// What is found after a shell line was run, in the same shell.
#[track_caller]
fn diagnosis_after(machine: &Machine, user: &User, environment: &str, line: &str) -> Vec<Value> {
    let export = if environment.is_empty() { String::new() } else { format!("export {environment}; ") };
    let told = "|| { cat ~/told >&2; exit 99; }";
    let ended = machine
        .try_sh_as(user, &format!("{export}{{ {line}\n}} >~/told 2>&1 {told}; tmux-janitor doctor --json"));
    let json: Value = serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{line}: {ended:?}"));
    let findings = json["findings"].as_array().unwrap().clone();
    let is_healthy = findings.iter().all(|finding| finding["severity"] == "note");
    assert_eq!(ended.code, Some(i32::from(!is_healthy)), "{ended:?}");
    for finding in &findings {
        assert!(finding["what"].as_str().is_some_and(|what| !what.is_empty()), "{finding:#}");
    }
    findings
}

/// There is exactly one finding, of that check and with that in its evidence.
#[track_caller]
pub(crate) fn finds(machine: &Machine, user: &User, environment: &str, check: &str, part: &str) -> Value {
    let found = diagnosis(machine, user, environment);
    let is_it =
        |finding: &Value| finding["check"] == check && finding["what"].as_str().unwrap().contains(part);
    assert!(found.len() == 1 && is_it(&found[0]), "not only {check} {part:?}: {found:#?}");
    found[0].clone()
}

/// Runs the cure of the one finding, as it is printed, and sees the fault gone.
#[track_caller]
pub(crate) fn cured(machine: &Machine, user: &User, environment: &str, check: &str, part: &str) {
    let found = finds(machine, user, environment, check, part);
    let line = found["command"].as_str().unwrap_or_else(|| panic!("no command: {found:#?}"));
    assert_eq!(found["cure"], line);
    let left = diagnosis_after(machine, user, environment, line);
    assert_eq!(left, Vec::<Value>::new(), "{line} does not cure");
}

#[track_caller]
pub(crate) fn is_healthy(machine: &Machine, user: &User, environment: &str) {
    assert_eq!(diagnosis(machine, user, environment), Vec::<Value>::new());
}

#[test]
fn units_that_are_not_enabled_failed_or_need_lingering_are_found_and_cured() {
    let Some((machine, ann)) = healthy() else {
        return;
    };
    machine.sh_as(&ann, "systemctl --user disable --now tmux-janitor.timer");
    cured(&machine, &ann, "", "units", "tmux-janitor.timer is inactive (disabled)");
    machine.sh_as(&ann, "systemctl --user disable --now tmux-janitor-watch.service tmux-janitor.timer; systemctl --user mask tmux-janitor.timer");
    cured(&machine, &ann, "", "units", "tmux-janitor.timer is inactive (masked)");

    let config = "~/.config/tmux-janitor/config.toml";
    machine.sh_as(&ann, &format!("mkdir -p ~/.config/tmux-janitor; echo nonsense >{config}; systemctl --user start tmux-janitor.service || :; rm {config}"));
    cured(&machine, &ann, "", "units", "tmux-janitor.service failed lately: exit-code (exit status 78)");

    // What it says is good to know; with a spawner that is to run at boot it is a risk.
    machine.sh("rm /var/lib/systemd/linger/ann");
    let enabled = "tmux-janitor.timer, tmux-janitor.service, tmux-janitor-watch.service enabled";
    assert_eq!(finds(&machine, &ann, "", "boot", enabled)["severity"], "note");
    let spawner = "~/.config/systemd/user/forge-post-boot-sessions.service";
    machine.sh_as(&ann, &format!("mkdir -p ~/.config/systemd/user; printf '[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=default.target\\n' >{spawner}; systemctl --user daemon-reload; systemctl --user enable forge-post-boot-sessions.service"));
    assert_eq!(diagnosis(&machine, &ann, "")[0]["severity"], "risk");
    cured(&machine, &ann, "", "boot", "forge-post-boot-sessions.service enabled");
    assert_eq!(machine.sh("ls /var/lib/systemd/linger"), "ann\n");
}

/// Whatever is missing, what is printed helps: no unit that is not there is asked for.
#[test]
fn where_nothing_is_installed_or_no_manager_runs_that_is_said() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh("cp /run/host/tmux-janitor /usr/bin/tmux-janitor");
    let ann = administrator(&machine);
    cured(&machine, &ann, "", "units", "tmux-janitor.timer is inactive (not-found)");
    machine.sh_as(&ann, "systemctl --user start tmux-janitor.service");

    machine.sh(&format!("loginctl disable-linger ann; systemctl stop user@{}.service", ann.uid));
    let gone = format!("does not answer: user@{}.service is inactive", ann.uid);
    let found = finds(&machine, &ann, "", "units", &gone);
    machine.sh_as(&ann, found["command"].as_str().unwrap());
    machine.sh(&format!("until systemctl is-active --quiet user@{}.service; do :; done", ann.uid));
    is_healthy(&machine, &ann, "");

    // A job of cron and a watcher that somebody started sweep as well.
    machine.sh_as(&ann, "systemctl --user disable --now tmux-janitor.timer");
    machine
        .sh("mkdir -p /etc/cron.d; echo '*/10 * * * * ann tmux-janitor sweep -q' >/etc/cron.d/tmux-janitor");
    is_healthy(&machine, &ann, "");
    machine.sh("sed -i s/ann/bob/ /etc/cron.d/tmux-janitor");
    finds(&machine, &ann, "", "units", "tmux-janitor.timer is inactive");
    machine.sh_as(&ann, "setsid tmux-janitor watch >/dev/null 2>&1 </dev/null & until pgrep -u ann -f 'janitor watch'; do :; done");
    is_healthy(&machine, &ann, "");
}

#[test]
fn an_environment_of_its_own_in_the_manager_is_found_and_cured() {
    let Some((machine, ann)) = healthy() else {
        return;
    };
    machine.sh("mkdir -m 1777 /tmp/elsewhere /srv/elsewhere");
    machine.sh_as(&ann, "systemctl --user set-environment TMUX_TMPDIR=/srv/elsewhere");
    is_healthy(&machine, &ann, "TMUX_TMPDIR=/srv/elsewhere");
    cured(&machine, &ann, "", "environment", "unset here and /srv/elsewhere in the user's");
    // It comes back with the next login, were it not taken out there, too.
    let conf = "~/.config/environment.d/tmux.conf";
    machine.sh_as(&ann, &format!("mkdir -p ~/.config/environment.d; echo TMUX_TMPDIR=/srv/elsewhere >{conf}; systemctl --user daemon-reload; systemctl --user set-environment TMUX_TMPDIR=/srv/elsewhere"));
    cured(&machine, &ann, "", "environment", "unset here and /srv/elsewhere in the user's");
    assert_eq!(machine.sh_as(&ann, &format!("cat {conf}")), "");
    cured(&machine, &ann, "TMUX_TMPDIR=/srv/elsewhere", "environment", "/srv/elsewhere here and unset");
    assert_eq!(machine.sh_as(&ann, &format!("cat {conf}")), "TMUX_TMPDIR=/srv/elsewhere\n");
    machine.sh_as(&ann, "systemctl --user set-environment TMUX_TMPDIR=/tmp");
    is_healthy(&machine, &ann, "");
    // It is gone after a boot.
    machine.sh("echo 'D /tmp 1777 root root -' >/etc/tmpfiles.d/tmp.conf");
    machine.sh_as(&ann, "systemctl --user set-environment TMUX_TMPDIR=/tmp/elsewhere");
    let there = "TMUX_TMPDIR=/tmp/elsewhere";
    cured(&machine, &ann, there, "emptied", "systemd-tmpfiles empties /tmp at boot");
    machine.sh("rm -r /tmp/elsewhere; systemd-tmpfiles --create; stat -c %U /tmp/elsewhere | grep -qx ann");
}

#[test]
fn servers_in_a_services_cgroup_and_in_the_runtime_directory_are_found() {
    let Some((machine, ann)) = healthy() else {
        return;
    };
    machine.sh_as(&ann, "systemd-run --user --scope --quiet --collect --property=OOMPolicy=continue \"$TMUX_BIN\" -L scope new-session -d");
    is_healthy(&machine, &ann, "");
    let unit = "systemd-run --user --quiet --unit=holder --property=Type=oneshot --remain-after-exit";
    machine.sh_as(&ann, &format!("{unit} \"$TMUX_BIN\" -L inside new-session -d"));
    cured(&machine, &ann, "", "cgroup", "runs inside holder.service");
    machine.sh_as(&ann, "systemctl --user stop holder.service; \"$TMUX_BIN\" -L inside has-session && \"$TMUX_BIN\" -L inside kill-server; tmux-janitor sweep");
    machine.sh_as(&ann, "rm -r ~/.config/systemd/user/holder.service.d; systemctl --user daemon-reload");
    // So does one of the machine's, and one that is left alone is not spoken of.
    let unit =
        "systemd-run --quiet --unit=keeper --property=Type=oneshot --property=User=ann --remain-after-exit";
    machine.sh(&format!("{unit} \"$TMUX_BIN\" -L inside new-session -d"));
    cured(&machine, &ann, "", "cgroup", "runs inside keeper.service");
    machine.sh("systemctl stop keeper.service");
    machine.sh_as(
        &ann,
        "\"$TMUX_BIN\" -L inside has-session && \"$TMUX_BIN\" -L inside kill-server; tmux-janitor sweep",
    );
    is_healthy(&machine, &ann, "");

    machine.sh_as(&ann, "TMUX_TMPDIR=$XDG_RUNTIME_DIR systemd-run --user --scope --quiet --collect --property=OOMPolicy=continue \"$TMUX_BIN\" -L a new-session -d");
    is_healthy(&machine, &ann, "");
    machine.sh("rm /var/lib/systemd/linger/ann");
    machine.sh_as(&ann, "systemctl --user disable tmux-janitor.timer");
    // The room that the sockets lie in, and the manager that holds the server: one cure for both.
    let found = diagnosis(&machine, &ann, "");
    let checks: Vec<_> = found.iter().map(|finding| finding["check"].as_str().unwrap()).collect();
    assert_eq!(checks, ["logout", "emptied"], "{found:#?}");
    assert!(found[1]["what"].as_str().unwrap().contains("lies in /run/user/"), "{found:#?}");
    assert_eq!(found[0]["command"], found[1]["command"]);
    let left = diagnosis_after(&machine, &ann, "", found[1]["command"].as_str().unwrap());
    assert_eq!(left, Vec::<Value>::new());
}

#[test]
fn spawners_without_an_order_are_found_and_cured() {
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
    cured(&machine, &ann, "", "spawner", "other.service starts tmux at boot");
    machine.sh("printf '[Service]\\nType=oneshot\\nUser=ann\\nExecStart=/usr/bin/tmux -L z new -d\\n[Install]\\nWantedBy=multi-user.target\\n' >/etc/systemd/system/third.service; systemctl daemon-reload; systemctl enable third.service");
    // Where the machine has no sweep, there is nothing to be ordered after.
    is_healthy(&machine, &ann, "");
    machine.sh(&format!("{INSTALL} --prefix /usr --system"));
    cured(&machine, &ann, "", "spawner", "third.service starts tmux at boot");
}

/// Whether the servers' sockets outlive a cleaning by somebody who does not see who listens.
fn outlive_a_cleaning(machine: &Machine, ann: &User) -> bool {
    machine.sh("unshare -n systemd-tmpfiles --clean");
    let there = |label| machine.try_sh(&format!("test -S /tmp/tmux-{}/{label}", ann.uid)).code == Some(0);
    there("a") && there(".hidden")
}

#[test]
fn sockets_that_would_be_aged_away_are_found_and_cured() {
    let Some((machine, ann)) = healthy() else {
        return;
    };
    for label in ["a", ".hidden"] {
        machine.sh_as(
            &ann,
            &format!("systemd-run --user --scope --quiet --collect --property=OOMPolicy=continue \"$TMUX_BIN\" -L {label} new-session -d"),
        );
    }
    let dir = format!("/tmp/tmux-{}", ann.uid);
    // Debian 13's tmux brings a rule that keeps its sockets.
    let rule = |rule: &str| {
        machine.sh(&format!(
            "rm -f /etc/tmpfiles.d/* /usr/lib/tmpfiles.d/tmux.conf; echo '{rule}' >/etc/tmpfiles.d/tmp.conf"
        ))
    };
    // What is older than nothing is removed each time.
    let above = "q /tmp 1777 root root 0";
    for (aging, part) in [
        (above.to_owned(), "older than 0 below /tmp,"),
        (format!("d {dir} - - - 0"), "older than 0 below /tmp/tmux-"),
        ("e /tmp/tmux-* - - - 0".to_owned(), "older than 0 below /tmp/tmux-*"),
        (format!("{above}\\nX /tmp/tmux-*"), "older than 0 below /tmp/tmux-*"),
    ] {
        rule(&aging);
        cured(&machine, &ann, "", "tmpfiles", part);
        assert!(outlive_a_cleaning(&machine, &ann), "{aging}");
    }
    // The watcher's shield holds off what comes from above, and nothing else.
    let shielded = |line: &str| machine.try_sh_as(&ann, &format!("flock --shared {dir} {line}"));
    rule(above);
    assert_eq!(shielded("tmux-janitor doctor").out, "nothing found\n");
    rule(&format!("d {dir} - - - 0"));
    let told = shielded("tmux-janitor doctor").out;
    assert!(told.contains("the watcher's shield does not hold that rule off"), "{told}");
    // The user's own rules are not the machine's.
    rule("# nothing");
    machine.sh_as(
        &ann,
        &format!(
            "mkdir -p ~/.config/user-tmpfiles.d; echo 'd {dir} - - - 0' >~/.config/user-tmpfiles.d/mine.conf"
        ),
    );
    cured(&machine, &ann, "", "tmpfiles", "older than 0 below /tmp/tmux-");
    // Nothing of it would have been seen by a cleaning that removes nothing.
    rule(&format!("d {dir} - - - 0"));
    assert!(!outlive_a_cleaning(&machine, &ann));
}

#[test]
fn another_ones_dead_socket_and_servers_that_do_not_answer_are_found() {
    let Some((machine, ann)) = healthy() else {
        return;
    };
    let dir = format!("/tmp/tmux-{}", ann.uid);
    machine.sh_as(
        &ann,
        "systemd-run --user --scope --quiet --collect --property=OOMPolicy=continue --unit=frosty \"$TMUX_BIN\" -L a new-session -d",
    );
    // `sudo -E tmux` in a pane: root's server on a label of the user's.
    machine.sh(&format!("\"$TMUX_BIN\" -S {dir}/x new-session -d"));
    is_healthy(&machine, &ann, "");
    machine.sh(&format!(
        "\"$TMUX_BIN\" -S {dir}/x kill-server; until ! \"$TMUX_BIN\" -S {dir}/x ls; do :; done 2>/dev/null"
    ));
    let blocked = machine.try_sh_as(&ann, "\"$TMUX_BIN\" -L x new-session -d");
    assert!(blocked.err.contains("Permission denied"), "{blocked:?}");
    cured(&machine, &ann, "", "stranger", "x belongs to uid 0, and nobody is seen to listen on it");
    machine.sh_as(&ann, "systemd-run --user --scope --quiet --collect --property=OOMPolicy=continue \"$TMUX_BIN\" -L x new-session -d");

    let pid = machine.sh_as(&ann, "\"$TMUX_BIN\" -L a display-message -p '#{pid}'");
    machine.sh(&format!("kill -STOP {pid}"));
    cured(&machine, &ann, "", "stopped", "is stopped");
    machine.sh("echo 1 >\"$(find /sys/fs/cgroup -name frosty.scope)/cgroup.freeze\"");
    cured(&machine, &ann, "", "stopped", "is frozen with its cgroup");
    machine.sh_as(&ann, "\"$TMUX_BIN\" -L a has-session");
}

/// What cron and timers run, the machine's and the user's; each was tried as it was, and as the cure left it.
#[test]
fn jobs_that_clean_tmp_are_found() {
    let Some((machine, ann)) = healthy() else {
        return;
    };
    machine.sh_as(&ann, "systemd-run --user --scope --quiet --collect --property=OOMPolicy=continue \"$TMUX_BIN\" -L a new-session -d");
    let survives = |command: &str| {
        machine.sh(command);
        machine.try_sh(&format!("test -S /tmp/tmux-{}/a", ann.uid)).code == Some(0)
    };
    machine.sh("mkdir -p /etc/cron.d /etc/cron.daily; rm -f /etc/cron.d/* /etc/cron.daily/*");
    let script = |path: &str, line: &str| {
        machine.sh(&format!("printf '#!/bin/sh\\n%s\\n' '{line}' >{path}; chmod +x {path}"));
    };
    // Harmless ones, one that nobody runs, and one of somebody who cannot reach the folder.
    script("/etc/cron.daily/files", "find /tmp -type f -mtime +7 -delete");
    script("/etc/cron.daily/clean.dpkg-old", "find /tmp -delete");
    machine.sh("echo '0 4 * * * bob find /tmp -mtime +7 -delete' >/etc/cron.d/bobs");
    is_healthy(&machine, &ann, "");

    for line in [
        "find /tmp -mindepth 1 -ctime -7 -delete",
        "find /tmp -mindepth 1 -ctime -7 -exec rm -rf {} +",
        "find /tmp -mindepth 1 -print0 | xargs -0 rm -rf",
        "rm -rf /tmp/*",
    ] {
        script("/etc/cron.daily/clean", line);
        cured(&machine, &ann, "", "cleaner", "/etc/cron.daily/clean:2 removes");
        assert!(survives("sh /etc/cron.daily/clean"), "{line}");
    }
    machine.sh("printf 'MAILTO=\"\"\\n0 4 * * * root find /tmp -mindepth 1 -delete\\n' >/etc/cron.d/clean");
    cured(&machine, &ann, "", "cleaner", "/etc/cron.d/clean:2 removes");
    assert!(survives("sed -n 's/.*root //p' /etc/cron.d/clean | sh"));

    // A timer of the machine's with a script, and one of the user's with the command in its unit.
    let timer = "[Timer]\\nOnActiveSec=1h\\n";
    script("/usr/local/bin/clean-tmp", "cd /tmp && find . -mindepth 1 -delete");
    machine.sh(&format!("printf '[Service]\\nExecStart=/usr/local/bin/clean-tmp\\n' >/etc/systemd/system/clean.service; printf '{timer}' >/etc/systemd/system/clean.timer; systemctl daemon-reload; systemctl start clean.timer"));
    finds(&machine, &ann, "", "cleaner", "/usr/local/bin/clean-tmp:2 removes");
    machine.sh("systemctl stop clean.timer");
    let units = "~/.config/systemd/user";
    machine.sh_as(&ann, &format!("mkdir -p {units}; printf '[Service]\\nExecStart=/usr/bin/find /tmp -mindepth 1 -delete\\n' >{units}/mine.service; printf '{timer}' >{units}/mine.timer; systemctl --user daemon-reload; systemctl --user start mine.timer"));
    cured(&machine, &ann, "", "cleaner", "mine.service:2 removes");
    machine.try_sh_as(&ann, "systemctl --user start --wait mine.service");
    assert!(survives(":"));
    // Such a line does remove it.
    script("/etc/cron.daily/clean", "find /tmp -mindepth 1 -delete");
    assert!(!survives("sh /etc/cron.daily/clean || :"));
}
