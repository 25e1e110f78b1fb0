//! Mounts in the way, and file systems that a user serves and never answers.

use super::scene::{Hall, User, all_users, error_of, make_dir, removed, stray_of};
use crate::common::inodes;
use crate::common::janitor::entry;
use crate::common::wait::Clock;
use nix::mount::{MsFlags, mount};
use std::fs;
use std::path::Path;
use std::time::Duration;

const NOTHING: Option<&str> = None;

#[test]
fn mounts_in_the_way_are_seen_through() {
    let Some(_hall) = Hall::open() else { return };
    let victim = User::new().with_dir();
    victim.dead("kept-by-read-only");
    let [bound, read_only, full] = [(); 3].map(|()| User::new().with_dir());
    // Another's directory under a name that lies.
    mount(Some(&victim.dir()), &bound.dir(), NOTHING, MsFlags::MS_BIND, NOTHING).unwrap();
    read_only.dead("gone");
    mount(Some(&read_only.dir()), &read_only.dir(), NOTHING, MsFlags::MS_BIND, NOTHING).unwrap();
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(NOTHING, &read_only.dir(), NOTHING, flags, NOTHING).unwrap();
    // Over quota: no inode is left for a lock.
    let options = format!("mode=700,uid={},nr_inodes=3", full.0);
    mount(Some("tmpfs"), &full.dir(), Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).unwrap();
    inodes::use_up(&full.dir());
    for label in ["one", "two"] {
        full.dead(label);
    }

    let json = all_users("sweep", &["--json"]).json();
    assert_eq!(removed(&json), [victim.path("kept-by-read-only").to_str().unwrap()]);
    assert!(
        stray_of(&json, &bound.dir()).unwrap().contains(&format!("belongs to uid {}", victim.0)),
        "{json:#}"
    );
    for (label, part) in [("gone", "read-only"), ("one", "no inode is left"), ("two", "no inode is left")] {
        let entry = entry(&json, label);
        assert_eq!(entry["outcome"], "failed", "{json:#}");
        assert!(entry["error"].as_str().unwrap().contains(part), "{entry:#}");
    }
}

#[test]
fn a_file_system_that_never_answers_holds_nobody_up() {
    let Some(_hall) = Hall::open() else { return };
    let (victim, mallory) = (User::new().with_dir(), User::new().with_dir());
    victim.dead("gone");
    let Some(silence) = silence(&mallory.dir(), mallory) else { return };
    let clock = Clock::start();
    let json = all_users("sweep", &["--json"]).json();
    // Ends what still waits there, before anything else can fail.
    drop(silence);
    assert_eq!(removed(&json), [victim.path("gone").to_str().unwrap()]);
    assert!(error_of(&json, &mallory.dir()).is_some(), "{json:#}");
    clock.assert_within(Duration::from_secs(5));
}

#[test]
fn a_listener_with_a_name_like_the_victims_leads_nobody_astray() {
    let Some(_hall) = Hall::open() else { return };
    let (victim, mallory) = (User::new().with_dir(), User::new());
    victim.dead("gone");
    let hers = Path::new("/tmp/hers");
    let folder = hers.join(format!("tmux-{}", victim.0));
    make_dir(hers, mallory);
    fs::set_permissions(hers, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    make_dir(&folder, mallory);
    let _listener = mallory.attack("squat", folder.join("x").to_str().unwrap());
    let run = all_users("sweep", &["--json"]);
    assert_eq!(
        (run.code, run.json()["directories"].as_array().unwrap().len()),
        (Some(0), 1),
        "{}",
        run.stdout
    );

    victim.dead("gone");
    let Some(silence) = silence(hers, mallory) else { return };
    let clock = Clock::start();
    let json = all_users("sweep", &["--json"]).json();
    drop(silence);
    assert_eq!(removed(&json), [victim.path("gone").to_str().unwrap()]);
    clock.assert_within(Duration::from_secs(5));
}

/// A file system that a user serves and whose server never answers, open to all as with `allow_other`. It
/// ends when the result is dropped.
fn silence(place: &Path, user: User) -> Option<fs::File> {
    let Ok(device) = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse") else {
        crate::common::skip::skip("there is no /dev/fuse here");
        return None;
    };
    let (number, id) = (std::os::fd::AsRawFd::as_raw_fd(&device), user.0);
    let options = format!("fd={number},rootmode=40000,user_id={id},group_id={id},allow_other");
    mount(Some("silence"), place, Some("fuse"), MsFlags::empty(), Some(options.as_str())).unwrap();
    Some(device)
}
