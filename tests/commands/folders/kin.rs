//! The folders of what was made from tmux, `tmate-UID` and `ztmux-UID`, and the one that openSUSE's tmux has.

use super::{install, janitor, run};
use crate::common::arena::Server;
use crate::common::janitor::{Run, fate, find};
use crate::common::skip::skip;
use crate::common::wait;
use crate::users::scene::{Hall, User, all_users, dead_at, error_of, make_dir, removed, stray_of};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const KIN: [&str; 2] = ["tmate", "ztmux"];

/// Every place that a user's socket can be in without a configuration: in `/tmp`, `$TMUX_TMPDIR` and `/run/user`.
#[track_caller]
fn places(user: User) -> Vec<PathBuf> {
    let runtime = Path::new("/run/user").join(user.0.to_string());
    let own = PathBuf::from(format!("/tmp/own-{}", user.0));
    make_dir(&runtime, user);
    make_dir(&own, user);
    let parents = [PathBuf::from("/tmp"), runtime, own];
    let dirs = parents.iter().flat_map(|parent| KIN.map(|name| parent.join(format!("{name}-{}", user.0))));
    let dirs: Vec<PathBuf> = dirs.collect();
    for dir in &dirs {
        make_dir(dir, user);
    }
    dirs
}

/// A `/run` of this test's own, with what openSUSE's tmux brings; on the file system of all tests.
#[track_caller]
fn with_opensuses() {
    let nothing: Option<&str> = None;
    fs::create_dir("/tmp/run").unwrap();
    nix::mount::mount(Some("/tmp/run"), "/run", nothing, nix::mount::MsFlags::MS_BIND, nothing).unwrap();
    for (dir, mode) in [("/run/user", 0o755), ("/run/tmux", 0o1777)] {
        fs::create_dir(dir).unwrap();
        fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn they_are_swept_as_tmuxs_own() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let user = User::new();
    let mut dead: Vec<PathBuf> = places(user).iter().map(|dir| dir.join("Xy12Ab")).collect();
    for path in &dead {
        dead_at(path, user);
    }
    let own = format!("/tmp/own-{}", user.0);
    let swept = Run::of(janitor(user).args(["sweep", "--json"]).env("TMUX_TMPDIR", own));
    assert_eq!((swept.code, swept.stderr.as_str()), (Some(0), ""));
    dead.sort();
    assert_eq!(removed(&swept.json()).iter().map(PathBuf::from).collect::<Vec<_>>(), dead);
}

#[test]
fn tmuxs_own_rule_holds_for_them() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let (user, other) = (User::new(), User::new());
    let [linked, theirs, open] = [(0, "tmate"), (0, "ztmux"), (1, "tmate")]
        .map(|(more, name)| format!("/tmp/{name}-{}", user.0 + more));
    let real = PathBuf::from(format!("/tmp/real-{}", user.0));
    make_dir(&real, user);
    dead_at(&real.join("dead"), user);
    symlink(&real, &linked).unwrap();
    make_dir(Path::new(&theirs), other);
    // Nothing of the user's is in the way there, and tmux does not look: whoever made them has no say in the exit code.
    for command in ["sweep", "status"] {
        let run = run(user, &[command, "--json"]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{command}: {}", run.stdout);
    }
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(run(user, &["status"]).code, Some(0));
    assert_eq!(run(user, &["--dir", &theirs, "sweep"]).code, Some(1), "what is named is told of");
    let open_to = User(user.0 + 1);
    make_dir(Path::new(&open), open_to);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o705)).unwrap();
    let json = run(open_to, &["sweep", "--json"]).json();
    assert!(error_of(&json, Path::new(&open)).unwrap().contains("open to others"), "{json:#}");
    assert!(real.join("dead").exists());
}

#[test]
fn whoever_has_nothing_but_a_folder_of_tmates_is_one_of_all_users() {
    let Some(_hall) = Hall::open() else { return };
    let (first, second, third, liar) = (User::new(), User::new(), User::new(), User::new());
    let dirs = [format!("/tmp/tmate-{}", first.0), format!("/tmp/ztmux-{}", second.0)].map(PathBuf::from);
    with_opensuses();
    let compiled_in = Path::new("/run/tmux").join(third.0.to_string());
    for (dir, user) in dirs.iter().chain([&compiled_in]).zip([first, second, third]) {
        make_dir(dir, user);
        dead_at(&dir.join("dead"), user);
    }
    let [lie, other] = ["tmate", "ztmux"].map(|name| PathBuf::from(format!("/tmp/{name}-{}", third.0)));
    make_dir(&lie, liar);
    make_dir(&other, liar);
    let run = all_users("sweep", &["--json"]);
    let json = run.json();
    assert!(dirs.iter().chain([&compiled_in]).all(|dir| !dir.join("dead").exists()), "{json:#}");
    assert!(stray_of(&json, &lie).is_some() && stray_of(&json, &other).is_some(), "{json:#}");
    assert_eq!(run.code, Some(0), "{json:#}");
}

#[test]
fn the_folder_of_opensuses_tmux_is_swept_and_must_be_the_users_alone() {
    let Some(_hall) = Hall::open() else { return };
    install();
    let user = User::new();
    with_opensuses();
    let dir = Path::new("/run/tmux").join(user.0.to_string());
    make_dir(&dir, user);
    dead_at(&dir.join("dead"), user);
    for (mode, says) in [(0o770, "`chmod g-w /run/tmux/"), (0o755, "open to others")] {
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
        let run = run(user, &["sweep", "--json"]);
        let json = run.json();
        assert!(error_of(&json, &dir).is_some_and(|error| error.contains(says)), "{json:#}");
        assert_eq!(run.code, Some(1));
    }
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    let run = run(user, &["sweep", "--json"]);
    assert_eq!((run.code, removed(&run.json()).len()), (Some(0), 1), "{}", run.stdout);
}

/// The real one. The server that it would share its session by is nobody.
#[test]
fn a_session_of_tmate_is_live_until_it_is_killed() {
    let Some(_hall) = Hall::open() else { return };
    if Command::new("tmate").arg("-V").output().is_err() {
        return skip("needs tmate");
    }
    install();
    let user = User::new();
    let config = format!("/tmp/tmate-{}.conf", user.0);
    fs::write(&config, "set -g tmate-server-host 127.0.0.1\nset -g tmate-server-port 1\n").unwrap();
    let mut command = user.command("tmate".as_ref());
    command.args(["-f", &config, "-F", "new-session", "-d", "sleep 3600"]).env("TERM", "xterm");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let server = Server::of(i32::try_from(child.id()).unwrap());
    let dir = PathBuf::from(format!("/tmp/tmate-{}", user.0));
    let socket = || {
        fs::read_dir(&dir)
            .ok()?
            .flatten()
            .map(|entry| entry.file_name())
            .find(|name| !name.to_string_lossy().ends_with(".lock"))
    };
    wait::until("tmate listens", || {
        let listed = fs::read_to_string("/proc/net/unix").unwrap();
        socket().is_some_and(|name| listed.contains(&format!("{}/{}", dir.display(), name.to_string_lossy())))
            && socket().is_some_and(|name| !dir.join(format!("{}.lock", name.to_string_lossy())).exists())
    });
    let label = socket().unwrap().into_string().unwrap();
    let listed = run(user, &["list", "--json"]).json();
    assert_eq!(fate(&listed, &label), ("live", "kept"), "{listed:#}");
    let swept = run(user, &["sweep", "--json"]).json();
    assert_eq!(swept["counts"]["live"], 1, "{swept:#}");
    assert!(find(&swept, &label).is_none() && dir.join(&label).exists(), "{swept:#}");
    server.signal(rustix::process::Signal::KILL);
    child.wait().unwrap();
    wait::until_closed(&dir.join(&label));
    let swept = run(user, &["sweep", "--json"]).json();
    assert_eq!(fate(&swept, &label), ("dead", "removed"), "{swept:#}");
}
