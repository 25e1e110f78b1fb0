//! The mounts of a process, as `/proc/PID/mountinfo` lists them (proc(5)): what lies where, and whether looking at
//! a path may have to wait for somebody.
//!
//! Nothing here touches a path on a mount before its type is known: a network or FUSE mount whose server does not answer
//! holds up whoever looks at it, for ever, and in the kernel, where no signal helps.

mod mountinfo;

use super::lack::heeded_io;
use mountinfo::parse;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::CWD;
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use mountinfo::Mount;

/// The types of local mounts that are laid over nothing else and have no subvolumes with devices of their own.
const TRUE_NUMBERS: [&str; 9] =
    ["ext2", "ext3", "ext4", "xfs", "f2fs", "tmpfs", "ramfs", "devtmpfs", "rootfs"];

/// How many links one path may go through (`path_resolution(7)`).
const MOST_LINKS: u32 = 40;

/// Where mounts are that have answered: a process that looks once may go there itself.
static TRUSTED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Has the mount at `point` count as one that answers, in this process, from the next [`Mounts::read`] on.
pub fn trust(point: PathBuf) {
    if let Ok(mut trusted) = TRUSTED.lock() {
        trusted.push(point);
    }
    *KNOWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Our own mounts as they were last read, and what tells whether they have changed since: `mountinfo` itself, by poll(2)
/// (`proc_pid_mountinfo(5)`, `proc_pid_mounts(5)`).
static KNOWN: Mutex<Option<(File, Arc<Mounts>)>> = Mutex::new(None);

/// Whether nothing was mounted, moved or unmounted since the file was opened or last asked.
fn is_unchanged(file: &File) -> bool {
    let mut fds = [PollFd::new(file, PollFlags::PRI)];
    // mountinfo is always readable: only POLLPRI tells of a change.
    matches!(rustix::event::poll(&mut fds, Some(&Timespec::default())), Ok(0))
}

/// The mounts of a process, those that its root directory lets it see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounts {
    all: Vec<Mount>,
    /// The mount at `/`.
    top: Option<usize>,
    /// For each mount that has some, those that are mounted on it.
    children: HashMap<u64, Vec<usize>>,
    /// None of them has to be waited for.
    are_near: bool,
}

/// What a path comes to without a look at anything that may not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Walk {
    /// It can be looked at: itself, links resolved.
    Near(PathBuf),
    /// From here on it lies on a mount that may not answer: what it comes to as far as that is known.
    Far(PathBuf),
    /// It cannot be resolved.
    Broken(Errno),
}

impl Mounts {
    /// Our own as they are now; none where there is no `/proc`.
    pub fn read() -> Arc<Self> {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((file, mounts)) = &*known {
            if is_unchanged(file) {
                return Arc::clone(mounts);
            }
        }
        let mut text = Vec::new();
        // Opened before it is read: what changes meanwhile is a change since.
        let file = heeded_io(File::open("/proc/self/mountinfo"));
        let read = file.and_then(|mut file| file.read_to_end(&mut text).map(|_| file));
        let mounts = Arc::new(Self::read_from(&text));
        *known = read.ok().map(|file| (file, Arc::clone(&mounts)));
        mounts
    }

    fn read_from(text: &[u8]) -> Self {
        let mut mounts = Self::of(text);
        if let Ok(trusted) = TRUSTED.lock() {
            for mount in &mut mounts.all {
                mount.is_near |= trusted.contains(&mount.point);
            }
        }
        mounts.are_near = mounts.all.iter().all(|mount| mount.is_near);
        mounts
    }

    /// Those in the text of a `mountinfo`.
    pub fn of(text: &[u8]) -> Self {
        let mounts: Vec<Mount> = text.split(|byte| *byte == b'\n').filter_map(parse).collect();
        let known = |id| mounts.iter().any(|mount| mount.id == id);
        let top = mounts.iter().position(|mount| mount.point == Path::new("/") && !known(mount.parent));
        let mut children: HashMap<u64, Vec<usize>> = HashMap::new();
        for (index, mount) in mounts.iter().enumerate() {
            if Some(index) != top {
                children.entry(mount.parent).or_default().push(index);
            }
        }
        let are_near = mounts.iter().all(|mount| mount.is_near);
        Self { all: mounts, top, children, are_near }
    }

    /// The mount that an absolute path lies on, by its text: links must be resolved. The way of the kernel: from `/`
    /// down, over whatever is mounted on the way.
    pub fn covering(&self, path: &Path) -> Option<&Mount> {
        let mut at = self.top?;
        // No mount is passed twice.
        for _ in 0..self.all.len() {
            let here = &self.all[at];
            let on_the_way = self.children.get(&here.id).into_iter().flatten().filter(|child| {
                let point = &self.all[**child].point;
                path.starts_with(point) && point.starts_with(&here.point)
            });
            match on_the_way.min_by_key(|child| self.all[**child].point.as_os_str().len()) {
                Some(child) => at = *child,
                None => break,
            }
        }
        self.all.get(at)
    }

    /// What a resolved path is on its file system: two processes see the same there when this is equal.
    pub fn place(&self, path: &Path) -> Option<(u32, PathBuf)> {
        let mount = self.covering(path)?;
        let rest = path.strip_prefix(&mount.point).ok()?;
        Some((mount.device, mount.root.join(rest)))
    }

    /// Whether a device, as the kernel's socket table writes it, is that of a mount on which stat(2) shows the same device
    /// and inode numbers as that table.
    pub fn shows_true_numbers(&self, device: u32) -> bool {
        let mut there = self.all.iter().filter(|mount| mount.device == device).peekable();
        there.peek().is_some() && there.all(|mount| TRUE_NUMBERS.contains(&mount.kind.as_str()))
    }

    /// Whether a path lies on a mount that is a folder of some file system which is not that of `/`: a volume of a
    /// container, which others may use outside of it. A whole file system of its own is not told from one that is shared.
    pub fn is_from_outside(&self, path: &Path) -> bool {
        let (Some(mount), Some(top)) = (self.covering(path), self.covering(Path::new("/"))) else {
            return false;
        };
        let is_part_of_ours = mount.device == top.device && mount.root.starts_with(&top.root);
        mount.root != Path::new("/") && !is_part_of_ours
    }

    /// Whether an absolute path may be looked at without waiting for anybody. A path that is covered by no mount that is
    /// known (no `/proc`) may: nothing is known that speaks against it.
    pub fn is_near(&self, path: &Path) -> bool {
        self.are_near || self.covering(path).is_none_or(|mount| mount.is_near)
    }

    /// Where mounts are that may have to be waited for. What is mounted below `/proc` is on nobody's way.
    pub fn has_far(&self) -> bool {
        !self.are_near && self.all.iter().any(|mount| !mount.is_near && !mount.point.starts_with("/proc"))
    }

    /// Whether a path can be looked at, links followed, without waiting for anybody.
    pub fn lets_look_at(&self, path: &Path) -> bool {
        self.are_near || !matches!(self.walk(path), Walk::Far(_))
    }

    /// Resolves a path as realpath(3) does, and looks at each step before it is made whether it may have to wait.
    /// What does not exist is kept as it is written.
    pub fn walk(&self, path: &Path) -> Walk {
        let Ok(absolute) = std::path::absolute(path) else {
            return Walk::Broken(Errno::NOENT);
        };
        let mut done = PathBuf::from("/");
        let mut left: Vec<OsString> = parts(&absolute);
        let mut links = 0;
        if !self.is_near(&done) {
            return Walk::Far(absolute);
        }
        while let Some(part) = left.pop() {
            if part == ".." {
                done.pop();
                continue;
            }
            let next = done.join(&part);
            if !self.is_near(&next) {
                return Walk::Far(left.iter().rev().fold(next, |path, part| path.join(part)));
            }
            match rustix::fs::readlinkat(CWD, &next, Vec::new()) {
                Ok(target) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Walk::Broken(Errno::LOOP);
                    }
                    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                    if target.is_absolute() {
                        done = PathBuf::from("/");
                    }
                    left.extend(parts(&target));
                }
                // No link, or nothing is there.
                Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) => done = next,
                Err(errno) => return Walk::Broken(errno),
            }
        }
        Walk::Near(done)
    }
}

/// A path with its links resolved, as realpath(3) does. `None`: it is not there, or may not answer.
pub fn realpath(path: &Path) -> Option<PathBuf> {
    match Mounts::read().walk(path) {
        Walk::Near(path) => path.canonicalize().ok(),
        Walk::Far(_) | Walk::Broken(_) => None,
    }
}

/// The steps of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let step = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    const TABLE: &[u8] = b"20 1 8:1 / / rw shared:1 - ext4 /dev/a rw\n\
        21 20 0:5 / /tmp rw - tmpfs b rw\n\
        22 21 8:1 /tmp/systemd-private-x/tmp /tmp rw - ext4 a rw\n\
        23 20 0:6 / /a\\040b rw - nfs4 c rw\n\
        24 20 0:7 / /srv/deep rw - fuse.bindfs d rw\n\
        25 20 0:8 / /srv rw master:3 - tmpfs e rw\n\
        garbage";

    #[test]
    fn a_path_lies_where_the_kernel_would_come_to() {
        let mounts = Mounts::of(TABLE);
        let id = |path: &str| mounts.covering(Path::new(path)).unwrap().id;
        assert_eq!(id("/"), 20);
        assert_eq!(id("/tmp/x"), 22, "the later one hides the earlier one");
        assert_eq!(id("/tmpx"), 20);
        assert_eq!(id("/a b/c"), 23);
        assert_eq!(id("/srv/deep/x"), 25, "what was mounted over hides what lies deeper");
        assert!(mounts.is_near(Path::new("/srv/deep")) && !mounts.is_near(Path::new("/a b")));
        assert!(Mounts::of(b"").is_near(Path::new("/x")));
    }

    #[test]
    fn what_others_serve_may_not_answer() {
        for kind in [
            "fuse",
            "fuseblk",
            "fuse.sshfs",
            "virtiofs",
            "nfs",
            "nfs4",
            "9p",
            "cifs",
            "smb3",
            "ceph",
            "autofs",
            "new",
        ] {
            let mounts = Mounts::of(format!("1 0 0:9 / / rw - {kind} a rw\n").as_bytes());
            assert!(!mounts.is_near(Path::new("/tmp/x")), "{kind}");
        }
    }

    #[test]
    fn one_place_has_one_name_whatever_shows_it() {
        let bound = Mounts::of(b"1 0 8:1 / / rw - ext4 a rw\n2 1 8:1 /tmp /tmp rw - ext4 a rw\n");
        let plain = Mounts::of(b"9 0 8:1 / / rw - ext4 a rw\n");
        let (x, other) = (Path::new("/tmp/x"), Mounts::of(TABLE));
        assert_eq!(bound.place(x), plain.place(x));
        assert_ne!(other.place(x), plain.place(x));
    }

    #[test]
    fn a_volume_is_from_outside_and_a_folder_of_our_own_is_not() {
        let outside = |text: &str| Mounts::of(text.as_bytes()).is_from_outside(Path::new("/tmp/tmux-0"));
        let docker = "1 0 0:40 / / rw - overlay o rw\n";
        assert!(outside(&format!("{docker}2 1 8:1 /var/lib/volumes/x /tmp rw - ext4 a rw\n")));
        assert!(!outside(docker));
        assert!(!outside(&format!("{docker}2 1 0:50 / /tmp rw - tmpfs t rw\n")));
        // ReadWritePaths=/tmp in a container whose root is itself a folder.
        let lxc = "1 0 8:1 /lxc/rootfs / rw - ext4 a rw\n2 1 8:1 ";
        assert!(!outside(&format!("{lxc}/lxc/rootfs/tmp /tmp rw - ext4 a rw\n")));
        assert!(outside(&format!("{lxc}/tmp /tmp rw - ext4 a rw\n")));
    }

    #[test]
    fn links_are_followed_as_far_as_nobody_has_to_be_waited_for() {
        let room = tempfile::tempdir().unwrap();
        let room = room.path().canonicalize().unwrap();
        std::fs::create_dir(room.join("real")).unwrap();
        std::os::unix::fs::symlink("real/../real", room.join("link")).unwrap();
        std::os::unix::fs::symlink(room.join("far/deeper"), room.join("away")).unwrap();
        std::os::unix::fs::symlink("loop", room.join("loop")).unwrap();
        let far = format!("1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / {}/far rw - nfs a rw\n", room.display());
        let mounts = Mounts::of(far.as_bytes());
        let walk = |name: &str| mounts.walk(&room.join(name));
        assert_eq!(walk("link/x"), Walk::Near(room.join("real/x")));
        assert_eq!(walk("away/x"), Walk::Far(room.join("far/deeper/x")));
        assert_eq!(walk("far"), Walk::Far(room.join("far")));
        assert_eq!(walk("loop"), Walk::Broken(Errno::LOOP));
    }

    #[test]
    fn our_own_are_read() {
        let mounts = Mounts::read();
        assert_eq!(mounts.covering(Path::new("/proc/self")).unwrap().kind, "proc");
        assert!(mounts.is_near(Path::new("/proc/self")));
    }
}
