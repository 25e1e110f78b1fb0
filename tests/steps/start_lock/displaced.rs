//! A lock whose place is taken when its client comes: it changes places, waits, or ends locked.

use super::{Client, Folder, at_rest, hold, ino, take, when};
use std::cell::{Cell, RefCell};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tmux_sockets::kernel::checkpoint::{self, Checkpoint};

/// Its place was taken by a lock that nobody has any more.
#[test]
fn it_changes_places_with_a_lock_that_nobody_has() {
    let folder = Folder::new();
    let mut rack = folder.rack();
    let guard = take(&mut rack, "x");
    let client = Client::opens(&{
        rack.release(guard);
        folder.rest()
    });
    let lock = folder.lock();
    when(Checkpoint::LockBack, move || {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(lock).unwrap();
    });
    drop(rack);
    client.has(&folder.lock());
    assert_eq!(folder.names(), ["x.lock"]);
}

/// A server whose own lock had no name has removed it, and somebody made his just then.
#[test]
fn it_does_not_change_places_with_a_lock_that_somebody_has_by_now() {
    let folder = Folder::new();
    let mut rack = folder.rack();
    let guard = take(&mut rack, "x");
    rack.release(guard);
    let client = Client::opens(&folder.rest());
    let (lock, holder) = (folder.lock(), Rc::new(RefCell::new(None)));
    let keep = Rc::clone(&holder);
    checkpoint::install(Some(Box::new(move |at| match at {
        Checkpoint::LockBack => drop(hold(&lock)),
        Checkpoint::LockSwap if keep.borrow().is_none() => {
            fs::remove_file(&lock).unwrap();
            *keep.borrow_mut() = Some(hold(&lock));
        }
        _ => {}
    })));
    drop(rack);
    checkpoint::install(None);
    let held = holder.borrow().as_ref().unwrap().metadata().unwrap();
    assert_eq!((ino(&folder.lock()), held.nlink()), (held.ino(), 1), "the lock of another has lost its name");
    drop(client.thread.join().unwrap());
    assert_eq!(folder.names(), ["x.lock"]);
}

/// A rack that goes while a client has its only lock open and somebody holds another one in its place.
fn kept_out(folder: &Folder, at_loose: impl FnOnce(File) + 'static) -> (JoinHandle<File>, u64, Duration) {
    let mut rack = folder.rack();
    let guard = take(&mut rack, "x");
    rack.release(guard);
    let client = Client::opens(&folder.rest());
    let lock = folder.lock();
    let (begun, mut at_loose, mut holder) = (Rc::new(Cell::new(Instant::now())), Some(at_loose), None);
    let clock = Rc::clone(&begun);
    checkpoint::install(Some(Box::new(move |at| match at {
        Checkpoint::LockBack => {
            holder = Some(hold(&lock));
            clock.set(Instant::now());
        }
        Checkpoint::LockLoose => {
            let waited = clock.get().elapsed();
            assert!(waited >= Duration::from_secs(2), "its client was let go after {waited:?}");
            clock.set(Instant::now());
            at_loose.take().unwrap()(holder.take().unwrap());
        }
        _ => {}
    })));
    drop(rack);
    let loose = begun.get().elapsed();
    checkpoint::install(None);
    (client.thread, client.ino, loose)
}

#[test]
fn it_returns_when_its_place_is_free_at_last() {
    let folder = Folder::new();
    let lock = folder.lock();
    let (client, ino_of_client, _) = kept_out(&folder, move |_holder| fs::remove_file(lock).unwrap());
    let file = client.join().unwrap();
    assert_eq!(file.metadata().unwrap().ino(), ino_of_client);
    assert_eq!(ino(&folder.lock()), ino_of_client);
    assert_eq!(folder.names(), ["x.lock"]);
}

/// Whoever has opened it waits for it in flock(2) before it is let go, so that it knows not to start.
#[test]
fn it_ends_locked_where_its_place_is_kept() {
    let folder = Folder::new();
    let holder = Rc::new(RefCell::new(None));
    let keep = Rc::clone(&holder);
    let (client, ino_of_client, loose) = kept_out(&folder, move |holder| *keep.borrow_mut() = Some(holder));
    assert!(loose >= Duration::from_secs(1), "it was kept locked for {loose:?} only");
    let file = client.join().unwrap();
    assert_eq!((file.metadata().unwrap().ino(), file.metadata().unwrap().nlink()), (ino_of_client, 0));
    assert_eq!(ino(&folder.lock()), holder.borrow().as_ref().unwrap().metadata().unwrap().ino());
    assert_eq!(folder.names(), ["x.lock"]);
}

#[test]
fn what_took_the_rest_name_of_one_that_ends_is_not_unlinked() {
    let folder = Folder::new();
    let (path, holder) = (folder.path.clone(), Rc::new(RefCell::new(None)));
    let keep = Rc::clone(&holder);
    let (client, _, _) = kept_out(&folder, move |holder| {
        *keep.borrow_mut() = Some(holder);
        let rest = at_rest(&path);
        fs::remove_file(&rest).unwrap();
        fs::write(&rest, "somebody's").unwrap();
    });
    drop(client.join().unwrap());
    assert_eq!(fs::read_to_string(folder.rest()).unwrap(), "somebody's");
}
