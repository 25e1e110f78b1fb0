//! Whoever opens the lock file keeps it, at whichever moment he comes.

use super::{Client, Folder, at_rest, client_at, ino, take, when};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use tmux_sockets::kernel::checkpoint::Checkpoint;
use tmux_sockets::tmux::start_lock::Released;

#[test]
fn who_opened_it_while_it_was_held_has_it() {
    let folder = Folder::new();
    let mut rack = folder.rack();
    let guard = take(&mut rack, "x");
    assert_eq!(fs::metadata(folder.lock()).unwrap().mode() & 0o7777, 0o600);
    let client = Client::opens(&folder.lock());
    // Not even for a moment is the name free for a third to make another lock.
    when(Checkpoint::LockOut, || panic!("the lock of a client that is known was moved"));
    assert_eq!(rack.release(guard), Released::Left);
    client.has(&folder.lock());
    drop(rack);
    assert_eq!(folder.names(), ["x.lock"]);
}

#[test]
fn who_opened_it_just_before_it_went_has_it() {
    let folder = Folder::new();
    let mut rack = folder.rack();
    let guard = take(&mut rack, "x");
    let lock = folder.lock();
    let client = client_at(Checkpoint::LockOut, move || lock);
    assert_eq!(rack.release(guard), Released::Left);
    client.take().unwrap().has(&folder.lock());
    drop(rack);
    assert_eq!(folder.names(), ["x.lock"]);
}

/// It had looked the name up before the rename and came to the lease after it: the rest name stands for that.
#[test]
fn who_was_on_the_way_when_it_went_has_it_before_it_locks_another_label() {
    let folder = Folder::new();
    let mut rack = folder.rack();
    let guard = take(&mut rack, "x");
    assert_eq!(rack.release(guard), Released::Gone);
    let client = Client::opens(&folder.rest());
    rack.rest();
    let other = take(&mut rack, "y");
    assert_ne!(ino(&folder.path.join("y.lock")), client.ino, "it locks another label");
    client.has(&folder.lock());
    rack.release(other);
    drop(rack);
    assert_eq!(folder.names(), ["x.lock"]);
}

#[test]
fn who_was_on_the_way_when_it_went_has_it_before_it_goes_for_good() {
    let folder = Folder::new();
    let mut rack = folder.rack();
    let guard = take(&mut rack, "x");
    rack.release(guard);
    let path = folder.path.clone();
    let client = client_at(Checkpoint::Rested, move || at_rest(&path));
    drop(rack);
    client.take().unwrap().has(&folder.lock());
    assert_eq!(folder.names(), ["x.lock"]);
}

/// Somebody looks into the folder and opens what is there.
#[test]
fn who_opened_one_that_never_locked_anything_hinders_nothing() {
    let folder = Folder::new();
    let mut rack = folder.rack();
    File::create(folder.lock()).unwrap().set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
    // The first lock that is made finds one in its place, which is taken as it is.
    let guard = take(&mut rack, "x");
    let client = Client::opens(&folder.rest());
    rack.release(guard);
    drop(rack);
    drop(client.thread.join().unwrap());
    assert_eq!(folder.names(), [""; 0]);
}
