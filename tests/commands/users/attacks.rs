//! What users do to each other: programs that a test starts as one of them, until it kills them.
//!
//! They are tests that are never run by themselves: this very program is started again for one of them.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

/// What is attacked.
fn target() -> String {
    std::env::var("TARGET").expect("it is started by a test, not by hand")
}

fn ready() {
    fs::write(std::env::var_os("READY").expect("the test waits for it"), "").expect("/tmp is open to all");
}

/// Swaps names in /tmp for something else, as fast as rename(2) goes. TARGET: the victim's directory.
///
/// Its own `tmux-UID` is in turn a real directory, a link to the victim's directory, a link to `/`; and
/// so is the name of a user who has no directory yet.
#[test]
#[ignore = "an attacker, started by a test"]
fn swap() {
    let me = rustix::process::getuid().as_raw();
    let own = PathBuf::from(format!("/tmp/tmux-{me}"));
    let others = PathBuf::from(format!("/tmp/tmux-{}", me + 1));
    let make = |name: &str| {
        let path = PathBuf::from(format!("/tmp/swap-{me}-{name}"));
        let _ = fs::remove_file(&path);
        path
    };
    let (victim, root, real) = (make("victim"), make("root"), make("real"));
    symlink(target(), &victim).expect("a link can be made");
    symlink("/", &root).expect("a link can be made");
    fs::DirBuilder::new().mode(0o700).create(&real).expect("a directory can be made");
    fs::DirBuilder::new().mode(0o700).create(&others).expect("nobody has it");
    ready();
    let exchange = |one: &Path, other: &Path| {
        let here = rustix::fs::CWD;
        rustix::fs::renameat_with(here, one, here, other, rustix::fs::RenameFlags::EXCHANGE)
            .expect("all of them are ours");
    };
    loop {
        for stand_in in [&victim, &root, &real] {
            exchange(&own, stand_in);
            exchange(&others, &own);
            exchange(&own, &others);
            exchange(&others, stand_in);
            exchange(&own, stand_in);
            exchange(&others, stand_in);
        }
    }
}

/// Listens on TARGET: a name like a victim's, in a folder of her own.
#[test]
#[ignore = "an attacker, started by a test"]
fn squat() {
    let _listener = std::os::unix::net::UnixListener::bind(target()).expect("the folder is ours");
    ready();
    loop {
        std::thread::park();
    }
}

/// Stops every process of this user, again and again.
#[test]
#[ignore = "an attacker, started by a test"]
fn stop() {
    signal_all("STOP");
}

/// Kills every process of this user, again and again.
#[test]
#[ignore = "an attacker, started by a test"]
fn kill() {
    signal_all("KILL");
}

fn signal_all(name: &str) {
    ready();
    let signal: nix::sys::signal::Signal = format!("SIG{name}").parse().expect("a signal");
    // kill(2): -1 is everybody whom we may signal, but ourselves.
    loop {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(-1), signal);
    }
}

/// Takes the descriptors away from every worker of this user, and their memory.
#[test]
#[ignore = "an attacker, started by a test"]
fn starve() {
    let me = rustix::process::getuid().as_raw();
    let own = std::process::id().to_string();
    ready();
    loop {
        for entry in fs::read_dir("/proc").expect("proc is mounted").filter_map(Result::ok) {
            let name = entry.file_name().into_string().unwrap_or_default();
            if name == own || !name.starts_with(|c: char| c.is_ascii_digit()) {
                continue;
            }
            let uid = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            if !uid.contains(&format!("\nUid:\t{me}\t")) {
                continue;
            }
            let Ok(pid) = name.parse::<i32>() else { continue };
            let pid = rustix::process::Pid::from_raw(pid);
            for resource in [rustix::process::Resource::Nofile, rustix::process::Resource::As] {
                let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
                let _ = rustix::process::prlimit(pid, resource, none);
            }
        }
    }
}
