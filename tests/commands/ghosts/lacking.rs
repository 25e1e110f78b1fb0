//! Few descriptors: what could not be looked at is said, and nobody is told that no ghost is there.

use crate::common::arena::Arena;
use crate::common::janitor::{Run, janitor};
use crate::common::wait;
use crate::spawn::scene::{FEWER, Scene, with_fewer_descriptors};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

/// What the system says of it, and what helps.
const SAID: &str = "Too many open files; no file descriptor is left (`ulimit -H -n`, LimitNOFILE=)";

/// Some of these are too few to look at everything: each of the user's tmux servers takes one.
const FEW: Range<u32> = 4..24;
/// Enough, however many servers the tests beside have started.
const ENOUGH: [u32; 2] = [512, 1024];

/// A run that may have so many files open. `None`: that was not enough for the loader, or to see what is configured.
fn with_descriptors(limit: u32, dir: &Path, arguments: &[&str]) -> Option<Run> {
    let janitor = janitor(dir);
    let mut bash = Command::new("bash");
    bash.args(["-c", r#"ulimit -n "$0"; exec "$@""#, &limit.to_string()]).arg(janitor.get_program());
    bash.args(janitor.get_args()).args(arguments).env("HOME", "/nonexistent").env_remove("XDG_CONFIG_HOME");
    Some(Run::of(&mut bash)).filter(|run| !matches!(run.code, Some(127 | 78)))
}

/// Each command finds the ghost and names its process, or says that it could not look. Its exit code then is the one for
/// what could not be looked at.
#[test]
fn a_ghost_is_named_or_it_is_said_that_not_all_could_be_looked_at() {
    let arena = Arena::new().live("a");
    fs::remove_file(arena.path("a")).unwrap();
    let pid = arena.server("a").pid;
    // Whether anything else is wrong or not: what was not looked at is not healthy.
    let status = |limit| with_descriptors(limit, arena.dir(), &["status", "--json"]);
    for run in FEW.filter_map(status) {
        let (json, code) = (run.json(), run.code);
        assert_ne!(code, Some(0), "{json:#}");
        assert!(json["counts"]["ghost"] == 1 || code == Some(4), "{json:#}");
        let unseen = json["unseen"].as_array().unwrap();
        let is_said = unseen.iter().any(|place| place["reason"].as_str().unwrap().contains(SAID));
        assert!(json["counts"]["ghost"] == 1 || is_said, "{json:#}");
    }
    let named =
        [format!("(pid {pid})"), format!("pid {pid}:"), format!("a\t{pid}\t"), format!("pid {pid} is")];
    let commands: [(&[&str], i32); 7] = [
        (&["rescue", "--dry-run"], 1),
        (&["probe", "-L", "a"], 4),
        (&["list"], 1),
        (&["sweep"], 1),
        (&["sweep", "--rescue", "--dry-run"], 1),
        (&["doctor"], 1),
        // The last one: with enough it gives the ghost its socket back.
        (&["spawn", "a", "--socket-label", "a", "--join-only"], 1),
    ];
    for (arguments, code) in commands {
        let (mut found, mut lacking) = (0, 0);
        for limit in FEW.chain(ENOUGH) {
            let Some(run) = with_descriptors(limit, arena.dir(), arguments) else { continue };
            let told = format!("{}{}", run.stdout, run.stderr);
            let is_named = named.iter().any(|pid| told.contains(pid));
            assert!(is_named || told.contains(SAID), "{arguments:?} {limit}: {told}");
            if !is_named {
                assert_eq!(run.code, Some(code), "{arguments:?} {limit}: {told}");
            }
            for wrong in ["PID namespace", "PrivateUsers=", "mount it", "install tmux", "AF_NETLINK"] {
                assert!(!told.contains(wrong), "{arguments:?} {limit}: {told}");
            }
            found += u32::from(is_named);
            lacking += u32::from(!is_named);
        }
        assert!(found > 1 && lacking > 1, "{arguments:?}: {found} {lacking}");
    }
    assert!(arena.server("a").is_alive());
}

/// Nobody is signalled on a look that has not seen all: another ghost of the path may be what was not seen.
#[test]
fn with_too_few_descriptors_no_ghost_is_chosen() {
    let arena = Arena::new().live("a");
    let (mut rescued, mut lacking) = (0, 0);
    for limit in FEW.chain(ENOUGH) {
        let _ = fs::remove_file(arena.path("a"));
        let Some(run) = with_descriptors(limit, arena.dir(), &["rescue"]) else { continue };
        let told = format!("{}{}", run.stdout, run.stderr);
        // Whatever a look lacked is said, and then it has led to nothing.
        assert_eq!(run.code == Some(0), arena.has("a"), "{limit}: {told}");
        assert_eq!(!arena.has("a"), told.contains(SAID), "{limit}: {told}");
        rescued += u32::from(arena.has("a"));
        lacking += u32::from(!arena.has("a"));
    }
    assert!(rescued > 1 && lacking > 1, "{rescued} {lacking}");
    assert!(arena.server("a").is_alive());
}

/// A socket that is there is told as ever, where it was seen: what is lacking for the rest makes nothing of it wrong.
#[test]
fn what_was_seen_is_told_beside_what_was_not() {
    let arena = Arena::new().live("a").live("b");
    fs::remove_file(arena.path("a")).unwrap();
    let mut both = 0;
    for run in (8..24).filter_map(|limit| with_descriptors(limit, arena.dir(), &["list", "--json"])) {
        let json = run.json();
        let is_lacking = json["directories"].as_array().unwrap().iter().any(|dir| dir["path"] == "/proc");
        assert_eq!(run.code, Some(i32::from(is_lacking)), "{json:#}");
        both += u32::from(is_lacking && json["counts"]["live"] == 1);
    }
    assert!(both > 0);
    arena.assert_reachable("b");
}

/// A login may have few files open, and more if it asks: whoever looks asks. A server gets what the login had.
#[test]
fn where_there_may_be_more_descriptors_all_is_looked_at_and_a_server_has_as_few_as_ever() {
    let mut arena = Arena::new().live("a");
    fs::remove_file(arena.path("a")).unwrap();
    for number in 0..FEWER {
        arena = arena.live(format!("s{number}"));
    }
    let looks: [(&[&str], i32); 6] = [
        (&["doctor"], 1),
        (&["list"], 0),
        (&["status"], 1),
        (&["probe", "-L", "a"], 3),
        (&["sweep"], 0),
        (&["rescue", "--dry-run"], 0),
    ];
    for (arguments, code) in looks {
        let mut command = janitor(arena.dir());
        let run = Run::of(&mut with_fewer_descriptors(command.args(arguments)));
        let told = format!("{}{}", run.stdout, run.stderr);
        assert_eq!(run.code, Some(code), "{arguments:?}: {told}");
        assert!(!told.contains(SAID), "{arguments:?}: {told}");
    }
    let scene = Scene::of(arena);
    let spawn = |arguments: &[&str]| {
        let mut command = scene.command(["--json"]);
        let run = Run::of(&mut with_fewer_descriptors(command.args(arguments)));
        scene.adopt(&run.json());
        assert_eq!(run.code, Some(0), "{} {}", run.stdout, run.stderr);
    };
    spawn(&["a", "--socket-label", "a", "--join-only"]);
    let told = scene.room.path().join("told");
    let tell = "ulimit -S -n >told.part; mv told.part told; sleep 1000";
    spawn(&["new", "--cwd", scene.room.path().to_str().unwrap(), "--", "sh", "-c", tell]);
    wait::until("COMMAND has told its limit", || told.exists());
    assert_eq!(fs::read_to_string(told).unwrap(), format!("{FEWER}\n"));
}
