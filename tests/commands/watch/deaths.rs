//! However a server dies, its socket goes and its end is told, once.

use super::events::Events;
use crate::common::arena::{self, Arena, tmux};
use crate::common::daemon::{Daemon, pidfds};
use crate::common::wait;
use inotify::{EventMask, WatchMask};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

const GONE: [&str; 3] = ["server-up", "server-gone", "socket-removed"];

#[test]
fn each_way_to_die_is_noticed_and_told_once() {
    let mut arena = Arena::new().live("before");
    let before = arena.server("before").pid;
    let daemon = Daemon::watching(arena.dir());
    let events = Events::of(arena.dir(), 1);
    let ways: [(&str, Option<Signal>); 6] = [
        ("kill-server", None),
        ("last session gone", None),
        ("KILL", Some(Signal::KILL)),
        ("TERM", Some(Signal::TERM)),
        ("SEGV", Some(Signal::SEGV)),
        ("before", Some(Signal::KILL)),
    ];
    let mut pids = vec![("before", before)];
    for (label, _) in &ways[..5] {
        arena = arena.live(label);
        pids.push((label, arena.server(label).pid));
        events.until(label, "server-up");
    }
    for (label, signal) in ways {
        match (label, signal) {
            (_, Some(signal)) => arena.server(label).signal(signal),
            ("kill-server", _) => drop(tmux(&arena.path(label)).arg("kill-server").output()),
            _ => drop(tmux(&arena.path(label)).arg("kill-session").output()),
        }
        wait::until(&format!("the socket of {label} goes"), || !arena.has(label));
        events.until(label, "socket-removed");
    }
    wait::until("nothing is left", || arena.names().is_empty());
    for (label, pid) in pids {
        let expected: Vec<_> = GONE.iter().map(|what| ((*what).to_owned(), Some(i64::from(pid)))).collect();
        assert_eq!(events.of_label(label), expected, "{label}");
    }
    events.stop();
    let log = daemon.stop();
    for (label, _) in ways {
        for told in [
            format!("server gone: {} (pid", arena.path(label).display()),
            format!("removed dead socket {}", arena.path(label).display()),
        ] {
            assert_eq!(log.matches(&told).count(), 1, "{told}\n{log}");
        }
    }
}

/// A stream that was slow between finding the server's process and telling of it: its ioctl(2) of the pidfd is delayed.
#[test]
fn one_that_dies_while_its_process_is_looked_for_is_told_of_with_it() {
    let arena = Arena::new().live("stays");
    let events = Events::of(arena.dir(), 1);
    let pid = events.pid();
    let Some(_slowed) =
        arena::Slowed::process(i32::try_from(pid).unwrap(), "ioctl", Duration::from_millis(500))
    else {
        return;
    };
    let arena = arena.live("x");
    let server = arena.server("x").pid;
    // The delayed call follows the last look at who holds the socket; `/proc/PID/syscall` begins with its number.
    let asks = format!("{} ", libc::SYS_ioctl);
    let is_asking =
        || fs::read_to_string(format!("/proc/{pid}/syscall")).is_ok_and(|told| told.starts_with(&asks));
    wait::until("its process was found", || pidfds(pid).contains(&server) && is_asking());
    arena.server("x").signal(Signal::KILL);
    arena.server("x").wait_for_end();
    wait::until_closed(&arena.path("x"));
    events.until("x", "server-gone");
    wait::until("its end is not waited for any more", || pidfds(pid) == [arena.server("stays").pid]);
    let expected = ["server-up", "server-gone"].map(|what| (what.to_owned(), Some(i64::from(server))));
    assert_eq!(events.of_label("x"), expected);
    events.stop();
}

/// What the kernel tells of the sockets that are made in a folder. The moves and deletions in between are listened to as
/// well: of two equal events in a row it keeps one.
struct Births(inotify::Inotify);

impl Births {
    fn of(dir: &std::path::Path) -> Self {
        let inotify = inotify::Inotify::init().unwrap();
        let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVE;
        inotify.watches().add(dir, mask).unwrap();
        Self(inotify)
    }

    /// How many there were of a name.
    fn count(mut self, label: &str) -> usize {
        let (mut buffer, mut count) = ([0; 4096], 0);
        while let Ok(events) = self.0.read_events(&mut buffer) {
            for event in events {
                assert!(!event.mask.contains(EventMask::Q_OVERFLOW));
                let is_birth = event.mask.contains(EventMask::CREATE) && event.name == Some(label.as_ref());
                count += usize::from(is_birth);
            }
        }
        count
    }
}

#[test]
fn a_label_that_is_started_again_at_once_is_never_orphaned() {
    let arena = Arena::new();
    let daemon = Daemon::watching(arena.dir());
    let sweeps = Daemon::watching(arena.dir());
    let events = Events::of(arena.dir(), 0);
    let path = arena.path("again");
    let births = Births::of(arena.dir());
    let mut pids = Vec::new();
    for round in 0..60 {
        let started = tmux(&path).args(["new-session", "-d", "-s", "test", "sleep 3600"]).output().unwrap();
        if !started.status.success() || !started.stderr.is_empty() {
            // A start that meets a server which is just exiting fails, with and without us.
            continue;
        }
        // It can be reached, under the pid that it has.
        let server = arena::Server::of(arena::pid_of(&path));
        pids.push(server.pid);
        if round % 2 == 0 {
            server.signal(Signal::KILL);
        } else {
            drop(tmux(&path).arg("kill-server").output());
        }
        server.wait_for_end();
    }
    assert!(pids.len() >= 20, "only {} of 60 starts worked", pids.len());
    wait::until("the last socket goes", || !arena.has("again"));
    // Whoever failed to start may have been born, too.
    let born = births.count("again");
    assert!(born >= pids.len(), "{born} sockets of {} servers", pids.len());
    // They are told of one after the other; the last to be told is the removal of the last one's socket.
    wait::until(&format!("{born} births and deaths are told"), || {
        let told = events.whats("again");
        let count = |what| told.iter().filter(|told| *told == what).count();
        count(GONE[0]) >= born && count(GONE[1]) >= born && told.last().is_some_and(|what| what == GONE[2])
    });
    let (up, gone) = (events.count("again", "server-up"), events.count("again", "server-gone"));
    assert_eq!((up, gone), (born, born), "births and deaths, of {} servers that were reached", pids.len());
    for pid in pids {
        let of_it = events.of_label("again").into_iter().filter(|(_, of)| *of == Some(i64::from(pid)));
        let of_it: Vec<_> = of_it.map(|(what, _)| what).collect();
        // None of it: it came and went between two looks and is one of those without a pid.
        assert!(
            of_it.is_empty() || of_it.iter().filter(|what| *what == GONE[1]).count() == 1,
            "{pid}: {of_it:?}"
        );
    }
    assert!(daemon.logged("ghost") + sweeps.logged("ghost") == 0);
    daemon.stop();
    sweeps.stop();
}

#[test]
fn a_stopped_server_is_kept_and_a_listener_is_never_connected_to() {
    let arena = Arena::new().live("stopped").listener("l").full("full").bound_only("bound");
    let mut daemon = Daemon::watching(arena.dir());
    let events = Events::of(arena.dir(), 3);
    let server = arena.server("stopped");
    server.signal(Signal::STOP);
    daemon.rescan();
    server.signal(Signal::CONT);
    daemon.rescan();
    let arena = arena.listener("later");
    events.until("later", "server-up");
    // Deaths beside it are looked at narrowly, and looks go over everything now and then.
    let arena = arena.live("dies");
    events.until("dies", "server-up");
    arena.server("dies").signal(Signal::KILL);
    events.until("dies", "socket-removed");
    daemon.rescan();
    arena.assert_reachable("stopped");
    for label in ["l", "later"] {
        assert_eq!(arena.connections(label), 0, "{label}");
        assert_eq!(events.whats(label), ["server-up"]);
    }
    assert_eq!(events.whats("stopped"), ["server-up"]);
    assert!(arena.has("bound") && arena.has("full"));
    daemon.stop();
}

#[test]
fn a_kept_label_is_told_once_and_makes_no_drumbeat() {
    let arena = Arena::new().live("homebase");
    let mut daemon = Daemon::configured(arena.dir(), "keep = [\"home*\"]\n");
    let events = Events::of(arena.dir(), 1);
    arena.server("homebase").signal(Signal::KILL);
    events.until("homebase", "server-gone");
    wait::until("the daemon tells it", || daemon.logged("server gone") == 1);
    for _ in 0..3 {
        daemon.rescan();
    }
    assert!(arena.has("homebase"));
    assert_eq!(events.whats("homebase"), GONE[..2]);
    assert_eq!(daemon.logged("homebase"), 1, "{}", daemon.log());
    fs::write(daemon.config(), "keep = []\n").unwrap();
    daemon.rescan();
    events.until("homebase", "socket-removed");
    assert!(!arena.has("homebase"));
    daemon.stop();
}

#[test]
fn a_socket_that_cannot_be_removed_is_reported_once() {
    let arena = Arena::new().live("x");
    fs::create_dir(arena.path("x.lock")).unwrap();
    let mut daemon = Daemon::watching(arena.dir());
    arena.server("x").signal(Signal::KILL);
    wait::until("it is reported", || daemon.logged("cannot remove dead socket") == 1);
    for _ in 0..3 {
        daemon.rescan();
    }
    assert_eq!(daemon.logged("cannot remove"), 1, "{}", daemon.log());
    fs::remove_dir(arena.path("x.lock")).unwrap();
    daemon.rescan();
    assert!(!arena.has("x"));
    daemon.stop();
}

#[test]
fn a_server_that_loses_its_file_is_a_ghost_and_is_told_when_it_is_back() {
    let arena = Arena::new().live("x");
    let daemon = Daemon::watching(arena.dir());
    let events = Events::of(arena.dir(), 1);
    fs::remove_file(arena.path("x")).unwrap();
    events.until("x", "ghost");
    arena.server("x").signal(Signal::USR1);
    events.until("x", "rescued");
    arena.assert_reachable("x");
    arena.server("x").signal(Signal::KILL);
    events.until("x", "socket-removed");
    let told: Vec<_> = ["server-up", "ghost", "rescued", "server-gone", "socket-removed"].into();
    assert_eq!(events.whats("x"), told);
    let pid = i64::from(arena.server("x").pid);
    assert!(events.of_label("x").iter().all(|(_, of)| *of == Some(pid)), "{:?}", events.of_label("x"));
    daemon.stop();
}

#[test]
fn a_server_that_makes_its_socket_anew_has_not_gone() {
    let arena = Arena::new().live("x");
    let daemon = Daemon::watching(arena.dir());
    let events = Events::of(arena.dir(), 1);
    for _ in 0..100 {
        let before = fs::symlink_metadata(arena.path("x")).map(|file| file.ctime_nsec()).unwrap_or_default();
        arena.server("x").signal(Signal::USR1);
        wait::until("the socket is new", || {
            fs::symlink_metadata(arena.path("x")).is_ok_and(|file| file.ctime_nsec() != before)
        });
    }
    arena.assert_reachable("x");
    // A look may have come between two sockets: then the next one finds it back.
    wait::until("it is nobody's ghost", || events.count("x", "ghost") == events.count("x", "rescued"));
    arena.server("x").signal(Signal::KILL);
    events.until("x", "server-gone");
    wait::until("the socket goes", || !arena.has("x"));
    let told: Vec<_> =
        events.whats("x").into_iter().filter(|what| what != "ghost" && what != "rescued").collect();
    assert_eq!(told[..2], GONE[..2], "one birth, one death: {told:?}");
    assert_eq!(events.count("x", "ghost"), events.count("x", "rescued"));
    daemon.stop();
}

#[test]
fn a_ghost_of_before_is_told_and_rescued_where_that_is_wanted() {
    let arena = Arena::new().live("old").live("new");
    fs::remove_file(arena.path("old")).unwrap();
    let daemon = Daemon::watching(arena.dir());
    let events = Events::of(arena.dir(), 1);
    events.until("old", "ghost");
    wait::until("the journal tells it", || daemon.logged("ghost") == 1);
    assert!(!arena.has("old"), "nobody asked for it");
    daemon.stop();

    let daemon = Daemon::configured(arena.dir(), "[watch]\nrescue = true\n");
    events.until("old", "rescued");
    arena.assert_reachable("old");
    fs::remove_file(arena.path("new")).unwrap();
    events.until("new", "rescued");
    arena.assert_reachable("new");
    wait::until("both are told", || daemon.logged("rescued the ghost") == 2);
    for label in ["old", "new"] {
        arena.server(label).signal(Signal::KILL);
        events.until(label, "socket-removed");
        assert_eq!(events.whats(label), ["server-up", "ghost", "rescued", "server-gone", "socket-removed"]);
    }
    daemon.stop();
}

#[test]
fn a_pid_that_is_used_again_is_not_mistaken() {
    let Ok(last_pid) = fs::read_to_string("/proc/sys/kernel/ns_last_pid") else {
        return crate::common::skip::skip("this kernel does not let the next pid be chosen");
    };
    drop(last_pid);
    let arena = Arena::new();
    // In a pid namespace of its own the next pid can be chosen: the second server gets the first one's
    // while the daemon sleeps.
    let script = r#"
        set -eu
        "$JANITOR" --dir "$DIR" events --json >"$OUT" & events=$!
        "$TMUX" -f /dev/null -S "$COMPANY" new-session -d 'sleep 60'
        start() { "$TMUX" -f /dev/null -S "$DIR/$1" new-session -d 'sleep 60'; }
        pid_of() { "$TMUX" -S "$DIR/$1" display-message -p '#{pid}'; }
        until_said() { for i in $(seq 9000); do ! grep -q "$1" "$OUT" || return 0; sleep 0.01; done; return 1; }
        start a; pid=$(pid_of a)
        until_said "\"server-up\".*\"label\":\"a\""
        kill -STOP $events
        kill -KILL $pid
        while [ -e /proc/$pid ]; do sleep 0.01; done
        for back in 2 1 3 4 5; do
            echo $((pid - back - 1)) >/proc/sys/kernel/ns_last_pid
            start b; now=$(pid_of b)
            [ $now != $pid ] || break
            kill -KILL $now; while [ -e /proc/$now ]; do sleep 0.01; done
        done
        [ $now = $pid ]
        kill -CONT $events
        until_said "\"server-gone\".*\"label\":\"a\""
        until_said "\"server-up\".*\"label\":\"b\",\"server_pid\":$pid"
        kill -KILL $now
        until_said "\"server-gone\".*\"label\":\"b\",\"server_pid\":$pid"
        kill -TERM $events; wait $events
        "$TMUX" -S "$COMPANY" kill-server
    "#;
    let room = tempfile::tempdir().unwrap();
    let output = wait::in_time("unshare")
        .args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script])
        .env("JANITOR", env!("CARGO_BIN_EXE_tmux-janitor"))
        .env("TMUX", arena::tmux_program())
        .env("DIR", arena.dir())
        .env("COMPANY", room.path().join("company"))
        .env("OUT", room.path().join("out"))
        .output()
        .unwrap();
    let said = fs::read_to_string(room.path().join("out")).unwrap_or_default();
    if String::from_utf8_lossy(&output.stderr).contains("unshare") {
        return crate::common::skip::skip("this user may not make a pid namespace");
    }
    assert!(output.status.success(), "{output:?}\n{said}");
    assert_eq!(
        said.matches("server-gone\",\"path").count(),
        said.matches("server-up\",\"path").count(),
        "{said}"
    );
}
