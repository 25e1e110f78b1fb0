//! psmux and its kind, played by a shell script: names are files in a folder, servers are files beside
//! them, and a stale name is cleared a while after `kill-session` asked for it.

use super::scene::{FEWER, Scene, errors, with_fewer_descriptors};
use crate::common::arena::Arena;
use crate::common::janitor::Run;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Registrations are `reg/NAME`, servers `live/NAME`. `kill-session` on a stale name takes effect only
/// when its third `new-session` comes.
const STAND_IN: &str = r#"#!/bin/sh
echo "$*" >>"$room/log"
while [ $# -gt 0 ]; do
    case $1 in
    -S) shift 2;;
    -*) shift;;
    *) break;;
    esac
done
verb=$1; shift
while [ $# -gt 0 ]; do
    case $1 in
    -t) name=${2#=}; shift 2;;
    -s) name=$2; shift 2;;
    --) break;;
    *) shift;;
    esac
done
case $verb in
has-session) [ -e "$room/live/$name" ];;
kill-session)
    [ -e "$room/live/$name" ] && { rm "$room/live/$name" "$room/reg/$name"; exit 0; }
    [ -e "$room/reg/$name" ] && echo 3 >"$room/clearing"
    exit 0;;
new-session)
    ulimit -S -n >"$room/limit"
    if [ -e "$room/clearing" ]; then
        left=$(($(cat "$room/clearing") - 1)); echo $left >"$room/clearing"
        [ $left -gt 0 ] || rm -f "$room/reg/$name" "$room/clearing"
    fi
    if [ ! -e "$room/reg/$name" ]; then : >"$room/reg/$name"; : >"$room/live/$name"; fi
    exit 0;;
*) exit 1;;
esac
"#;

impl Scene {
    fn with_stand_in(arena: Arena, more: &str) -> Self {
        let scene = Self::of(arena);
        let program = scene.path("psmux");
        for folder in ["reg", "live"] {
            fs::create_dir(scene.path(folder)).unwrap();
        }
        let room = format!("#!/bin/sh\nroom='{}'\n", scene.room.path().display());
        fs::write(&program, STAND_IN.replacen("#!/bin/sh\n", &room, 1)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let table = format!("tmux = \"{}\"\nverify-delay = \"30ms\"\n{more}", program.display());
        scene.configured(&table)
    }

    fn verbs(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let verb = |line: &str| line.split(' ').find(|word| word.ends_with("-session")).map(str::to_owned);
        log.lines().filter_map(verb).collect()
    }
}

const CLEAR: &str = "clear-registration = true";

#[test]
fn a_stale_registration_is_cleared_and_the_session_asked_for_until_it_is_there() {
    let scene = Scene::with_stand_in(Arena::new(), CLEAR);
    fs::write(scene.path("reg/x"), "").unwrap();
    let json = scene.made(["x", "--", "sleep 1"]);
    assert!(scene.path("live/x").exists());
    assert!(json["server_pid"].is_null());
    let verbs = scene.verbs();
    assert_eq!(verbs[..2], ["has-session", "kill-session"], "{verbs:?}");
    let count = |verb: &str| verbs.iter().filter(|each| *each == verb).count();
    assert_eq!((count("kill-session"), count("new-session")), (1, 3), "{verbs:?}");
}

/// What it starts lives on.
#[test]
fn it_has_the_limit_of_open_files_that_its_caller_has() {
    let scene = Scene::with_stand_in(Arena::new(), CLEAR);
    let run = Run::of(&mut with_fewer_descriptors(&scene.command(["x", "--", "sleep 1"])));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(fs::read_to_string(scene.path("limit")).unwrap(), format!("{FEWER}\n"));
}

#[test]
fn without_the_setting_nothing_is_ever_cleared() {
    let scene = Scene::with_stand_in(Arena::new(), "");
    fs::write(scene.path("reg/x"), "").unwrap();
    let (run, _) = scene.spawn(["x", "--", "sleep 1"]);
    assert_eq!(run.code, Some(1));
    assert!(!scene.verbs().contains(&"kill-session".to_owned()), "{:?}", scene.verbs());
}

#[test]
fn a_session_that_is_there_is_never_cleared() {
    let scene = Scene::with_stand_in(Arena::new(), CLEAR);
    for folder in ["reg/x", "live/x"] {
        fs::write(scene.path(folder), "").unwrap();
    }
    assert_eq!(scene.run(["x", "--", "sleep 1"]).code, Some(3));
    assert_eq!(scene.verbs(), ["has-session"]);
}

#[test]
fn nothing_is_cleared_while_something_stands_at_the_path() {
    // has-session says no, but a server listens there.
    let scene = Scene::with_stand_in(Arena::new().live("spawn-x"), CLEAR);
    fs::write(scene.path("reg/x"), "").unwrap();
    scene.run(["x", "--", "sleep 1"]);
    assert!(!scene.verbs().contains(&"kill-session".to_owned()), "{:?}", scene.verbs());
    scene.arena.assert_reachable("spawn-x");
    // Nothing is known of one that is bound only.
    let scene = Scene::with_stand_in(Arena::new().bound_only("spawn-x"), CLEAR);
    assert_eq!(scene.run(["x", "--", "sleep 1"]).code, Some(1));
    assert_eq!(scene.verbs(), [""; 0]);
    // What is proven dead does not count.
    let scene = Scene::with_stand_in(Arena::new().dead("spawn-x"), CLEAR);
    fs::write(scene.path("reg/x"), "").unwrap();
    scene.made(["x", "--no-sweep", "--", "sleep 1"]);
    assert!(scene.verbs().contains(&"kill-session".to_owned()));
}

#[test]
fn it_is_asked_for_as_often_as_configured_and_no_more() {
    let scene = Scene::with_stand_in(Arena::new(), &format!("{CLEAR}\nverify-attempts = 2"));
    fs::write(scene.path("reg/x"), "").unwrap();
    let (run, json) = scene.spawn(["x", "--", "sleep 1"]);
    assert_eq!(run.code, Some(1), "{json:#}");
    assert_eq!(scene.verbs().iter().filter(|verb| *verb == "new-session").count(), 2);
    assert!(errors(&json).contains("\"x\""), "{json:#}");
}
