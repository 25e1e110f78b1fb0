//! `events` and live servers that are bound outside of the socket directories.
//!
//! Each script runs in a world of its own, and what the stream told is printed at its end, a line each.

use crate::common::kernel_tells_ends;
use crate::elsewhere::{json, world};
use serde_json::Value;

/// Follows the events of a configuration, into the file `told`; waits until they have a word so often; ends the stream.
const STREAM: &str = r#"
    conf() { printf '[watch]\nrescan = "%s"\n' "$1" >c.toml; }
    events() { : >told; "${before[@]}" /run/j --config c.toml events --json "$@" >told 2>>said & until_told ready 1; }
    until_told() { until [ "$(grep -c -- "$1" told)" -ge "$2" ]; do sleep 0.02; done; }
    end() { kill "$(pidof j)"; wait $!; cat told; }
    before=(); mkdir -m 700 x; touch told
"#;

#[track_caller]
fn stream(script: &str) -> Option<Vec<Value>> {
    world(&format!("{STREAM}{script}")).map(|lines| lines.iter().map(|line| json(line)).collect())
}

/// The events of a label: each with its cause, where that is told.
fn of(told: &[Value], label: &str) -> Vec<String> {
    let all = told.iter().filter(|event| event["label"] == label);
    all.map(|event| match &event["cause"] {
        Value::Null => event["event"].as_str().unwrap().to_owned(),
        cause => format!("{} {cause}", event["event"].as_str().unwrap()),
    })
    .collect()
}

fn gone(cause: &str) -> String {
    if kernel_tells_ends() { format!("server-gone {cause}") } else { "server-gone".to_owned() }
}

#[test]
fn one_is_told_of_before_ready_and_when_it_has_ended_and_is_connected_to_by_nobody() {
    let Some(told) = stream(
        r"
        conf 1s; t -S x/a.sock new -d 'sleep 1000'; t -L usual new -d 'sleep 1000'; there=$(apart a)
        before=(strace -f -qq -e trace=connect -o trace); events
        t -S x/a.sock kill-server; until_told server-gone 1
        t -S /run/b new -d 'sleep 1000'; until_told /run/b 1; b=$(pid -S /run/b)
        kill -9 $b; until_told server-gone 2
        kill -9 $there; until_told server-gone 3
        end; grep -c AF_UNIX trace || :
        ",
    ) else {
        return;
    };
    let (connects, told) = told.split_last().unwrap();
    assert_eq!(*connects, 0, "a server was connected to");
    let ready = told.iter().position(|event| event["event"] == "ready").unwrap();
    let mut first: Vec<_> =
        told[..ready].iter().map(|event| (event["path"].as_str().unwrap(), &event["reachable"])).collect();
    first.sort_by_key(|(path, _)| *path);
    let yes = Value::from(true);
    let no = Value::from(false);
    let expected =
        [("/tmp/home/x/a.sock", &yes), ("/tmp/tmux-0/a", &no), ("/tmp/tmux-0/usual", &Value::Null)];
    assert_eq!(first, expected, "{told:#?}");
    assert!(
        told[..ready].iter().all(|event| event["server_pid"].is_number() && event["started"].is_string())
    );
    assert_eq!(of(told, "a.sock"), ["server-up".to_owned(), gone(r#"{"exit":0}"#)]);
    for label in ["a", "b"] {
        let [up, end] = &of(told, label)[..] else { panic!("{told:#?}") };
        assert_eq!(up, "server-up");
        assert!(
            end.starts_with(&gone(r#"{"core":false,"#)) && end.contains("SIGKILL") || !kernel_tells_ends()
        );
    }
    assert_eq!(of(told, "usual"), ["server-up"]);
}

/// It has lost its file, or makes it anew: it lives, and nothing is said until it has ended.
#[test]
fn whatever_becomes_of_its_file_it_is_up_until_it_has_ended() {
    let Some(told) = stream(
        r"
        conf 1s; for label in lost anew; do t -S x/$label new -d 'sleep 1000'; done
        lost=$(pid -S x/lost); anew=$(pid -S x/anew); before_inode=$(stat -c %i x/anew); events
        rm x/lost; kill -USR1 $anew; until [ -S x/anew ] && [ $(stat -c %i x/anew) != $before_inode ]; do sleep 0.02; done
        # Everything is looked at twice.
        for label in once again; do t -S x/$label new -d 'sleep 1000'; until_told $label 1; done
        kill -9 $lost $anew; until_told server-gone 2; t -S x/again kill-server; until_told server-gone 3
        end
        ",
    ) else {
        return;
    };
    for label in ["lost", "anew"] {
        let [up, end] = &of(&told, label)[..] else { panic!("{told:#?}") };
        assert!(up == "server-up" && end.starts_with("server-gone"), "{told:#?}");
    }
    assert_eq!(of(&told, "once"), ["server-up"]);
}

/// One that is started again is seen before the next rescan. Its folder is a socket directory from that on: one server, and
/// one pair.
#[test]
fn one_whose_folder_becomes_a_socket_directory_is_told_of_once() {
    let Some(told) = stream(
        r"
        conf 8s; t -S x/old new -d 'sleep 1000'; mkdir -m 700 x/tmux-0; events
        # Both at a time: the look that follows the end is before the rescan.
        kill -STOP $(pidof j); t -S x/old kill-server; t -S ~/x/tmux-0/late new -d 'sleep 1000'; kill -CONT $(pidof j)
        until_told /late 1
        # What stands in a socket directory is seen there.
        t -S ~/x/tmux-0/other new -d 'sleep 1000'; until_told /other 1; t -S x/tmux-0/late kill-server; until_told server-gone 2
        t -S x/tmux-0/other kill-server; until_told server-gone 3
        end
        ",
    ) else {
        return;
    };
    let up = told.iter().find(|event| event["label"] == "late").unwrap();
    assert_eq!(up["reachable"], true, "it is one until then: {told:#?}");
    let up = told.iter().find(|event| event["label"] == "other").unwrap();
    assert!(up.get("reachable").is_none(), "this is one of the directory: {told:#?}");
    for label in ["late", "other"] {
        assert_eq!(of(&told, label), ["server-up".to_owned(), gone(r#"{"exit":0}"#)], "{told:#?}");
    }
}

#[test]
fn one_that_is_found_by_another_path_goes_before_it_comes_there() {
    let Some(told) = stream(
        r#"
        conf 1s; mv c.toml rest; { echo 'extra-socket-dirs = ["/tmp/home/swept*"]'; cat rest; } >c.toml
        t -S ~/x/moved new -d 'sleep 1000'; events
        mv x swept; until_told swept/moved 1; t -S swept/moved kill-server; until_told server-gone 2
        end
        "#,
    ) else {
        return;
    };
    let told: Vec<_> = told.iter().filter(|event| event["event"] != "ready").collect();
    let paths: Vec<_> = told.iter().map(|event| event["path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        ["x", "x", "swept", "swept"].map(|folder| format!("/tmp/home/{folder}/moved")),
        "{told:#?}"
    );
    let whats: Vec<_> = told.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(whats, ["server-up", "server-gone", "server-up", "server-gone"], "{told:#?}");
    assert!(
        told[1]["cause"].is_null() && told.iter().all(|event| event["server_pid"] == told[0]["server_pid"])
    );
}

/// Its folder is called otherwise now: it is up until it has ended.
#[test]
fn one_whose_folder_is_no_socket_directory_any_more_is_told_of_to_its_end() {
    let Some(told) = stream(
        r#"
        conf 1s; mv c.toml rest; { echo 'extra-socket-dirs = ["/tmp/home/*-sockets"]'; cat rest; } >c.toml
        mkdir -m 700 a-sockets; t -S ~/a-sockets/a new -d 'sleep 1000'; a=$(pid -S a-sockets/a); events
        # Everything is looked at twice.
        mv a-sockets other; for label in once again; do t -S x/$label new -d 'sleep 1000'; until_told $label 1; done
        kill -9 $a; until_told server-gone 1
        end
        "#,
    ) else {
        return;
    };
    let [up, .., end] = &of(&told, "a")[..] else { panic!("{told:#?}") };
    assert!(up == "server-up" && end.starts_with("server-gone"), "{told:#?}");
}

/// As where more servers run than descriptors may be open.
#[test]
fn an_end_that_cannot_be_waited_for_is_seen_by_the_rescan() {
    let Some(told) = stream(
        r"
        conf 1s; for label in one other; do t -S x/$label new -d 'sleep 1000'; done; before=(prlimit --nofile=41:41); events
        grep -c 'no file descriptor is left' said
        # While they live everything is looked at twice, and once afterwards.
        for label in once again; do t -S x/$label new -d 'sleep 1000'; until_told x/$label 1; done
        t -S x/one kill-server; t -S x/other kill-server; until_told server-gone 2
        t -S x/new new -d 'sleep 1000'; until_told x/new 1
        end
        ",
    ) else {
        return;
    };
    assert_eq!(told[0], 1, "it is said once, of one");
    for label in ["one", "other"] {
        let whats: Vec<_> =
            told.iter().filter(|event| event["label"] == label).map(|event| &event["event"]).collect();
        assert_eq!(whats, ["server-up", "server-gone"], "{told:#?}");
    }
}

#[test]
fn who_asks_for_labels_or_directories_is_told_of_those() {
    let Some(told) = stream(
        r"
        conf 10min; for label in bot-1 home; do t -S x/$label new -d 'sleep 1000'; done; t -L usual new -d 'sleep 1000'
        events --label 'bot-*'; end
        events --dir /tmp/tmux-0; end
        ",
    ) else {
        return;
    };
    let told: Vec<_> = told.iter().map(|event| event["label"].as_str().unwrap_or("ready")).collect();
    assert_eq!(told, ["bot-1", "ready", "usual", "ready"]);
}

#[test]
fn each_worker_tells_of_those_of_its_user() {
    let Some(told) = stream(
        r"
        { cat /etc/passwd; echo 'ann:x:4726:4726::/tmp/hers:/bin/sh'; } >/run/passwd; mount --bind /run/passwd /etc/passwd
        install -d -m 700 -o 4726 -g 4726 /tmp/hers /tmp/tmux-4726; mkdir -m 700 /tmp/tmux-0
        t -S x/roots new -d 'sleep 1000'
        hers() { setpriv --reuid 4726 --regid 4726 --clear-groups env HOME=/tmp/hers bash -euc 'cd; t=$0; $t -f /dev/null -S /tmp/hers/a $@' $TMUX_PROGRAM $@ </dev/null; }
        hers new -d; /run/j events --all-users --json >told 2>>said & until_told ready 1
        hers kill-server; until_told server-gone 1
        kill $!; wait $!; cat told
        ",
    ) else {
        return;
    };
    let of_label = |label| told.iter().filter(move |event| event["label"] == label);
    assert!(of_label("roots").all(|event| event["uid"] == 0 && event["event"] == "server-up"), "{told:#?}");
    assert!(of_label("a").all(|event| event["uid"] == 4726 && event["path"] == "/tmp/hers/a"), "{told:#?}");
    assert_eq!(of(&told, "a"), ["server-up".to_owned(), gone(r#"{"exit":0}"#)], "{told:#?}");
    assert_eq!(of(&told, "roots"), ["server-up"]);
}
