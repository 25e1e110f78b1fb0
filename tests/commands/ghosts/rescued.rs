//! Ghosts that get their socket back.

use super::scene::{folder, ghost as ghost_of, rescue, say};
use crate::common::arena::{self, Arena, Slowed};
use crate::common::ghosts::{ghosts, json, user};
use crate::common::janitor::{Run, entry, fate, janitor};
use crate::common::wait;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tmux_sockets::ghost::{self, Anew, Area};
use tmux_sockets::kernel::Uid;
use tmux_sockets::report::Outcome;
use tmux_sockets::witness::Witness;

#[test]
fn a_deleted_socket_comes_back_with_everything_behind_it() {
    let arena = Arena::new().live("a").live("outer");
    let socket = arena.path("a");
    // A client that stays attached: it runs in a pane of another server.
    let tmux = arena::tmux_program();
    let attach = format!("TMUX= {} -S {} attach", tmux.to_string_lossy(), socket.display());
    say(&arena.path("outer"), &["respawn-pane", "-k", &attach]);
    wait::until("the client is attached", || !say(&socket, &["list-clients"]).is_empty());
    say(&socket, &["new-session", "-d", "-s", "second", "sleep 3600"]);
    let umask = |name: &str| {
        let file = arena.path(name);
        say(&socket, &["new-window", "-d", &format!("umask >{}.new; mv {0}.new {0}", file.display())]);
        wait::until("the pane tells its umask", || file.exists());
        fs::read_to_string(file).unwrap()
    };
    let all = ["list-panes", "-a", "-F", "#{session_name} #{pane_id} #{pane_pid}"];
    let (umask_before, panes, clients) =
        (umask("before"), say(&socket, &all), say(&socket, &["list-clients"]));
    assert_eq!(ghosts(arena.dir()), []);

    fs::remove_file(&socket).unwrap();
    let pid = arena.server("a").pid;
    assert_eq!(ghosts(arena.dir()), [("a".to_owned(), i64::from(pid))]);
    let run = Run::of(janitor(arena.dir()).arg("rescue"));
    assert_eq!(run.stdout, format!("rescued {} (pid {pid})\nrescued 1 ghost\n", socket.display()));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));

    arena.assert_reachable("a");
    assert_eq!(say(&socket, &all), panes);
    assert_eq!(say(&socket, &["list-clients"]), clients);
    assert_eq!(umask("after"), umask_before, "new panes inherit the umask");
    assert_eq!(ghosts(arena.dir()), []);
    assert_eq!(arena.names(), ["a", "after", "before", "outer"], "nothing of ours is left behind");
}

#[test]
fn a_whole_directory_is_made_anew() {
    let arena = Arena::new();
    let (dir, servers) = folder(&arena, &["a", "b"]);
    fs::remove_dir_all(&dir).unwrap();
    let found = ghosts(&dir);
    assert_eq!(found, [("a".to_owned(), servers[0].pid.into()), ("b".to_owned(), servers[1].pid.into())]);
    let json = json(&dir, &["rescue"], 0);
    assert_eq!((&json["counts"]["ghost"], &json["counts"]["rescued"]), (&2.into(), &2.into()));
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o7777, 0o700);
    for (label, server) in ["a", "b"].iter().zip(&servers) {
        assert_eq!(arena::pid_of(&dir.join(label)), server.pid);
    }
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
}

#[test]
fn another_folder_than_tmux_uid_is_not_made_anew() {
    let arena = Arena::new();
    let dir = arena.path("own");
    fs::create_dir(&dir).unwrap();
    let server = arena::start(&dir.join("a"));
    fs::remove_dir_all(&dir).unwrap();
    let json = json(&dir, &["rescue"], 1);
    assert_eq!(fate(&json, "a"), ("ghost", "failed"));
    assert!(entry(&json, "a")["error"].as_str().unwrap().contains("directory is gone"), "{json:#}");
    assert!(!dir.exists() && server.is_alive());
}

#[test]
fn a_live_servers_path_is_not_taken_until_it_has_ended() {
    let arena = Arena::new().live("a");
    let socket = arena.path("a");
    fs::remove_file(&socket).unwrap();
    let second = arena::start(&socket);
    let first = arena.server("a").pid;
    assert_ne!(second.pid, first);
    assert_eq!(ghosts(arena.dir()), [("a".to_owned(), first.into())]);
    let list = json(arena.dir(), &["list"], 0);
    let reason = ghost_of(&list, "a")["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("pid {} listens there", second.pid)), "{reason}");
    assert_eq!((&list["counts"]["live"], &list["counts"]["ghost"]), (&1.into(), &1.into()));

    assert_eq!(rescue(arena.dir(), "a"), "kept");
    assert_eq!(arena::pid_of(&socket), second.pid, "the path was stolen");

    say(&socket, &["kill-server"]);
    second.wait_for_end();
    // Its dead socket stands there now.
    let json = json(arena.dir(), &["rescue"], 0);
    let outcomes: Vec<_> = json["sockets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|socket| (socket["state"].as_str().unwrap(), socket["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(outcomes, [("dead", "removed"), ("ghost", "rescued")], "{json:#}");
    arena.assert_reachable("a");
    assert_eq!(arena.names(), ["a"]);
}

#[test]
fn what_was_found_is_looked_at_again_under_the_lock() {
    let arena = Arena::new().live("a");
    let socket = arena.path("a");
    fs::remove_file(&socket).unwrap();
    let scope = Area::path(&socket).unwrap();
    let mut witness = Witness::new(Uid::new(user()));
    witness.refresh();
    let found = ghost::find(Uid::new(user()), &mut witness, &scope).ghosts;
    assert_eq!((found.len(), found[0].plight.bar), (1, None));
    // Meanwhile somebody starts a server there.
    let second = arena::start(&socket);
    let mut rescue = |ghost| ghost::rescue(Uid::new(user()), &mut witness, ghost, Anew::Folder).outcome;
    assert_eq!(rescue(&found[0]), Outcome::Kept);
    assert_eq!(arena::pid_of(&socket), second.pid, "the path was stolen");
    say(&socket, &["kill-server"]);
    second.wait_for_end();
    fs::remove_file(&socket).unwrap();
    assert_eq!(rescue(&found[0]), Outcome::Rescued);
    assert_eq!(rescue(&found[0]), Outcome::Vanished, "it is none any more");
    arena.server("a").signal(Signal::KILL);
    arena.server("a").wait_for_end();
    assert_eq!(rescue(&found[0]), Outcome::Vanished, "it has ended");
}

#[test]
fn when_it_says_rescued_the_socket_is_there() {
    let arena = Arena::new().live("a");
    fs::remove_file(arena.path("a")).unwrap();
    let Some(slowed) = Slowed::server(arena.server("a")) else { return };
    let outcome = rescue(arena.dir(), "a");
    let is_there = arena.has("a");
    drop(slowed);
    assert_eq!((outcome.as_str(), is_there), ("rescued", true));
    arena.assert_reachable("a");
}

#[test]
fn a_dead_socket_in_the_way_goes_first() {
    let arena = Arena::new().live("a");
    fs::remove_file(arena.path("a")).unwrap();
    let arena = arena.dead("a");
    let list = json(arena.dir(), &["list"], 0);
    assert_eq!((&list["counts"]["dead"], &list["counts"]["ghost"]), (&1.into(), &1.into()));
    let probe = Run::of(janitor(arena.dir()).args(["probe", "--json", "-L", "a"]));
    assert_eq!((probe.code, &probe.json()["server_pid"]), (Some(1), &serde_json::Value::Null));
    let named = format!("ghost pid {}", arena.server("a").pid);
    assert!(probe.json()["reason"].as_str().unwrap().contains(&named), "{}", probe.stdout);
    let swept = json(arena.dir(), &["sweep", "--rescue"], 0);
    assert_eq!((&swept["counts"]["removed"], &swept["counts"]["rescued"]), (&1.into(), &1.into()));
    arena.assert_reachable("a");
    assert_eq!(arena.names(), ["a"]);
}

#[test]
fn a_sweep_rescues_only_when_it_is_asked_to() {
    let arena = Arena::new().live("a").dead("b");
    fs::remove_file(arena.path("a")).unwrap();
    let run = Run::of(janitor(arena.dir()).arg("sweep"));
    assert!(run.stdout.ends_with("swept 1 dead socket; 0 live, 1 ghost\n"), "{}", run.stdout);
    assert!(run.stderr.contains("ghost") && run.stderr.contains("tmux-janitor rescue"), "{}", run.stderr);
    let dry = json(arena.dir(), &["sweep", "--rescue", "--dry-run"], 0);
    assert_eq!(fate(&dry, "a"), ("ghost", "would-rescue"));
    assert_eq!(fate(&json(arena.dir(), &["rescue", "--dry-run"], 0), "a"), ("ghost", "would-rescue"));
    assert!(!arena.has("a"));
    let run = Run::of(janitor(arena.dir()).args(["sweep", "--rescue"]));
    assert!(run.stdout.ends_with("swept 0 dead sockets; 0 live, 1 ghost rescued\n"), "{}", run.stdout);
    arena.assert_reachable("a");
}
