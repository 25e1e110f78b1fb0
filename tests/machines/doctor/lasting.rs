//! What is found about how long servers last: memory, logouts, room for the manager.

use super::on_a_machine::{cured, diagnosis, finds, healthy, is_healthy};

#[test]
fn servers_that_end_when_one_process_is_killed_for_memory_are_found_and_cured() {
    let Some((machine, ann)) = healthy() else {
        return;
    };
    let run = "systemd-run --user --quiet --collect";
    machine.sh_as(&ann, &format!("{run} --scope --unit=frail \"$TMUX_BIN\" -L a new-session -d"));
    cured(&machine, &ann, "", "oom", "in frail.scope, which has OOMPolicy=stop");
    // A service whose main process the server is. systemd guesses which it is, and gives up where two children of its own
    // are in there (`unit_search_main_pid`): on a busy machine what tmux forked the server from may be there still.
    let unit = "~/.config/systemd/user/held.service";
    machine.sh_as(
        &ann,
        &format!(
            "mkdir -p ~/.config/systemd/user; printf '[Service]\\nType=forking\\nExecStart=%s -L b new-session -d\\n' \"$(command -v \"$TMUX_BIN\")\" >{unit}; systemctl --user daemon-reload
            until systemctl --user restart held.service; [ \"$(systemctl --user show -P MainPID held.service)\" != 0 ]; do :; done"
        ),
    );
    cured(&machine, &ann, "", "oom", "in held.service, which has OOMPolicy=stop");
    // What spawn starts goes on.
    machine.sh_as(&ann, &format!("{run} --wait tmux-janitor spawn c -- sleep 1000"));
    machine.sh_as(
        &ann,
        &format!("{run} --wait -p PrivateUsers=yes -p PrivateTmp=yes tmux-janitor spawn d -- sleep 1000"),
    );
    assert_eq!(machine.sh_as(&ann, "tmux-janitor list | grep -c spawn-"), "2\n");
    is_healthy(&machine, &ann, "");
}

#[test]
fn servers_that_end_with_a_logout_are_found() {
    let Some((machine, ann)) = healthy() else {
        return;
    };
    let run = "systemd-run --user --quiet --collect --wait --pipe tmux-janitor spawn --json";
    let lingering = machine.try_sh_as(&ann, &format!("{run} a -- sleep 1000"));
    assert!(lingering.out.contains("\"warnings\":[]") && lingering.err.is_empty(), "{lingering:?}");
    machine.sh("rm /var/lib/systemd/linger/ann");
    machine.sh_as(&ann, "systemctl --user disable tmux-janitor.timer");
    let said = machine.try_sh_as(&ann, &format!("{run} b -- sleep 1000"));
    let warning = "the session ends with the last logout of ann, who does not linger";
    assert_eq!((said.out.matches(warning).count(), said.err.matches(warning).count()), (1, 1), "{said:?}");
    let found = diagnosis(&machine, &ann, "");
    let logout = found.iter().find(|finding| finding["check"] == "logout").unwrap();
    assert!(logout["what"].as_str().unwrap().contains("ann does not linger"), "{logout}");
    machine.sh(&logout["cure"].as_str().unwrap().replace("sudo ", ""));
    is_healthy(&machine, &ann, "");

    // A login with KillUserProcesses=yes.
    machine.sh("mkdir -p /etc/systemd/logind.conf.d; printf '[Login]\\nKillUserProcesses=yes\\n' >/etc/systemd/logind.conf.d/kill.conf; systemctl restart systemd-logind");
    is_healthy(&machine, &ann, "");
    let login = "su --login ann --command 'tmux-janitor spawn c -- sleep 1000 2>&1; tmux-janitor doctor --json || :; exec sleep 1000'";
    machine.sh(&format!(
        "{login} >/run/said 2>/dev/null </dev/null &
        timeout 90 sh -c 'until grep -q findings /run/said; do sleep 0.02; done'"
    ));
    let said = machine.sh("cat /run/said");
    assert!(
        said.contains("the session ends with this login, since logind has KillUserProcesses=yes"),
        "{said}"
    );
    assert!(
        said.contains("logind has KillUserProcesses=yes, and a login of its own holds the server of"),
        "{said}"
    );
}

#[test]
fn a_runtime_directory_that_is_full_is_found() {
    let Some((machine, ann)) = healthy() else {
        return;
    };
    machine.sh(&format!("mount -o remount,nr_inodes=60 /run/user/{}", ann.uid));
    machine.try_sh_as(&ann, "i=0; while : >$XDG_RUNTIME_DIR/f$i; do i=$((i+1)); done");
    let full = format!("/run/user/{} is full: no inode is free there", ann.uid);
    finds(&machine, &ann, "", "runtime", &full);
    let spawn =
        "systemd-run --quiet --wait --pipe --collect --uid=ann --unit=bot tmux-janitor spawn a -- sleep 1000";
    let ended = machine.try_sh(spawn);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.out.contains(&full) && ended.out.contains("the session will end with bot.service"),
        "{ended:?}"
    );
    machine.sh_as(&ann, "rm $XDG_RUNTIME_DIR/f*");
    is_healthy(&machine, &ann, "");
}
