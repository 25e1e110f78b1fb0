//! What the table lists for one file.

use crate::judge::TableSays;
use crate::kernel::Uid;
use crate::kernel::file_system::{self, FileSystem};
use crate::kernel::{Bound, FileFacts, FileId, KernelTable, Mounts, Role};
use rustix::fs::{Mode, OFlags};
use std::cell::OnceCell;
use std::os::fd::AsFd;
use std::sync::Arc;

/// The mounts, read where they are asked for first.
pub(super) fn mounts_in(cell: &OnceCell<Arc<Mounts>>) -> &Mounts {
    cell.get_or_init(Mounts::read)
}

/// What a table lists for a file. Its inode numbers have 32 bits, and its devices are not those of stat(2) on btrfs and
/// some overlays. So an entry with our number and another device may be ours, unless it is shown to be another file: it is
/// a twin that nothing is said of. An entry with exactly our device outweighs all others.
pub(super) fn listed(
    table: &KernelTable,
    user: Uid,
    id: FileId,
    mounts: &OnceCell<Arc<Mounts>>,
) -> Option<TableSays> {
    let mut best: Option<(bool, bool, TableSays)> = None;
    let mut is_twin = false;
    for bound in table.with_inode_of(id) {
        let is_exact = bound.dev == id.kernel_dev();
        // What a stranger made is no file of the user's, and its name is his: on a file system of his own
        // he could make whoever looks at it wait.
        let is_ours = is_exact
            || bound.may_be_of(user)
                && match which(&bound, id, mounts_in(mounts)) {
                    Which::Ours => true,
                    Which::Another => false,
                    Which::Unclear => {
                        is_twin = true;
                        false
                    }
                };
        let is_listening = bound.role == Role::Listening;
        let outweighs =
            best.is_none_or(|(exact, listening, _)| (is_exact, is_listening) > (exact, listening));
        if is_ours && outweighs {
            let says = TableSays::Listed { role: bound.role, socket: bound.socket };
            best = Some((is_exact, is_listening, says));
        }
    }
    best.map(|(_, _, says)| says).or(is_twin.then_some(TableSays::Twin))
}

/// Whose a table entry is that has the inode number of our file and another device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Ours,
    Another,
    Unclear,
}

/// By the devices alone where both are known to be true; else by where the entry's name leads.
fn which(bound: &Bound<'_>, ours: FileId, mounts: &Mounts) -> Which {
    if [bound.dev, ours.kernel_dev()].into_iter().all(|device| mounts.shows_true_numbers(device)) {
        return Which::Another;
    }
    // A name may lead to what never answers, and without an owner it may be anybody's.
    if bound.owner.is_none() || !bound.name.is_absolute() || !mounts.lets_look_at(bound.name) {
        return Which::Unclear;
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(bound.name, flags, Mode::empty()) else {
        return Which::Unclear;
    };
    let (Ok(facts), Ok(system)) = (FileFacts::of(file.as_fd()), file_system::of(file.as_fd())) else {
        return Which::Unclear;
    };
    let is_its_file = facts.is_socket()
        && facts.id.ino == u64::from(bound.ino)
        && facts.id.kernel_dev() == bound.dev
        && system == FileSystem::Local { stacked: false };
    match (facts.id == ours, is_its_file) {
        (true, _) => Which::Ours,
        (false, true) => Which::Another,
        (false, false) => Which::Unclear,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use crate::kernel::DumpedSocket;
    use crate::kernel::SocketNumber;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::net::UnixListener;
    use std::path::{Path, PathBuf};

    const USER: u32 = 1000;

    /// A folder with the sockets `ours` and `theirs`, and their numbers.
    struct Two {
        dir: tempfile::TempDir,
        ours: FileId,
        theirs: FileId,
    }

    impl Two {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let bind = |name: &str| {
                drop(UnixListener::bind(dir.path().join(name)).unwrap());
                FileFacts::at(rustix::fs::CWD, dir.path().join(name).as_os_str()).unwrap().id
            };
            let (ours, theirs) = (bind("ours"), bind("theirs"));
            Self { dir, ours, theirs }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        /// What an entry of that name, with the numbers of `theirs`, is, where no device is known.
        fn by_name(&self, name: &str) -> Which {
            by_name(&self.path(name), ino(self.theirs), self.theirs.kernel_dev(), self.ours)
        }
    }

    fn by_name(name: &Path, ino: u32, dev: u32, ours: FileId) -> Which {
        let table = KernelTable::of([row((ino, dev), Role::Listening, Uid::new(USER), name)]);
        which(&table.iter().next().unwrap(), ours, &Mounts::of(b""))
    }

    fn ino(id: FileId) -> u32 {
        u32::try_from(id.ino).unwrap()
    }

    fn row(file: (u32, u32), role: Role, owner: Uid, name: &Path) -> DumpedSocket<'_> {
        DumpedSocket {
            socket: SocketNumber::new(1),
            role,
            file: Some(file),
            owner: Some(owner),
            peer: None,
            name: name.as_os_str().as_bytes(),
        }
    }

    #[test]
    fn only_its_own_name_proves_an_entry_to_be_another_file() {
        let two = Two::new();
        assert_eq!(two.by_name("theirs"), Which::Another);
        assert_eq!(two.by_name("ours"), Which::Ours);
        let (number, device) = (ino(two.theirs), two.theirs.kernel_dev());
        let path = two.path("theirs");
        for (why, name, number, device) in [
            ("not a full path", Path::new("theirs"), number, device),
            ("no such file", &two.path("nothing"), number, device),
            ("another number", &path, number + 1, device),
            ("another device", &path, number, device + 1),
        ] {
            assert_eq!(by_name(name, number, device, two.ours), Which::Unclear, "{why}");
        }
        // A link leads to whatever somebody wants.
        std::os::unix::fs::symlink(&path, two.path("link")).unwrap();
        assert_eq!(two.by_name("link"), Which::Unclear);
        // No socket has the numbers of a regular file.
        std::fs::write(two.path("file"), "").unwrap();
        let file = FileFacts::at(rustix::fs::CWD, two.path("file").as_os_str()).unwrap().id;
        assert_eq!(by_name(&two.path("file"), ino(file), file.kernel_dev(), two.ours), Which::Unclear);
    }

    #[test]
    fn two_devices_that_are_known_to_be_true_are_two_files_and_no_name_is_asked() {
        let id = FileId { dev: rustix::fs::makedev(8, 1), ino: 7 };
        let gone = Path::new("/nothing/here");
        let with = |kinds: [&str; 2]| {
            let text = format!("1 0 8:1 / / rw - {} a rw\n2 1 0:9 / /x rw - {} b rw\n", kinds[0], kinds[1]);
            let table = KernelTable::of([row((7, 9), Role::Listening, Uid::new(USER), gone)]);
            listed(&table, Uid::new(USER), id, &OnceCell::from(Arc::new(Mounts::of(text.as_bytes()))))
        };
        assert_eq!(with(["ext4", "tmpfs"]), None);
        for kinds in [["ext4", "overlay"], ["overlay", "tmpfs"], ["btrfs", "tmpfs"], ["ext4", "btrfs"]] {
            assert_eq!(with(kinds), Some(TableSays::Twin), "{kinds:?}");
        }
    }

    #[test]
    fn an_entry_with_our_device_outweighs_a_twin() {
        let id = FileId { dev: rustix::fs::makedev(8, 1), ino: 7 };
        let gone = Path::new("/nothing/here");
        let ours = DumpedSocket {
            socket: SocketNumber::new(2),
            ..row((7, id.kernel_dev()), Role::Bound, Uid::new(USER), gone)
        };
        let twin = row((7, 9), Role::Listening, Uid::new(USER), gone);
        for rows in [[ours, twin], [twin, ours]] {
            let says = listed(
                &KernelTable::of(rows),
                Uid::new(USER),
                id,
                &OnceCell::from(Arc::new(Mounts::of(b""))),
            );
            assert_eq!(says, Some(TableSays::Listed { role: Role::Bound, socket: SocketNumber::new(2) }));
        }
    }

    #[test]
    fn an_entry_with_our_number_is_a_twin_until_it_is_proven_another() {
        let two = Two::new();
        let theirs = two.path("theirs");
        // A file of ours whose number is theirs, on another device.
        let ours = FileId { dev: rustix::fs::makedev(9, 9), ino: two.theirs.ino };
        let file = (ino(two.theirs), two.theirs.kernel_dev());
        let says = |owner, name: &Path| {
            let table = KernelTable::of([row(file, Role::Listening, owner, name)]);
            listed(&table, Uid::new(USER), ours, &OnceCell::from(Arc::new(Mounts::of(b""))))
        };
        assert_eq!(says(Uid::new(USER), &theirs), None);
        assert_eq!(says(Uid::new(USER), &two.path("gone")), Some(TableSays::Twin));
        assert_eq!(
            says(Uid::ROOT, &two.path("gone")),
            Some(TableSays::Twin),
            "root may have made it for him"
        );
        // What a stranger made is no file of the user's, whatever its name.
        assert_eq!(says(Uid::new(USER + 1), &two.path("gone")), None);
        // With our device it is ours, whoever made it and whatever its name leads to now.
        let table = KernelTable::of([row(file, Role::Listening, Uid::new(USER + 1), &theirs)]);
        let listening = Some(TableSays::Listed { role: Role::Listening, socket: SocketNumber::new(1) });
        assert_eq!(
            listed(&table, Uid::new(USER), two.theirs, &OnceCell::from(Arc::new(Mounts::of(b"")))),
            listening
        );
    }

    #[test]
    fn who_listens_outweighs_who_is_only_bound() {
        let gone = Path::new("/nothing/here");
        let id = FileId { dev: rustix::fs::makedev(9, 9), ino: 7 };
        let file = (7, id.kernel_dev());
        let (bound, listening) =
            (row(file, Role::Bound, Uid::new(USER), gone), row(file, Role::Listening, Uid::new(USER), gone));
        let role = |rows: [DumpedSocket<'static>; 2]| match listed(
            &KernelTable::of(rows),
            Uid::new(USER),
            id,
            &OnceCell::new(),
        ) {
            Some(TableSays::Listed { role, .. }) => Some(role),
            _ => None,
        };
        assert_eq!(role([bound, listening]), Some(Role::Listening));
        assert_eq!(role([listening, bound]), Some(Role::Listening));
        assert_eq!(role([bound, bound]), Some(Role::Bound));
    }
}
