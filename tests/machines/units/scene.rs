//! What the tests have in common: a user, real servers living and dead, a run of the service.

use std::collections::BTreeSet;

use crate::machine::{Machine, User};

/// The installer with the program that is tested, so that nothing is built twice.
pub(crate) const INSTALL: &str = "/run/host/repository/packaging/install --binary /run/host/tmux-janitor";
pub(crate) const UNINSTALL: &str = "/run/host/repository/packaging/install --uninstall";

/// Where `TMUX_TMPDIR` of the tests' users points.
pub(crate) const ELSEWHERE: &str = "/tmp/elsewhere";

/// Starts the service and tells how its process ended.
#[track_caller]
pub(crate) fn exit_status(machine: &Machine, user: &User) -> String {
    machine.try_sh_as(user, "systemctl --user start tmux-janitor.service");
    let property = "systemctl --user show --property=ExecMainStatus --value tmux-janitor.service";
    machine.sh_as(user, property).trim().to_owned()
}

/// A user with sockets in three folders: the manager's `TMUX_TMPDIR` is a place of its own.
#[track_caller]
pub(crate) fn user(machine: &Machine) -> User {
    machine.sh(&format!("mkdir -p -m 1777 {ELSEWHERE}; mkdir -p /etc/environment.d; echo TMUX_TMPDIR={ELSEWHERE} >/etc/environment.d/tmux.conf"));
    machine.user("ann")
}

/// Starts a real server in a unit of its own, as a login would, and tells its process.
#[track_caller]
pub(crate) fn start(machine: &Machine, user: &User, dir: &str, label: &str) -> String {
    machine
        .sh_as(
            user,
            &format!(
                "
        export TMUX_TMPDIR={dir}
        systemd-run --user --scope --quiet --collect \"$TMUX_BIN\" -L {label} new-session -d
        \"$TMUX_BIN\" -L {label} display-message -p '#{{pid}}'
    "
            ),
        )
        .trim()
        .to_owned()
}

/// In a shell: waits until nobody has a socket that was bound at `$P`. What a killed server has forked for a pane has it
/// until it calls exec.
pub(crate) const UNTIL_CLOSED: &str = r#"export P; while awk '$NF == ENVIRON["P"] { found = 1 } END { exit !found }' /proc/net/unix; do sleep 0.02; done"#;

/// Starts a server and kills it, which leaves its socket behind.
#[track_caller]
pub(crate) fn leave_dead(machine: &Machine, user: &User, dir: &str, label: &str) {
    let pid = start(machine, user, dir, label);
    machine.sh_as(
        user,
        &format!(
            "
        kill -KILL {pid}
        tail --pid={pid} --sleep-interval=0.01 --follow /dev/null
        P={dir}/tmux-{uid}/{label}
        {UNTIL_CLOSED}
        test -S \"$P\"
    ",
            uid = user.uid
        ),
    );
}

/// One run of the installed service among the living, the dead and the kept, in all three folders.
#[track_caller]
pub(crate) fn removes_only_the_dead(machine: &Machine, user: &User) {
    let User { name, uid } = user;
    machine.sh_as(
        user,
        "mkdir -p ~/.config/tmux-janitor; echo 'keep = [\"home*\"]' >~/.config/tmux-janitor/config.toml",
    );
    let dirs = ["/tmp".to_owned(), ELSEWHERE.to_owned(), format!("/run/user/{uid}")];
    let living: Vec<_> = dirs.iter().map(|dir| start(machine, user, dir, "live")).collect();
    for dir in &dirs {
        leave_dead(machine, user, dir, "gone");
    }
    leave_dead(machine, user, "/tmp", "homebase");

    machine.sh_as(user, "systemctl --user start tmux-janitor.service");

    for (dir, pid) in dirs.iter().zip(living) {
        let now = machine
            .sh_as(user, &format!("TMUX_TMPDIR={dir} \"$TMUX_BIN\" -L live display-message -p '#{{pid}}'"));
        assert_eq!(now.trim(), pid, "another server than before in {dir} of {name}");
        let names = lines(&machine.sh(&format!("ls -A -I .tmux-janitor-record {dir}/tmux-{uid}")));
        let expected: &[&str] = if dir == "/tmp" { &["homebase", "live"] } else { &["live"] };
        assert_eq!(names, expected.iter().map(ToString::to_string).collect(), "in {dir}");
    }
}

pub(crate) fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}
