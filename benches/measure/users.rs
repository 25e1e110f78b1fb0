//! What a sweep for all users costs, in a /tmp of its own. Needs root.

use super::scene::{PROGRAM, in_turn};
use super::section::{Scale, Section};
use super::sweep::LOOP;
use rustix::fs::{Gid, Uid, chown};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Dead sockets of each user.
const EACH: usize = 5;
const FIRST: u32 = 64_000;

pub(crate) fn measure(scale: Scale) -> Section {
    let mut section = Section::versus("users", "What a sweep for all users takes");
    let (users, runs) = (scale.of(100, 3), scale.of(3, 1));
    let child = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--users", &users.to_string(), &runs.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8(child.stdout).unwrap();
    let times: Vec<Duration> =
        text.split_whitespace().map(|time| Duration::from_nanos(time.parse().unwrap())).collect();
    if let [ours, theirs] = times[..] {
        let work = format!("{users} users with {EACH} dead sockets each: `sweep --all-users`");
        section.compare(&work, "the loop, as each user in turn (setpriv)", [ours, theirs], "side by side");
    } else {
        section.note("not measured: it needs root, who may make a mount namespace".to_owned());
    }
    section
}

/// The part of the child in its own mount namespace; whether this process is it.
pub(crate) fn played_a_part() -> bool {
    let mut arguments = std::env::args().skip(1);
    let is_it = arguments.next().is_some_and(|part| part == "--users");
    if is_it {
        let mut number = || arguments.next().unwrap().parse().unwrap();
        in_a_private_tmp(number(), number());
    }
    is_it
}

/// Prints both times.
fn in_a_private_tmp(users: u32, runs: u32) {
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/tmp"]).status();
    assert!(mounted.unwrap().success());
    let all = || (FIRST..FIRST + users).map(|uid| (uid, PathBuf::from(format!("/tmp/tmux-{uid}"))));
    let fresh = || {
        for (uid, dir) in all() {
            let owned =
                |path: &PathBuf| chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid))).unwrap();
            if !dir.exists() {
                fs::create_dir(&dir).unwrap();
                fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
                owned(&dir);
            }
            for number in 0..EACH {
                let path = dir.join(format!("dead-{number}"));
                let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
                rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
                owned(&path);
            }
        }
    };
    let ours = || {
        let mut command = Command::new(PROGRAM);
        command.args(["-q", "sweep", "--all-users"]).env("HOME", "/nonexistent");
        command
    };
    let script = format!(
        "for d in /tmp/tmux-*; do u=${{d##*-}}; setpriv --reuid=$u --regid=$u --clear-groups bash -c '{LOOP}' bash $d; done"
    );
    let theirs = || {
        let mut command = Command::new("bash");
        command.args(["-c", &script]).env_remove("TMUX");
        command
    };
    let left = || all().flat_map(|(_, dir)| fs::read_dir(dir).unwrap()).count();
    // The scene is set anew before each: what is left then was not removed.
    let times = in_turn(
        runs as usize,
        || {
            assert!(!all().next().unwrap().1.exists() || left() == 0, "all were swept");
            fresh();
        },
        ours,
        theirs,
    )
    .wall;
    println!("{} {}", times[0].as_nanos(), times[1].as_nanos());
}
