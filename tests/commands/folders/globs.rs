//! Folders that a pattern of the configuration matches, in a place where strangers make names too.

use super::{install, janitor};
use crate::common::daemon::Daemon;
use crate::common::janitor::{Run, bare};
use crate::common::wait;
use crate::users::scene::{Hall, User, dead_at, error_of, give, make_dir, print_of, removed, stray_of};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A configuration that everybody can read.
#[track_caller]
fn config(text: &str) -> PathBuf {
    let path = PathBuf::from("/tmp/config.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    path
}

#[track_caller]
fn run(user: User, arguments: &[&str]) -> Run {
    Run::of(janitor(user).args(["--config", "/tmp/config.toml"]).args(arguments))
}

/// A folder of a user's with a dead socket in it.
#[track_caller]
fn folder(path: impl Into<PathBuf>, user: User) -> PathBuf {
    let path = path.into();
    make_dir(&path, user);
    dead_at(&path.join("dead"), user);
    path
}

#[track_caller]
fn link(from: &Path, to: impl Into<PathBuf>, user: User) -> PathBuf {
    let to = to.into();
    symlink(from, &to).unwrap();
    give(&to, user);
    to
}

#[test]
fn the_users_own_folders_are_swept_and_nothing_else_chooses_any() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let (user, other) = (User::new(), User::new());
    config("extra-socket-dirs = [\"/tmp/*-tmux-sockets\", \"/tmp/[pq]-*/in/?\"]\n");
    let own = [folder("/tmp/a-tmux-sockets", user), folder("/tmp/b-tmux-sockets", user)];
    make_dir(Path::new("/tmp/p-1"), user);
    make_dir(Path::new("/tmp/p-1/in"), user);
    let below = folder("/tmp/p-1/in/x", user);
    // What must not be swept, though the user could.
    let kept = folder("/tmp/kept", user);
    make_dir(&kept.join("in"), user);
    folder(kept.join("in/y"), user);
    let hidden = folder("/tmp/.x-tmux-sockets", user);
    let led = [
        link(&kept, "/tmp/c-tmux-sockets", other),
        link(&kept, "/tmp/d-tmux-sockets", user),
        link(&kept, "/tmp/q-led", other),
        link(&kept.join("in"), "/tmp/p-1/in/l", user),
    ];
    make_dir(Path::new("/tmp/q-2"), user);
    link(&kept.join("in"), "/tmp/q-2/in", user);
    // On the way through somebody else's, where they can put anything.
    make_dir(Path::new("/tmp/q-3"), other);
    make_dir(Path::new("/tmp/q-3/in"), user);
    folder("/tmp/q-3/in/z", user);
    fs::set_permissions("/tmp/q-3", fs::Permissions::from_mode(0o755)).unwrap();
    let theirs = folder("/tmp/e-tmux-sockets", other);
    let roots = folder("/tmp/f-tmux-sockets", User(0));
    let file = PathBuf::from("/tmp/g-tmux-sockets");
    fs::write(&file, "").unwrap();
    let before = [&kept, &hidden, &theirs, &roots].map(|folder| print_of(folder));

    let listed = run(user, &["list", "--json"]);
    assert_eq!((listed.code, listed.stderr.as_str()), (Some(0), ""));
    assert_eq!(listed.json()["counts"]["dead"], 3, "{}", listed.stdout);
    let swept = run(user, &["-v", "sweep", "--json"]);
    let json = swept.json();
    assert_eq!(swept.code, Some(0), "{json:#}");
    let expected = own.iter().chain([&below]).map(|folder| folder.join("dead").display().to_string());
    assert_eq!(removed(&json), expected.collect::<Vec<_>>(), "{json:#}");
    assert_eq!([&kept, &hidden, &theirs, &roots].map(|folder| print_of(folder)), before);
    assert!(Path::new("/tmp/q-3/in/z/dead").exists());
    for (path, why) in led.iter().map(|link| (link.as_path(), "a symbolic link")).chain([
        (Path::new("/tmp/q-2/in"), "a symbolic link"),
        (theirs.as_path(), "it belongs to uid"),
        (roots.as_path(), "it belongs to uid 0"),
        (file.as_path(), "it is a regular file"),
    ]) {
        let told = stray_of(&json, path).unwrap_or_else(|| panic!("{}: {json:#}", path.display()));
        assert!(told.contains(why), "{told}");
        assert!(swept.stderr.contains(&format!("{}: {told}", path.display())), "{}", swept.stderr);
    }
    assert_eq!(json["counts"]["strays"], 8, "{json:#}");
    // What strangers make is nobody's error, and without `-v` nobody's concern.
    let status = run(user, &["status"]);
    assert_eq!((status.code, status.stderr.as_str()), (Some(0), ""), "{}", status.stdout);
    // A folder of the user's own that others can write is one, with its cure.
    fs::set_permissions(&own[0], fs::Permissions::from_mode(0o770)).unwrap();
    let refused = run(user, &["sweep", "--json"]);
    let error = error_of(&refused.json(), &own[0]).unwrap().to_owned();
    assert!(refused.code == Some(1) && error.contains("`chmod g-w /tmp/a-tmux-sockets` mends it"), "{error}");
}

#[test]
fn two_hundred_and_fifty_six_folders_are_taken_and_the_rest_is_said() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let user = User::new();
    config("extra-socket-dirs = [\"/tmp/many-*\"]\n");
    for number in 0..258 {
        make_dir(&PathBuf::from(format!("/tmp/many-{number:03}")), user);
    }
    for number in [0, 255, 256, 257] {
        dead_at(&PathBuf::from(format!("/tmp/many-{number:03}/dead")), user);
    }
    let swept = run(user, &["sweep", "--json"]);
    let said = "/tmp/many-*: 258 of your folders match, and 256 are looked into: not the last 2";
    assert!(swept.code == Some(0) && swept.stderr.contains(said), "{}", swept.stderr);
    assert_eq!(removed(&swept.json()), ["/tmp/many-000/dead", "/tmp/many-255/dead"]);
    let status = run(user, &["status", "--json"]);
    assert_eq!((status.code, &status.json()["healthy"]), (Some(4), &false.into()), "{}", status.stdout);
    // What strangers have made takes nobody's place.
    for number in 0..300 {
        symlink("/", format!("/tmp/many--{number}")).unwrap();
    }
    fs::remove_dir_all("/tmp/many-000").unwrap();
    fs::remove_dir_all("/tmp/many-001").unwrap();
    let swept = run(user, &["sweep", "--json"]);
    let json = swept.json();
    assert_eq!(removed(&json), ["/tmp/many-256/dead", "/tmp/many-257/dead"], "{}", swept.stderr);
    assert_eq!((json["counts"]["strays"].as_u64(), swept.stderr.as_str()), (Some(300), ""), "{json:#}");
    assert_eq!(json["strays"].as_array().unwrap().len(), 16);
}

/// More names than folders are looked at.
#[test]
fn however_many_names_others_make_the_users_own_are_found() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let (user, mallory) = (User::new(), User::new());
    config("extra-socket-dirs = [\"/tmp/*-x\", \"/tmp/*/x\"]\n");
    make_dir(Path::new("/tmp/own-x"), user);
    dead_at(Path::new("/tmp/own-x/dead"), user);
    let script = "cd /tmp && seq 33000 | sed 's/$/-x/' | xargs mkdir && seq 33000 | xargs touch";
    let made = Command::new("setpriv")
        .args([&format!("--reuid={}", mallory.0), "--clear-groups", "sh", "-c", script])
        .status();
    assert!(made.unwrap().success());
    let status = run(user, &["status", "--json"]);
    assert_eq!((status.code, status.stderr.as_str()), (Some(1), ""), "{}", status.stdout);
    let swept = run(user, &["sweep", "--json"]);
    assert_eq!((swept.code, swept.stderr.as_str()), (Some(0), ""));
    assert_eq!(removed(&swept.json()), ["/tmp/own-x/dead"]);
    assert_eq!(swept.json()["counts"]["strays"], 33_000);
}

#[test]
fn a_watch_finds_new_matches_at_each_rescan() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let user = User::new();
    let path = config("extra-socket-dirs = [\"/tmp/*-sockets\"]\n[watch]\nrescan = \"1s\"\n");
    let mut command = janitor(user);
    command.arg("--config").arg(path).args(["-vv", "watch"]);
    let mut daemon = Daemon::begin(command, |_, room| {
        for (path, mode) in [(room.to_owned(), 0o755), (room.join("notify"), 0o777)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    });
    daemon.until_told("READY=1");
    let (kept, dir) = (folder("/tmp/kept", user), folder("/tmp/a-sockets", user));
    wait::until("the socket of a new match goes", || !dir.join("dead").exists());
    // And it is watched like any other, but never through a link.
    dead_at(&dir.join("next"), user);
    wait::until("the next goes", || !dir.join("next").exists());
    fs::rename(&dir, "/tmp/away").unwrap();
    symlink(&kept, &dir).unwrap();
    let looks = daemon.log().matches("it is a symbolic link").count();
    wait::until("the link is seen by two rescans", || {
        daemon.log().matches("it is a symbolic link").count() >= looks + 2
    });
    assert!(kept.join("dead").exists(), "{}", daemon.log());
    daemon.stop();
}

#[test]
fn a_bad_pattern_is_a_bad_configuration() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("config.toml");
    for (text, says) in [
        ("extra-socket-dirs = [\n  \"/tmp/[a\",\n]\n", ":2:3: extra-socket-dirs: \"/tmp/[a\" is not a glob"),
        ("extra-socket-dirs = [\"/tmp/**\"]\n", ":1:22: extra-socket-dirs: "),
        ("extra-socket-dirs = [\"*/x\"]\n", ":1:22: extra-socket-dirs: the path must be absolute"),
    ] {
        fs::write(&path, text).unwrap();
        let run = Run::of(bare().arg("check-config").arg(&path));
        assert_eq!(run.code, Some(78), "{}", run.stderr);
        assert!(run.stderr.contains(&format!("{}{says}", path.display())), "{}", run.stderr);
    }
    fs::write(&path, "extra-socket-dirs = [\"/tmp/*-[ab]?\"]\n").unwrap();
    assert_eq!(Run::of(bare().arg("check-config").arg(&path)).code, Some(0));
}
