//! Ghosts in what the other commands say.

use super::scene::folder;
use crate::common::arena::{self, Arena};
use crate::common::ghosts::json;
use crate::common::janitor::{Run, bare, janitor};
use crate::common::wait;
use std::fs;

#[test]
fn status_counts_and_names_a_ghost() {
    let arena = Arena::new().live("a").live("b");
    assert_eq!(Run::of(janitor(arena.dir()).arg("status")).code, Some(0));
    fs::remove_file(arena.path("a")).unwrap();
    let run = Run::of(janitor(arena.dir()).arg("status"));
    let path = arena.path("a");
    assert_eq!(
        (run.code, run.stdout),
        (Some(1), format!("tmux sockets: 1 live, 0 dead, 1 ghost (ghosts: {})\n", path.display()))
    );
    let json = json(arena.dir(), &["status"], 1);
    assert_eq!((&json["healthy"], &json["counts"]["ghost"]), (&false.into(), &1.into()));
    let overview = Run::of(&mut janitor(arena.dir()));
    assert!(overview.stdout.contains("next: `tmux-janitor rescue`"), "{}", overview.stdout);
}

#[test]
fn a_probe_of_a_ghosts_path_is_absent_and_names_it() {
    let arena = Arena::new();
    let (dir, servers) = folder(&arena, &["a"]);
    let by_path = || {
        let run = Run::of(bare().args(["probe", "--json", "-S"]).arg(dir.join("a")));
        (run.code, run.json())
    };
    assert_eq!(by_path().0, Some(0));
    fs::remove_file(dir.join("a")).unwrap();
    for deleted in [false, true] {
        if deleted {
            fs::remove_dir(&dir).unwrap();
        }
        let (code, json) = by_path();
        assert_eq!((code, &json["state"]), (Some(3), &"absent".into()));
        assert_eq!(json["server_pid"], servers[0].pid);
        let reason = json["reason"].as_str().unwrap();
        assert!(reason.contains(&format!("ghost pid {}", servers[0].pid)), "{reason}");
        let run = Run::of(bare().args(["probe", "-L", "a"]).env("TMUX_TMPDIR", arena.dir()));
        assert_eq!(run.code, Some(3), "{}", run.stdout);
        assert!(run.stdout.contains(&format!("(pid {})", servers[0].pid)), "{}", run.stdout);
        let run = Run::of(bare().args(["probe", "-L", "b"]).env("TMUX_TMPDIR", arena.dir()));
        assert!(!run.stdout.contains("ghost"), "{}", run.stdout);
    }
}

/// Who sweeps one path that a live server has lost is told of it, as who sweeps its folder is.
#[test]
fn a_sweep_of_a_ghosts_path_names_it() {
    let arena = Arena::new().live("a").live("b");
    let pid = arena.server("a").pid;
    let sweep = |arguments: &[&str]| Run::of(bare().args(["sweep"]).args(arguments));
    let (a, b, c) = (arena.path("a"), arena.path("b"), arena.path("c"));
    let [a, b, c] = [&a, &b, &c].map(|path| path.to_str().unwrap());
    fs::remove_file(a).unwrap();
    // A dump of the kernel's table can miss one, where many sockets come and go.
    let mut run = sweep(&["-S", a, "-S", b, "-S", c]);
    wait::until("the ghost is seen", || {
        run = sweep(&["-S", a, "-S", b, "-S", c]);
        run.stderr.contains(&format!("ghost {a} (pid {pid}): a live server whose socket was deleted"))
    });
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("`tmux-janitor rescue` gives it its socket back"), "{}", run.stderr);
    assert!(run.stdout.ends_with("1 ghost\n"), "{}", run.stdout);
    assert!(!run.stderr.contains(&format!("{a}: there is no such socket")), "{}", run.stderr);
    assert!(run.stderr.contains(&format!("{c}: there is no such socket")), "{}", run.stderr);
    assert_eq!(run.stderr.matches("ghost").count(), 1, "{}", run.stderr);
    // A dead socket in its place goes, and it is named all the same.
    wait::leave_dead(a);
    let ghost_of = |run: &Run| {
        let json = run.json();
        let sockets = json["sockets"].as_array().unwrap().clone();
        sockets.into_iter().find(|socket| socket["state"] == "ghost").map(|ghost| ghost["server_pid"].clone())
    };
    let run = sweep(&["--json", "-S", a]);
    assert_eq!((run.code, ghost_of(&run)), (Some(0), Some(pid.into())), "{} {}", run.stdout, run.stderr);
    assert!(!arena.has("a"));
    let newer = arena::start(&arena.path("a"));
    let run = sweep(&["--json", "-S", a]);
    assert_eq!((run.code, ghost_of(&run)), (Some(0), Some(pid.into())), "{} {}", run.stdout, run.stderr);
    assert_eq!(arena::pid_of(&arena.path("a")), newer.pid);
}

#[test]
fn a_socket_of_minus_s_somewhere_else_is_found_without_dir_only() {
    let arena = Arena::new().live("a");
    let elsewhere = Arena::new();
    fs::remove_file(arena.path("a")).unwrap();
    let shown = |run: &Run| run.stdout.contains(&*arena.path("a").to_string_lossy());
    assert!(shown(&Run::of(bare().arg("list"))));
    assert!(!shown(&Run::of(janitor(elsewhere.dir()).arg("list"))));
    let all = Run::of(bare().args(["list", "--json"])).json();
    let own =
        all["sockets"].as_array().unwrap().iter().find(|s| s["path"] == *arena.path("a").to_string_lossy());
    assert_eq!(own.unwrap()["server_pid"], arena.server("a").pid);
}
