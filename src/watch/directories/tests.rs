#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
use super::*;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::sync::Barrier;

/// The socket of a server is a handle on the folders above it: that they are removed, only those above them tell.
#[test]
fn a_directory_and_a_parent_that_are_held_are_seen_to_go_and_to_come_back() {
    let room = tempfile::tempdir().unwrap();
    let parent = room.path().join("tests");
    let path = parent.join("tmux-7");
    fs::DirBuilder::new().mode(0o700).recursive(true).create(&path).unwrap();
    let runtime = crate::watch::event_loop::runtime().unwrap();
    runtime.block_on(async {
        let mut directories = Directories::new(Uid::ours());
        directories.set(vec![Target::whole(path.clone())]);
        directories.settle(|_| true);
        let _held = [&path, &parent].map(|held| File::open(held).unwrap());
        for gone in [&path, &parent] {
            fs::remove_dir(gone).unwrap();
            assert_eq!(directories.hints(), [Hint::Directories], "{}", gone.display());
            directories.settle(|_| true);
        }
        fs::create_dir(&parent).unwrap();
        assert_eq!(directories.hints(), [Hint::Directories]);
        assert!(directories.settle(|_| true).has_parent_back);
    });
}

/// Whenever it is mended: before it is looked at, after it is watched, or between the two, where no event tells of it.
#[test]
fn a_directory_that_is_mended_while_it_is_looked_at_is_not_missed() {
    /// Of which some hit the moment between: on two processors about one in two hundred.
    const ROUNDS: usize = 1000;
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("tmux-7");
    fs::create_dir(&path).unwrap();
    let runtime = crate::watch::event_loop::runtime().unwrap();
    runtime.block_on(async {
        for round in 0..ROUNDS {
            fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
            let mut directories = Directories::new(Uid::ours());
            directories.set(vec![Target::whole(path.clone())]);
            let both = Barrier::new(2);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    both.wait();
                    // Later and later after the beginning, as far as a look takes.
                    (0..round % 100 * 20).for_each(|_| std::hint::spin_loop());
                    fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
                });
                both.wait();
                assert!(directories.settle(|_| false).unwatched.is_none());
            });
            while !directories.hints().is_empty() {
                directories.settle(|_| false);
            }
            assert_eq!(directories.count(), 1, "round {round}");
        }
    });
}
