//! Whether the kernel's table can be believed here, and what it says of one inode.
//!
//! The table is per network namespace. In another one (`PrivateNetwork=`, a container beside a
//! shared `/tmp`) every live server is absent from it, and it looks sane all the same.

use super::elsewhere::{self, BoundElsewhere, Standpoint};
use crate::judge::{Blindness, TableSays};
use crate::kernel::Mounts;
use crate::kernel::file_system::{self, FileSystem};
use crate::kernel::{Bound, FileFacts, FileId, KernelTable, TableError, TableSource};
use crate::kernel::{Network, Processes};
use rustix::fs::{Mode, OFlags};
use std::cell::OnceCell;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often, and how long apart, the table is asked again when it shows none of the running servers:
/// one that is just starting or ending is in `/proc` and not in the table.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// What was found of namespaces and running servers.
#[derive(Debug, Clone, Copy)]
enum Surroundings {
    NotLookedAt,
    /// `None`: nothing speaks against the table.
    Seen(Option<Blindness>),
}

/// The table with all that is needed to know how far to trust it.
#[derive(Debug)]
pub struct Witness {
    source: Result<TableSource, TableError>,
    table: KernelTable,
    failure: Option<Blindness>,
    surroundings: Surroundings,
    /// Whether our network namespace is proven to be the one that matters, also outside of a container.
    is_anchored: bool,
    /// As last looked at with the surroundings.
    elsewhere: Vec<BoundElsewhere>,
    /// As old as the table at most: what is asked for each of many sockets is read once.
    mounts: OnceCell<Arc<Mounts>>,
    user: u32,
}

impl Witness {
    /// Opens the way to the table, for sockets of `user`. Failing is remembered, not fatal: without
    /// a table everything is unknown.
    pub fn new(user: u32) -> Self {
        Self {
            source: TableSource::open(),
            table: KernelTable::default(),
            failure: Some(Blindness::TableTorn),
            surroundings: Surroundings::NotLookedAt,
            is_anchored: false,
            elsewhere: Vec::new(),
            mounts: OnceCell::new(),
            user,
        }
    }

    /// Reads the table anew. A way to it that could not be opened is tried again: a daemon may have begun
    /// while no descriptor was left.
    pub fn refresh(&mut self) {
        self.mounts.take();
        if self.source.is_err() {
            self.source = TableSource::open();
        }
        self.failure = match &mut self.source {
            Err(error) => Some(blindness(*error)),
            Ok(source) => match source.read(&mut self.table) {
                Err(error) => Some(blindness(error)),
                Ok(()) if !self.table.canary_shown() => Some(Blindness::CanaryMissing),
                Ok(()) => None,
            },
        };
    }

    /// Has the surroundings looked at again when they are needed next: a daemon outlives them.
    pub fn forget_surroundings(&mut self) {
        self.surroundings = Surroundings::NotLookedAt;
    }

    /// Whether the table could be read the last time.
    pub fn was_read(&self) -> bool {
        self.failure.is_none()
    }

    /// The table as last read; empty if it could not be.
    pub fn table(&self) -> &KernelTable {
        &self.table
    }

    /// Why the table must not be believed, if so. The surroundings (namespaces, running servers) are
    /// looked at once per witness, which may take `LOOKS` times `BETWEEN_LOOKS` and reads the table
    /// anew.
    pub fn blindness(&mut self) -> Option<Blindness> {
        if self.failure.is_none() && matches!(self.surroundings, Surroundings::NotLookedAt) {
            self.surroundings = Surroundings::Seen(self.look_around());
        }
        match (self.failure, self.surroundings) {
            (None, Surroundings::Seen(seen)) => seen,
            (failure, _) => failure,
        }
    }

    /// What the table says of a file in a directory. Of a directory that came from outside of a container, into a network
    /// namespace that is not proven to be the outside's, absence says nothing.
    pub fn says_in(&mut self, dir: &Path, id: FileId) -> TableSays {
        match self.says(id) {
            TableSays::Absent if !self.is_anchored && mounts_in(&self.mounts).is_from_outside(dir) => {
                TableSays::Blind(Blindness::FromOutside)
            }
            says => says,
        }
    }

    /// What the table says of a file.
    pub fn says(&mut self, id: FileId) -> TableSays {
        if let Some(listed) = self.lists(id) {
            return listed;
        }
        let blindness = self.blindness();
        // Looking around may have read the table anew.
        self.lists(id)
            .or_else(|| self.lists_elsewhere(id))
            .unwrap_or_else(|| blindness.map_or(TableSays::Absent, TableSays::Blind))
    }

    /// What speaks against the table although it shows our own canary.
    fn look_around(&mut self) -> Option<Blindness> {
        let processes = Processes::open().ok()?;
        let own = processes.own()?.network();
        let standpoint = elsewhere::standpoint(&processes, self.user, &own);
        let is_outer = match standpoint {
            Standpoint::Blind(why) => return Some(why),
            Standpoint::Outer | Standpoint::OuterHere => true,
            Standpoint::Unproven => false,
        };
        self.is_anchored = matches!(standpoint, Standpoint::Outer);
        let mut servers = Servers::look(&processes, &self.table, self.user, &own, is_outer);
        for _ in 1..LOOKS {
            if servers.missing.is_none() {
                break;
            }
            std::thread::sleep(BETWEEN_LOOKS);
            self.refresh();
            if self.failure.is_some() {
                return self.failure;
            }
            servers = Servers::look(&processes, &self.table, self.user, &own, is_outer);
        }
        self.elsewhere = servers.elsewhere;
        servers.missing.map(Blindness::ServersMissing)
    }

    /// What the table of another network namespace lists for a file, by the name that one of the user's servers there
    /// is bound to.
    fn lists_elsewhere(&self, id: FileId) -> Option<TableSays> {
        let mut bound = self.elsewhere.iter().filter(|bound| bound.file == id);
        bound.next().map(|bound| TableSays::Elsewhere { role: bound.role, pid: bound.pid })
    }

    /// What the table lists for a file, without judging the table.
    pub fn lists(&self, id: FileId) -> Option<TableSays> {
        listed(&self.table, self.user, id, &self.mounts)
    }
}

/// The mounts, read where they are asked for first.
fn mounts_in(cell: &OnceCell<Arc<Mounts>>) -> &Mounts {
    cell.get_or_init(Mounts::read)
}

fn blindness(error: TableError) -> Blindness {
    match error {
        TableError::Call(errno) => Blindness::TableUnreadable(errno),
        TableError::Refused(errno) => Blindness::TableRefused(errno),
        TableError::Unusable => Blindness::TableTorn,
    }
}

/// What a table lists for a file. Its inode numbers have 32 bits, and its devices are not those of stat(2) on btrfs and
/// some overlays. So an entry with our number and another device may be ours, unless it is shown to be another file: it is
/// a twin that nothing is said of. An entry with exactly our device outweighs all others.
fn listed(table: &KernelTable, user: u32, id: FileId, mounts: &OnceCell<Arc<Mounts>>) -> Option<TableSays> {
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
        let is_listening = bound.role == crate::kernel::Role::Listening;
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

/// The user's tmux servers, as witnesses.
struct Servers {
    /// The pid of one that should be in the table, if none of those is.
    missing: Option<i32>,
    /// What those of other network namespaces are bound to.
    elsewhere: Vec<BoundElsewhere>,
}

impl Servers {
    /// Looks at them all. Where our namespace is proven to be the `outer` one, those of other namespaces do not
    /// testify against our table: they cannot be in it.
    fn look(processes: &Processes, table: &KernelTable, user: u32, own: &Network, is_outer: bool) -> Self {
        let mut servers = Self { missing: None, elsewhere: Vec::new() };
        let mut is_one_shown = false;
        for server in processes.tmux_servers(user).into_iter().flatten() {
            let sockets = server.sockets();
            let is_elsewhere = own.is(&server.network()) == Some(false);
            if let (true, Ok(sockets)) = (is_elsewhere, &sockets) {
                servers.elsewhere.extend(elsewhere::bound_by(&server, sockets));
            }
            if is_elsewhere && is_outer {
                continue;
            }
            let is_shown = match sockets {
                // A pane's process before exec: it bears the name and holds no socket.
                Ok(sockets) if sockets.is_empty() => continue,
                Ok(sockets) => sockets.iter().any(|number| table.shows_socket(*number)),
                // It has ended, and nobody has waited for it: where process 1 of a container waits for none, for good.
                Err(_) if server.has_ended() => continue,
                // From a user namespace no process can be tied to its sockets. A foreign network
                // namespace shows nothing bound to a file at all; ours does when servers run.
                Err(_) => table.iter().next().is_some(),
            };
            is_one_shown |= is_shown;
            if !is_shown {
                servers.missing = Some(server.pid);
            }
        }
        if is_one_shown {
            servers.missing = None;
        }
        servers
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use crate::kernel::{Role, Row};
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

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
        let table = KernelTable::of([row((ino, dev), Role::Listening, USER, name)]);
        which(&table.iter().next().unwrap(), ours, &Mounts::of(b""))
    }

    fn ino(id: FileId) -> u32 {
        u32::try_from(id.ino).unwrap()
    }

    fn row(file: (u32, u32), role: Role, owner: u32, name: &Path) -> Row<'_> {
        Row {
            socket: 1,
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
            let table = KernelTable::of([row((7, 9), Role::Listening, USER, gone)]);
            listed(&table, USER, id, &OnceCell::from(Arc::new(Mounts::of(text.as_bytes()))))
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
        let ours = Row { socket: 2, ..row((7, id.kernel_dev()), Role::Bound, USER, gone) };
        let twin = row((7, 9), Role::Listening, USER, gone);
        for rows in [[ours, twin], [twin, ours]] {
            let says = listed(&KernelTable::of(rows), USER, id, &OnceCell::from(Arc::new(Mounts::of(b""))));
            assert_eq!(says, Some(TableSays::Listed { role: Role::Bound, socket: 2 }));
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
            listed(&table, USER, ours, &OnceCell::from(Arc::new(Mounts::of(b""))))
        };
        assert_eq!(says(USER, &theirs), None);
        assert_eq!(says(USER, &two.path("gone")), Some(TableSays::Twin));
        assert_eq!(says(0, &two.path("gone")), Some(TableSays::Twin), "root may have made it for him");
        // What a stranger made is no file of the user's, whatever its name.
        assert_eq!(says(USER + 1, &two.path("gone")), None);
        // With our device it is ours, whoever made it and whatever its name leads to now.
        let table = KernelTable::of([row(file, Role::Listening, USER + 1, &theirs)]);
        let listening = Some(TableSays::Listed { role: Role::Listening, socket: 1 });
        assert_eq!(listed(&table, USER, two.theirs, &OnceCell::from(Arc::new(Mounts::of(b"")))), listening);
    }

    #[test]
    fn who_listens_outweighs_who_is_only_bound() {
        let gone = Path::new("/nothing/here");
        let id = FileId { dev: rustix::fs::makedev(9, 9), ino: 7 };
        let file = (7, id.kernel_dev());
        let (bound, listening) = (row(file, Role::Bound, USER, gone), row(file, Role::Listening, USER, gone));
        let role = |rows: [Row<'static>; 2]| match listed(&KernelTable::of(rows), USER, id, &OnceCell::new())
        {
            Some(TableSays::Listed { role, .. }) => Some(role),
            _ => None,
        };
        assert_eq!(role([bound, listening]), Some(Role::Listening));
        assert_eq!(role([listening, bound]), Some(Role::Listening));
        assert_eq!(role([bound, bound]), Some(Role::Bound));
    }

    #[test]
    fn a_table_that_does_not_show_our_own_socket_is_not_believed() {
        let mut witness = Witness::new(rustix::process::getuid().as_raw());
        if let Ok(source) = &mut witness.source {
            source.lose_canary();
        }
        witness.refresh();
        assert!(!witness.was_read());
        assert_eq!(witness.blindness(), Some(Blindness::CanaryMissing));
    }

    #[test]
    fn before_it_is_read_the_table_says_nothing() {
        let user = rustix::process::getuid().as_raw();
        let mut witness = Witness::new(user);
        assert!(!witness.was_read());
        assert_eq!(witness.says(FileId { dev: 1, ino: 1 }), TableSays::Blind(Blindness::TableTorn));
        witness.refresh();
        assert!(witness.was_read());
    }
}
