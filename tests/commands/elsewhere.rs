//! Live servers that are bound outside of the socket directories: with `tmux -S`, or in another mount namespace.
//!
//! Each script runs in a world of its own: its own processes, network, `/tmp` and `/run`, and ends with all that it started.

use crate::common::arena;
use crate::common::janitor::{Run, entry};
use crate::common::skip::skip;
use crate::common::wait;
use serde_json::Value;

/// What the scripts begin with. `j`: the program; `t`: tmux, as everybody runs it.
const WORLD: &str = r##"
    mount -t tmpfs -o mode=1777 tmpfs /tmp; mount -t tmpfs -o mode=755 tmpfs /run; mount -t tmpfs tmpfs /sys/fs/cgroup
    cp "$JANITOR" /run/j; mkdir -m 700 /tmp/home; export HOME=/tmp/home; cd /tmp/home
    j() { /run/j "$@" || echo "exit $?"; }
    t() { "$TMUX_PROGRAM" -f /dev/null "$@" </dev/null; }
    pid() { t "$@" display-message -p '#{pid}'; }
    # Starts a server of a label in a mount namespace with a /tmp of its own; USER... runs the rest. Its pid.
    apart() {
        unshare --mount --propagation private bash -euc '
            mount -t tmpfs -o mode=1777 tmpfs /tmp; label=$1; shift; t=("$TMUX_PROGRAM" -f /dev/null -L "$label")
            "$@" "${t[@]}" new -d "sleep 1000" </dev/null; "$@" "${t[@]}" display-message -p "#{pid}"' - "$@"
    }
    # Runs the line that is told as the way in to a server, and asks that server who it is.
    asks() { set -- "${1% attach}"; eval "${1#sudo } display-message -p '#{pid}'" </dev/null; }
    way_of() { /run/j list --json | python3 -c 'import json,sys; print(*[s.get("way_in") for s in json.load(sys.stdin)["sockets"] if s["server_pid"] == int(sys.argv[1])])' "$1"; }
"##;

/// What a script prints, a line each; `None`: that takes root.
#[track_caller]
pub(crate) fn world(script: &str) -> Option<Vec<String>> {
    if !rustix::process::getuid().is_root() {
        skip("needs root: it makes namespaces");
        return None;
    }
    let flags = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let mut command = wait::in_time("unshare");
    command
        .args(flags)
        .args(["--propagation", "private", "bash", "-euc", &format!("{WORLD}\n{script}")])
        .env("JANITOR", env!("CARGO_BIN_EXE_tmux-janitor"))
        .env("TMUX_PROGRAM", arena::tmux_program())
        .env("LC_ALL", "C.UTF-8");
    for name in ["TMUX", "TMUX_TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"] {
        command.env_remove(name);
    }
    let run = Run::of(&mut command);
    assert_eq!(run.code, Some(0), "{}\n{}", run.stdout, run.stderr);
    Some(run.stdout.lines().map(str::to_owned).collect())
}

#[track_caller]
pub(crate) fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn paths(json: &Value) -> Vec<&str> {
    json["sockets"].as_array().unwrap().iter().map(|socket| socket["path"].as_str().unwrap()).collect()
}

#[test]
fn servers_in_other_folders_are_shown_and_not_touched() {
    let Some(lines) = world(
        r"
        mkdir -p -m 700 /run/other agents
        t -S /run/other/default new -d 'sleep 1000'; t -S agents/a.sock new -d 'sleep 1000'; t -L usual new -d 'sleep 1000'
        t -S /run/other/old new -d 'sleep 1000'; old=$(t -S /run/other/old display -p '#{pid}')
        t -S /run/other/old kill-server; while grep -qs '^State:.[^Z]' /proc/$old/status; do :; done
        strace -f -qq -e trace=connect,unlinkat,renameat2 -o trace /run/j list --json
        grep -c AF_UNIX trace || :
        j status; j status --json; j
        j --dir /tmp/tmux-0 list --json
        j sweep; ls /run/other agents | xargs
        ",
    ) else {
        return;
    };
    let list = json(&lines[0]);
    let expected = ["/tmp/tmux-0/usual", "/run/other/default", "/tmp/home/agents/a.sock"];
    let mut found = paths(&list);
    found[1..].sort_unstable();
    assert_eq!(found, expected, "{list:#}");
    for socket in list["sockets"].as_array().unwrap() {
        let said = (&socket["state"], &socket["outcome"], &socket["reachable"]);
        assert_eq!(said, (&"live".into(), &"kept".into(), &true.into()), "{socket:#}");
        assert!(socket["server_pid"].is_number() && socket["way_in"].is_null(), "{socket:#}");
    }
    assert_eq!(lines[1], "0", "a server was connected to");
    assert_eq!(lines[2], "tmux sockets: 3 live, 0 dead, 0 ghosts, 2 elsewhere");
    let status = json(&lines[3]);
    assert_eq!((&status["healthy"], &status["counts"]["live"]), (&true.into(), &3.into()), "{status:#}");
    assert_eq!(status["counts"]["elsewhere"], 2, "{status:#}");
    assert!(
        lines[6].starts_with("next: 2 servers are bound outside of the socket directories"),
        "{lines:#?}"
    );
    // Where it was asked for named directories, nothing else is told.
    let named = json(&lines[7]);
    assert_eq!(paths(&named), ["/tmp/tmux-0/usual"], "{named:#}");
    assert_eq!(named["counts"]["elsewhere"], 0, "{named:#}");
    assert_eq!(lines[8..], ["swept 0 dead sockets; 1 live", "/run/other: default old agents: a.sock"]);
}

#[test]
fn one_whose_socket_was_renamed_is_not_said_to_be_at_its_path() {
    let Some(lines) = world(
        r"
        mkdir -m 700 d; t -S $PWD/d/a new -d 'sleep 1000'; pid -S d/a; mv d/a d/b
        j list --json; j list
        t -S $PWD/d/a new -d 'sleep 1000'; pid -S d/a; j list --json
        ",
    ) else {
        return;
    };
    let (moved, newer): (i64, i64) = (lines[0].parse().unwrap(), lines[4].parse().unwrap());
    assert_eq!(entry(&json(&lines[1]), "a")["reachable"], false, "{lines:#?}");
    assert!(lines[3].contains("its socket was renamed"), "{lines:#?}");
    let list = json(&lines[5]);
    let of = |pid: i64| {
        let all = list["sockets"].as_array().unwrap();
        all.iter().find(|socket| socket["server_pid"] == pid).unwrap()["reachable"].clone()
    };
    assert_eq!((of(moved), of(newer)), (false.into(), true.into()), "{list:#}");
}

#[test]
fn nothing_but_a_tmux_server_is_taken_for_one() {
    let Some(lines) = world(
        r#"
        cat >listen.py <<'EOF'
import os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()
open("/proc/self/comm", "w").write(sys.argv[2])
os.set_inheritable(s.fileno(), True)
open(sys.argv[1] + ".up", "w")
if sys.argv[3:]: os.spawnvp(os.P_WAIT, sys.argv[3], sys.argv[3:])
import time
while True: time.sleep(1000)
EOF
        python3 listen.py /tmp/plain plain & setsid python3 listen.py /tmp/named 'tmux: server' &
        python3 listen.py /tmp/agent agent "$TMUX_PROGRAM" -f /dev/null -S /tmp/a.sock new -d 'sleep 1000' </dev/null &
        for up in /tmp/plain.up /tmp/named.up /tmp/a.sock; do until [ -e $up ]; do :; done; done
        [ "$(ls -l /proc/"$(pid -S /tmp/a.sock)"/fd | grep -c socket:)" -ge 2 ]
        j list --json
        "#,
    ) else {
        return;
    };
    assert_eq!(paths(&json(&lines[0])), ["/tmp/a.sock"], "{lines:#?}");
}

#[test]
fn a_server_that_makes_panes_and_jobs_is_shown_all_the_while() {
    let Some(lines) = world(
        r"
        t -S /tmp/busy new -d 'sleep 1000'
        while t -S /tmp/busy run-shell -b true \; run-shell -b true \; run-shell -b true \; run-shell -b true; do :; done &
        for look in $(seq 30); do j status; done | sort | uniq -c
        ",
    ) else {
        return;
    };
    let [all] = &lines[..] else { panic!("{lines:#?}") };
    assert_eq!(all.trim(), "30 tmux sockets: 1 live, 0 dead, 0 ghosts, 1 elsewhere");
}

#[test]
fn a_server_behind_another_tmp_is_shown_with_the_way_in() {
    let Some(lines) = world(
        r#"
        there=$(apart a); echo "$there"
        j list --json; j list | grep "$there"; j probe -L a --json; j probe -L a; j doctor --json
        asks "$(way_of "$there")"
        # Another server of that path, here: both are shown, and nobody is led to the wrong one.
        t -L a new -d 'sleep 1000'; here=$(pid -L a); echo "$here"
        j list --json; j probe -L a --json
        asks "$(way_of "$there")"
        # And then there, too: no way is told that leads to the wrong one.
        nsenter -t "$there" -m rm /tmp/tmux-0/a; nsenter -t "$there" -m "$TMUX_PROGRAM" -f /dev/null -L a new -d 'sleep 1000' </dev/null
        j list --json
        "#,
    ) else {
        return;
    };
    let mut lines = lines.into_iter();
    let mut next = || lines.next().unwrap();
    let there: i64 = next().parse().unwrap();
    let way = format!("nsenter -t {there} -m tmux -S /tmp/tmux-0/a attach");
    let list = json(&next());
    assert_eq!(paths(&list), ["/tmp/tmux-0/a"], "{list:#}");
    let found = entry(&list, "a");
    let said = (&found["state"], &found["reachable"], &found["way_in"], &found["server_pid"]);
    assert_eq!(said, (&"live".into(), &false.into(), &way.clone().into(), &there.into()), "{list:#}");
    let told = next();
    assert!(
        told.starts_with("live") && told.contains("another mount namespace") && told.contains(&way),
        "{told}"
    );
    let probe = json(&next());
    assert_eq!((&probe["state"], &probe["server_pid"]), (&"absent".into(), &there.into()), "{probe:#}");
    assert_eq!(next(), "exit 3");
    let told = next();
    assert!(told.contains(&format!("pid {there} listens on it")) && told.contains(&way), "{told}");
    assert_eq!(next(), "exit 3");
    let doctor = next();
    let doctor = json(&doctor);
    let is_it = |finding: &&Value| finding["check"] == "namespace";
    let finding = doctor["findings"].as_array().unwrap().iter().find(is_it).unwrap();
    assert_eq!(finding["severity"], "note", "{finding:#}");
    assert!(finding["cure"].as_str().unwrap().contains(&way), "{finding:#}");
    let mut line = next();
    if line.starts_with("exit ") {
        // This world has no timer, which is a risk of its own.
        line = next();
    }
    assert_eq!(line, there.to_string(), "the way leads there");
    let here: i64 = next().parse().unwrap();
    let list = json(&next());
    let both: Vec<_> = list["sockets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|socket| (socket["path"].as_str().unwrap(), &socket["server_pid"], &socket["reachable"]))
        .collect();
    let path = "/tmp/tmux-0/a";
    assert_eq!(both, [(path, &here.into(), &true.into()), (path, &there.into(), &false.into())], "{list:#}");
    let probe = json(&next());
    assert_eq!((&probe["state"], &probe["server_pid"]), (&"live".into(), &here.into()), "{probe:#}");
    assert_eq!(next(), there.to_string(), "the way leads there, not to the one that is here");
    let list = json(&next());
    let astray =
        list["sockets"].as_array().unwrap().iter().find(|socket| socket["server_pid"] == there).unwrap();
    let said = (&astray["state"], &astray["reachable"], &astray["way_in"]);
    assert_eq!(said, (&"live".into(), &false.into(), &Value::Null), "{list:#}");
}

#[test]
fn the_way_in_is_one_that_the_user_may_go() {
    let Some(lines) = world(
        r##"
        user='setpriv --reuid 4726 --regid 4726 --clear-groups'; mkdir /run/user; install -d -o 4726 /tmp/hers
        export HOME=/tmp/hers; cd /tmp/hers
        { cat /etc/passwd; echo 'ann:x:4726:4726::/tmp/hers:/bin/sh'; } >/run/passwd; mount --bind /run/passwd /etc/passwd
        # Root made the one namespace; she made the other, and the user namespace with it.
        roots=$(apart roots $user)
        hers=$($user unshare --user --map-root-user --mount bash -euc '
            mount -t tmpfs tmpfs /tmp; t=("$TMUX_PROGRAM" -f /dev/null -L hers)
            "${t[@]}" new -d "sleep 1000" </dev/null; "${t[@]}" display-message -p "#{pid}"')
        for server in $roots $hers; do
          echo "$server"; way=$($user /run/j list | grep -o "[a-z]* *nsenter -t $server [^\`]*"); echo "$way"
          case $way in sudo*) asks "$way" ;; *) $user bash -c "${way% attach} display-message -p '#{pid}'" </dev/null ;; esac
        done
        # Root would run with all its rights what she has put there as tmux.
        install -d -m 700 -o 4726 -g 4726 /tmp/tmux-4726; j list --all-users --json
        "##,
    ) else {
        return;
    };
    let [roots, sudo, asked, hers, own, asked_her, ..] = &lines[..] else { panic!("{lines:#?}") };
    assert_eq!(
        *sudo,
        format!(
            "sudo nsenter -t {roots} -m -S \"$(id -u)\" -G \"$(id -g)\" tmux -S /tmp/tmux-4726/roots attach"
        )
    );
    assert_eq!(asked, roots);
    let flags = "-U --preserve-credentials -m";
    assert!(own.trim_start().starts_with(&format!("nsenter -t {hers} {flags} tmux -S ")), "{own}");
    assert_eq!(asked_her, hers);
    let all = json(&lines[6]);
    for (label, pid) in [("roots", roots), ("hers", hers)] {
        let found = entry(&all, label);
        assert_eq!(
            (&found["server_pid"], &found["way_in"]),
            (&pid.parse::<i64>().unwrap().into(), &Value::Null)
        );
        assert!(found["reason"].as_str().unwrap().contains("others decide"), "{found:#}");
        assert_eq!((&found["uid"], &found["reachable"]), (&4726.into(), &false.into()), "{found:#}");
    }
}

#[test]
fn a_server_behind_another_root_directory_is_shown_with_the_way_in() {
    let Some(lines) = world(
        r#"
        mkdir /run/jail; mount -t tmpfs tmpfs /run/jail
        for dir in /*; do
            case $dir in
            /run | /tmp) install -d -m 1777 "/run/jail$dir" ;;
            *) if [ -L "$dir" ]; then cp -d "$dir" /run/jail; elif [ -d "$dir" ]; then
                   mkdir "/run/jail$dir"; mount --rbind "$dir" "/run/jail$dir"; fi ;;
            esac
        done
        chroot /run/jail "$TMUX_PROGRAM" -f /dev/null -L a new -d 'sleep 1000' </dev/null
        there=$(chroot /run/jail "$TMUX_PROGRAM" -L a display-message -p '#{pid}'); echo "$there"
        way_of "$there"; asks "$(way_of "$there")"; j probe -S /tmp/tmux-0/a; j status
        "#,
    ) else {
        return;
    };
    let there = &lines[0];
    assert_eq!(lines[1], format!("nsenter -t {there} -m -r tmux -S /tmp/tmux-0/a attach"));
    assert_eq!(lines[2], *there);
    assert!(lines[3].contains(&lines[1]) && lines[4] == "exit 3", "{lines:#?}");
    assert_eq!(lines[5], "tmux sockets: 1 live, 0 dead, 0 ghosts, 1 elsewhere");
}

#[test]
fn an_absent_label_is_found_where_it_is() {
    let Some(lines) = world(
        r"
        mkdir -p -m 700 /run/other /tmp/tmux-0; t -S /run/other/a new -d 'sleep 1000'; pid -S /run/other/a
        j probe -L a; j probe -L a --json; j --dir /tmp/tmux-0 probe -L a; j probe -L b; j probe -S /tmp/tmux-0/a
        ",
    ) else {
        return;
    };
    let pid = &lines[0];
    let way = format!("pid {pid} listens on /run/other/a: `tmux -S /run/other/a attach` reaches it");
    assert_eq!(lines[1], format!("/tmp/tmux-0/a: absent: no such socket; {way}"));
    let probe = json(&lines[3]);
    // It is no server of this path.
    assert_eq!((&probe["state"], &probe["server_pid"]), (&"absent".into(), &Value::Null), "{probe:#}");
    let absent = |label: &str| format!("/tmp/tmux-0/{label}: absent: no such socket");
    assert_eq!([&lines[5], &lines[7], &lines[9]], [&absent("a"), &absent("b"), &absent("a")], "{lines:#?}");
    assert!([2, 4, 6, 8, 10].into_iter().all(|at| lines[at] == "exit 3"), "{lines:#?}");
}
