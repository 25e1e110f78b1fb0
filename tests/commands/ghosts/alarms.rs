//! What is no ghost, however much it looks like one.

use super::scene::{in_mount_namespace, is_root, say};
use crate::common::arena::{self, Arena};
use crate::common::ghosts::{ghosts, json, user};
use crate::common::janitor::{Run, bare, entry};
use crate::common::skip::skip;
use crate::common::wait;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use tmux_sockets::ghost::{self, Area};
use tmux_sockets::kernel::Uid;
use tmux_sockets::sweep::Target;
use tmux_sockets::witness::Witness;

/// How often is looked, and how often what happens meanwhile happens, at least.
const LOOKS: u32 = 60;
const TURNS: u32 = 20;

/// Looks for ghosts again and again while `turn` is done again and again.
#[track_caller]
fn no_ghost_while(arena: &Arena, mut turn: impl FnMut(u32) + Send) {
    let (looks, turns) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let churning = scope.spawn(|| {
            while looks.load(Ordering::Acquire) < LOOKS || turns.load(Ordering::Acquire) < TURNS {
                turn(turns.fetch_add(1, Ordering::AcqRel));
            }
        });
        let mut witness = Witness::new(Uid::new(user()));
        let place = Area::new(&[Target::whole(arena.dir().to_owned())], false);
        while !churning.is_finished() {
            witness.refresh();
            let found = ghost::find(Uid::new(user()), &mut witness, &place).ghosts;
            let so_far = looks.fetch_add(1, Ordering::AcqRel);
            if !found.is_empty() {
                // Lets the other thread end, too.
                looks.store(LOOKS, Ordering::Release);
                turns.store(TURNS, Ordering::Release);
            }
            assert_eq!(found, [], "after {so_far} looks");
        }
    });
}

/// Starts a server where one has just ended: tmux itself fails at that now and then ("server exited
/// unexpectedly").
fn start_over(socket: &Path) -> arena::Server {
    let arguments = ["new-session", "-d", "-P", "-F", "#{pid}", "sleep 3600"];
    let mut server = None;
    wait::until("a start succeeds", || {
        let output = arena::tmux(socket).args(arguments).output().unwrap();
        server = String::from_utf8_lossy(&output.stdout).trim().parse().ok().and_then(arena::Server::try_of);
        server.is_some()
    });
    server.unwrap()
}

#[test]
fn servers_that_start_and_end_are_never_ghosts() {
    let arena = Arena::new();
    no_ghost_while(&arena, |turn| {
        let path = arena.path("a");
        let server = start_over(&path);
        if turn % 3 == 0 {
            server.signal(rustix::process::Signal::KILL);
            server.wait_for_end();
            fs::remove_file(&path).unwrap();
        } else {
            say(&path, &["kill-server"]);
            server.wait_for_end();
        }
    });
}

#[test]
fn a_pane_that_is_just_being_born_is_no_ghost() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("needs strace: it holds a process up between fork and exec");
    }
    // The moment is caught by looking; on a busy machine it may have passed.
    assert!((0..5).any(|_| is_unborn_pane_no_ghost()), "the moment was never caught");
}

/// Kills a server while its pane is between fork and exec, where it has the server's name, program,
/// handlers and listening socket. Whether that moment was caught; a ghost seen in it fails the test.
fn is_unborn_pane_no_ghost() -> bool {
    let arena = Arena::new();
    let path = arena.path("a");
    let mut slow = Command::new("strace");
    slow.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=setsid",
        "-e",
        "inject=setsid:delay_enter=1500000",
    ]);
    slow.arg(arena::tmux_program()).args(["-f", "/dev/null", "-S"]).arg(&path);
    let slow = slow.args(["new-session", "-d", "sleep 3600"]).env_remove("TMUX").spawn().unwrap();
    let mut slow = Ended(slow);
    let holders = || -> Vec<i32> {
        let list = json(arena.dir(), &["list"], 0);
        let found = list["sockets"].as_array().unwrap().iter().find(|socket| socket["state"] == "live");
        let server = found.and_then(|socket| i32::try_from(socket["server_pid"].as_i64()?).ok());
        let children = server.map(|pid| fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")));
        let children = children.and_then(Result::ok).unwrap_or_default();
        server.into_iter().chain(children.split_whitespace().filter_map(|pid| pid.parse().ok())).collect()
    };
    let mut both = Vec::new();
    let started = Instant::now();
    while both.len() < 2 && slow.0.try_wait().unwrap().is_none() && started.elapsed() < wait::DEADLINE {
        both = holders();
    }
    let [Some(server), Some(child)] =
        [0, 1].map(|at| both.get(at).and_then(|pid| arena::Server::try_of(*pid)))
    else {
        return false;
    };
    server.signal(rustix::process::Signal::KILL);
    // Its socket is the child's for a while.
    wait::until("the server ends", || !server.is_alive());
    fs::remove_file(&path).unwrap();
    let found = ghosts(arena.dir());
    let fds = fs::read_dir(format!("/proc/{}/fd", child.pid)).into_iter().flatten().flatten();
    let mut links = fds.filter_map(|fd| fs::read_link(fd.path()).ok());
    let is_caught = links.any(|link| link.to_string_lossy().starts_with("socket:"));
    assert_eq!(found, [], "caught: {is_caught}");
    is_caught
}

/// As above, and between setsid(2) and its terminal it leads a session without one, as a server does. Meanwhile its
/// server makes its socket anew, and the child has the old one.
#[test]
fn a_pane_that_is_being_born_while_its_server_makes_its_socket_anew_is_no_ghost() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("needs strace: it holds a process up between fork and exec");
    }
    let arena = Arena::new().live("a");
    let (path, server) = (arena.path("a"), arena.server("a").pid);
    let mut slow = Command::new("strace");
    slow.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=setsid"]);
    slow.args(["-e", "inject=setsid:delay_exit=60000000", "-p", &server.to_string()]);
    let _slow = Ended(slow.spawn().unwrap());
    let status = || fs::read_to_string(format!("/proc/{server}/status")).unwrap();
    wait::until("strace follows the server", || !status().contains("TracerPid:\t0"));
    say(&path, &["new-window", "-d", "sleep 3600"]);
    let fields = |pid: i32| -> Vec<String> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let behind = stat.rsplit_once(") ").map(|(_, behind)| behind.to_owned()).unwrap_or_default();
        behind.split_whitespace().map(str::to_owned).collect()
    };
    let unborn = || {
        let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
        let mut pids = children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok());
        // State, parent, group, session, terminal.
        pids.find(|pid| {
            let fields = fields(*pid);
            fields.len() > 4 && fields[3] == pid.to_string() && fields[4] == "0"
        })
    };
    wait::until("a pane has a session and no terminal", || unborn().is_some());
    let file = || fs::symlink_metadata(&path).ok().map(|file| std::os::unix::fs::MetadataExt::ino(&file));
    let before = file();
    arena.server("a").signal(rustix::process::Signal::USR1);
    wait::until("the socket is made anew", || file().is_some_and(|now| Some(now) != before));
    wait::until("it listens", || std::os::unix::net::UnixStream::connect(&path).is_ok());
    let list = json(arena.dir(), &["list"], 0);
    assert!(unborn().is_some(), "it does not last");
    assert_eq!((&list["counts"]["ghost"], &list["counts"]["live"]), (&0.into(), &1.into()), "{list:#}");
    let rescue = Run::of(crate::common::janitor::janitor(arena.dir()).arg("rescue"));
    assert_eq!((rescue.code, rescue.stdout.as_str()), (Some(0), "no ghosts\n"), "{}", rescue.stderr);
}

/// A process that ends with this.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_that_makes_its_socket_anew_is_no_ghost() {
    let arena = Arena::new().live("a");
    let socket = || fs::metadata(arena.path("a")).map(|file| std::os::unix::fs::MetadataExt::ino(&file)).ok();
    no_ghost_while(&arena, |_| {
        let before = socket();
        arena.server("a").signal(rustix::process::Signal::USR1);
        wait::until("the socket is made anew", || socket().is_some() && socket() != before);
    });
    arena.assert_reachable("a");
}

#[test]
fn renamed_relative_and_abstract_sockets_are_no_ghosts() {
    let arena = Arena::new().live("a").live("b");
    fs::rename(arena.path("a"), arena.path("renamed")).unwrap();
    // The path is taken, and the old server still answers under its new name.
    fs::rename(arena.path("b"), arena.path("b2")).unwrap();
    let taker = arena::start(&arena.path("b"));
    let name = format!("{}/abstract", arena.dir().display());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _abstract = UnixListener::bind_addr(&address).unwrap();
    let relative = |arguments: &[&str]| {
        let mut tmux = Command::new(arena::tmux_program());
        tmux.args(["-f", "/dev/null", "-S", "relative"]).args(arguments).env_remove("TMUX");
        let output = tmux.current_dir(arena.dir()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    relative(&["new-session", "-d", "sleep 3600"]);
    let server = arena::Server::of(relative(&["display-message", "-p", "#{pid}"]).trim().parse().unwrap());
    fs::remove_file(arena.path("relative")).unwrap();
    assert_eq!(ghosts(arena.dir()), []);
    let all = Run::of(bare().args(["list", "--json"])).stdout;
    for pid in [server.pid, taker.pid] {
        assert!(!all.contains(&format!("\"server_pid\":{pid}")) || !all.contains("relative"), "{all}");
    }
}

#[test]
fn a_listener_that_a_server_inherited_is_not_its_own() {
    let arena = Arena::new();
    // It is held by nobody but the tmux server, which does not listen to it.
    let listener = UnixListener::bind(arena.path("leaked")).unwrap();
    let script = r#"exec 9<&0 </dev/null; "$0" -f /dev/null -S "$1" new-session -d "sleep 3600""#;
    let mut shell = Command::new("bash");
    shell.args(["-c", script]).arg(arena::tmux_program()).arg(arena.path("a")).env_remove("TMUX");
    assert!(shell.stdin(OwnedFd::from(listener)).status().unwrap().success());
    drop(shell);
    let server = arena::Server::of(arena::pid_of(&arena.path("a")));
    fs::remove_file(arena.path("leaked")).unwrap();
    let held = fs::read_dir(format!("/proc/{}/fd", server.pid)).unwrap();
    let links = held.map(|fd| fs::read_link(fd.unwrap().path()).unwrap_or_default());
    let sockets = links.filter(|link| link.to_string_lossy().starts_with("socket:")).count();
    assert!(sockets >= 2, "the server has inherited nothing");
    assert_eq!(ghosts(arena.dir()), []);
    // Then its own is deleted, too. Which of the two is its own cannot be told: it is told once, and
    // no signal is sent.
    fs::remove_file(arena.path("a")).unwrap();
    let json = json(arena.dir(), &["rescue"], 1);
    let found = json["sockets"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{json:#}");
    assert_eq!((&found[0]["server_pid"], &found[0]["outcome"]), (&server.pid.into(), &"kept".into()));
    assert!(found[0]["reason"].as_str().unwrap().contains("several listening sockets"), "{json:#}");
    assert!(!arena.has("a"));
}

#[test]
fn a_server_that_sees_other_files_is_no_ghost() {
    if !is_root() {
        return skip("needs root: it makes a mount namespace");
    }
    let arena = Arena::new().live("here");
    let private = arena.path("private");
    fs::create_dir(&private).unwrap();
    // Behind its own mount it is well, and even if it were not, the path here means something else.
    let pid = in_mount_namespace(
        r#"
        mount -t tmpfs tmpfs "$1"
        "$TMUX_PROGRAM" -f /dev/null -S "$1/a" new-session -d 'sleep 3600' </dev/null
        "$TMUX_PROGRAM" -f /dev/null -S "$1/a" display-message -p '#{pid}'
        "#,
        &private,
    );
    let server = arena::Server::of(pid.trim().parse().unwrap());
    assert_eq!(ghosts(&private), []);
    fs::remove_file(format!("/proc/{}/root{}/a", server.pid, private.display())).unwrap();
    assert_eq!(ghosts(&private), []);
    // Nor is anybody led there who would find another server, or none.
    let all = Run::of(bare().args(["list", "--json"])).json();
    let is_its = |entry: &&serde_json::Value| entry["server_pid"] == server.pid;
    let found = all["sockets"].as_array().unwrap().iter().find(is_its).unwrap();
    let said = (&found["state"], &found["reachable"], &found["way_in"]);
    assert_eq!(said, (&"live".into(), &false.into(), &serde_json::Value::Null), "{found:#}");
}

#[test]
fn from_another_mount_namespace_a_ghost_is_reported_and_not_touched() {
    if !is_root() {
        return skip("needs root: it makes a mount namespace");
    }
    let arena = Arena::new().live("a");
    fs::remove_file(arena.path("a")).unwrap();
    let out = in_mount_namespace(r#""$JANITOR" --dir "$1" rescue --json || [ $? = 1 ]"#, arena.dir());
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let found = entry(&json, "a");
    assert_eq!((&found["outcome"], &found["server_pid"]), (&"kept".into(), &arena.server("a").pid.into()));
    assert!(found["reason"].as_str().unwrap().contains("another mount namespace"), "{json:#}");
    assert!(!arena.has("a"));
}

#[test]
fn bind_mounts_hide_nobody() {
    if !is_root() {
        return skip("needs root: it makes bind mounts");
    }
    let arena = Arena::new();
    in_mount_namespace(
        r#"
        mkdir "$1/real" "$1/view"; mount --bind "$1/real" "$1/view"
        ask() { "$TMUX_PROGRAM" -f /dev/null -S "$1" "${@:2}" </dev/null; }
        ask "$1/view/a" new-session -d 'sleep 3600'; pid=$(ask "$1/view/a" display-message -p '#{pid}')
        trap 'kill -KILL $pid; while [ -e /proc/$pid ] && ! grep -q "State:.Z" /proc/$pid/status; do :; done' EXIT
        none() { "$JANITOR" --dir "$1" status --json | grep -q '"ghost":0'; }
        none "$1/real"; none "$1/view"
        umount -l "$1/view"
        # Its path leads nowhere now, and it answers where it always was.
        none "$1/real"; "$JANITOR" --dir "$1/view" --dir "$1/real" status --json | grep -q '"ghost":0'
        [ "$pid" = "$(ask "$1/real/a" display-message -p '#{pid}')" ]
        mount --bind "$1/real" "$1/view"; rm "$1/view/a"
        # One ghost, by whichever of its directory's paths one looks.
        for dir in "$1/real" "$1/view"; do
          out=$("$JANITOR" --dir "$dir" status --json || :); grep -q '"ghost":1' <<<"$out"
        done
        out=$("$JANITOR" --dir "$1/real" rescue); grep -q 'rescued 1 ghost' <<<"$out"
        [ "$pid" = "$(ask "$1/view/a" display-message -p '#{pid}')" ]
        "#,
        arena.dir(),
    );
    let _ = json(arena.dir(), &["list"], 0);
}
