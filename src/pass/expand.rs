//! The folders that a pattern of the configuration matches now.
//!
//! In a folder such as `/tmp` everybody makes names, also such as match. So no link is followed below the pattern's first
//! glob, each step is made through the handle of the one above it, and what comes out belongs to the user.

use crate::config::{FolderGlob, Part, matches};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::{FileFacts, Mounts, Uid, Walk};
use tmux_sockets::report::{DirectoryReport, LeftAlone, Mismatch, Remark, Unfollowed, Why};
use tmux_sockets::tmux::DirectoryError;

/// How many folders of one pattern are taken.
const MOST: usize = 256;

/// How many folders of the user's and root's are gone into or taken. What others make in `/tmp` does not count, or they could
/// keep us from the user's own.
const LOOKED_AT: usize = 65_536;

/// How many of those that are skipped are told of one by one.
const TOLD: usize = 16;

/// What a pattern comes to.
#[derive(Debug, Default)]
pub(super) struct Expansion {
    /// The user's own folders, links resolved, in the order of their paths; and those that a child is to look for, on a mount
    /// that may not answer.
    pub(super) folders: Vec<PathBuf>,
    /// What matches and is no folder of the user's.
    pub(super) skipped: Vec<Remark>,
    /// How many more of them there are.
    pub(super) more_skipped: usize,
    /// What was not looked at since it is too much.
    pub(super) unseen: Option<Remark>,
    /// Where folders of the user's may be, and nobody can look.
    pub(super) unread: Vec<DirectoryReport>,
}

/// Looks for the folders of `user` that a pattern matches.
pub(super) fn expand(glob: &FolderGlob, user: Uid, mounts: &Mounts) -> Expansion {
    let found = Expansion::default();
    let mut search = FolderSearch { glob, top: PathBuf::new(), user, mounts, left: LOOKED_AT, found };
    match mounts.walk(glob.prefix()) {
        Walk::Near(prefix) => {
            search.top.clone_from(&prefix);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            match rustix::fs::openat(CWD, &prefix, flags, Mode::empty()) {
                Ok(dir) => search.go_through(&dir, &prefix, glob.parts()),
                Err(errno) => search.cannot_read(&prefix, errno),
            }
        }
        Walk::Far(_) => search.leads_far(),
        Walk::Broken(errno) => search.cannot_read(glob.prefix(), errno),
    }
    let FolderSearch { left, mut found, .. } = search;
    let unseen = |why| Some(Remark { path: PathBuf::from(glob.text()), why: Why::Pattern(why) });
    found.folders.sort_unstable();
    if left == 0 {
        found.unseen = unseen(Unfollowed::TooWide(LOOKED_AT));
    }
    if found.folders.len() > MOST {
        found.unseen = unseen(Unfollowed::TooMany { matches: found.folders.len(), most: MOST });
        found.folders.truncate(MOST);
    }
    found
}

struct FolderSearch<'a> {
    glob: &'a FolderGlob,
    /// The folder in which the first glob is looked for, links resolved.
    top: PathBuf,
    user: Uid,
    mounts: &'a Mounts,
    /// How many names may still be looked at.
    left: usize,
    found: Expansion,
}

impl FolderSearch<'_> {
    /// Goes on from a folder that is open.
    fn go_through(&mut self, dir: &OwnedFd, path: &Path, parts: &[Part]) {
        let Some((part, rest)) = parts.split_first() else { return };
        let glob = match part {
            Part::Name(name) => return self.go_on(dir, name, path, rest),
            Part::Any(glob) => glob,
        };
        let entries = match rustix::fs::Dir::read_from(dir) {
            Ok(entries) => entries,
            Err(errno) => return self.cannot_read(path, errno),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) => return self.cannot_read(path, errno),
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if self.left == 0 {
                return;
            }
            if !matches!(name.as_bytes(), b"." | b"..") && matches(glob, name) {
                self.go_on(dir, name, path, rest);
            }
        }
    }

    fn go_on(&mut self, dir: &OwnedFd, name: &OsStr, above: &Path, rest: &[Part]) {
        let path = above.join(name);
        if !self.mounts.is_near(&path) {
            self.go_far(path, rest);
        } else if rest.is_empty() {
            self.take(dir, name, above, path);
        } else if let Some(below) = self.enter(dir, name, above, &path, rest) {
            self.left = self.left.saturating_sub(1);
            self.go_through(&below, &path, rest);
        }
    }

    /// On a mount that may not answer nobody goes through names; a child looks at a path that is known.
    fn go_far(&mut self, path: PathBuf, rest: &[Part]) {
        let server = self.mounts.covering(&path).and_then(|mount| mount.server);
        let name_of = |part: &Part| match part {
            Part::Name(name) => Some(name.clone()),
            Part::Any(_) => None,
        };
        let names: Option<PathBuf> = rest.iter().map(name_of).collect();
        match (server, names) {
            // Everybody can mount in /tmp what does not answer.
            (Some(server), _) if ![self.user, Uid::ROOT].contains(&server) => self.skip(path, Mismatch::Far),
            (_, Some(names)) => {
                self.left = self.left.saturating_sub(1);
                // Without a slash behind it where there are none.
                self.found.folders.push(path.components().chain(names.components()).collect());
            }
            (_, None) => self.leads_far(),
        }
    }

    /// A folder on the way: the user's or root's, for anybody else could put another one in its place.
    fn enter(
        &mut self,
        dir: &OwnedFd,
        name: &OsStr,
        above: &Path,
        path: &Path,
        rest: &[Part],
    ) -> Option<OwnedFd> {
        let access = if matches!(rest.first(), Some(Part::Any(_))) { OFlags::RDONLY } else { OFlags::PATH };
        let flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(dir, name, flags, Mode::empty()) {
            Ok(below) => {
                let owner = FileFacts::of(below.as_fd()).ok()?.uid;
                return self.is_safe(owner).then_some(below);
            }
            Err(Errno::NOENT) => {}
            Err(errno) => match FileFacts::at(dir.as_fd(), name) {
                Ok(facts) if facts.kind == FileType::Symlink => {
                    self.skip(path.to_owned(), Mismatch::Kind(FileType::Symlink));
                }
                Ok(facts) if facts.kind != FileType::Directory || !self.is_safe(facts.uid) => {}
                // Where a name in it is of no use to the user either, it is root's affair what is there.
                Ok(facts) if errno == Errno::ACCESS && facts.uid != self.user && !may_search(dir, name) => {
                    self.skip(path.to_owned(), Mismatch::Unseen(errno));
                }
                Ok(_) => self.cannot_read(path, errno),
                Err(errno) => self.cannot_look(dir, above, path.to_owned(), errno),
            },
        }
        None
    }

    /// A whole match.
    fn take(&mut self, dir: &OwnedFd, name: &OsStr, above: &Path, path: PathBuf) {
        match FileFacts::at(dir.as_fd(), name) {
            Err(errno) => self.cannot_look(dir, above, path, errno),
            Ok(facts) if facts.kind != FileType::Directory => self.skip(path, Mismatch::Kind(facts.kind)),
            Ok(facts) if facts.uid != self.user => self.skip(path, Mismatch::Owner(facts.uid)),
            Ok(_) => {
                self.left = self.left.saturating_sub(1);
                self.found.folders.push(path);
            }
        }
    }

    fn is_safe(&self, owner: Uid) -> bool {
        [self.user, Uid::ROOT].contains(&owner)
    }

    /// Of a name nothing can be told. Mostly the folder it stands in is shut. What root shuts is nothing of the user's,
    /// such as `lost+found`; but the folder that the pattern names was meant.
    fn cannot_look(&mut self, dir: &OwnedFd, above: &Path, path: PathBuf, errno: Errno) {
        let is_meant =
            || above == self.top || FileFacts::of(dir.as_fd()).is_ok_and(|facts| facts.uid == self.user);
        match errno {
            Errno::NOENT => {}
            Errno::ACCESS if is_meant() => self.cannot_read(above, errno),
            Errno::ACCESS => self.skip(path, Mismatch::Unseen(errno)),
            _ => self.cannot_read(&path, errno),
        }
    }

    /// Folders of the user's may be there. What is missing is none.
    fn cannot_read(&mut self, path: &Path, errno: Errno) {
        if !matches!(errno, Errno::NOENT | Errno::NOTDIR) {
            self.leave(path.to_owned(), LeftAlone::Refused(DirectoryError::Unreadable(errno)));
        }
    }

    fn leads_far(&mut self) {
        self.leave(PathBuf::from(self.glob.text()), LeftAlone::FarPattern);
    }

    fn leave(&mut self, path: PathBuf, why: LeftAlone) {
        if !self.found.unread.iter().any(|known| known.path == path) {
            self.found.unread.push(DirectoryReport { path, error: Some(why) });
        }
    }

    fn skip(&mut self, path: PathBuf, why: Mismatch) {
        if self.found.skipped.len() < TOLD {
            self.found.skipped.push(Remark { path, why: Why::Match(why) });
        } else {
            self.found.more_skipped += 1;
        }
    }
}

/// Whether somebody who knows a name in a folder may go to it.
fn may_search(dir: &OwnedFd, name: &OsStr) -> bool {
    rustix::fs::accessat(dir, name, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::fs;

    fn glob(text: &str) -> FolderGlob {
        FolderGlob::parse(Path::new(text)).unwrap()
    }

    #[test]
    fn on_a_mount_that_may_not_answer_a_child_looks_for_what_is_known_by_name() {
        let room = tempfile::tempdir().unwrap();
        let room = room.path().canonicalize().unwrap();
        let room = room.to_str().unwrap();
        let user = Uid::ours();
        let other = user.raw() + 1;
        for name in ["nfs", "own", "roots", "theirs"] {
            fs::create_dir(Path::new(room).join(name)).unwrap();
        }
        let table = format!(
            "1 0 8:1 / / rw - ext4 a rw\n\
             2 1 0:9 / {room}/nfs rw - nfs4 a rw,vers=4.2\n\
             3 1 0:10 / {room}/own rw - fuse.sshfs a rw,user_id={user},group_id=1\n\
             4 1 0:11 / {room}/roots rw - fuse.sshfs a rw,user_id=0,group_id=0\n\
             5 1 0:12 / {room}/theirs rw - fuse.sshfs a rw,user_id={other},group_id=1\n"
        );
        let mounts = Mounts::of(table.as_bytes());
        let found = expand(&glob(&format!("{room}/*/in/it")), user, &mounts);
        let known = ["nfs", "own", "roots"].map(|name| Path::new(room).join(name).join("in/it"));
        assert_eq!((found.folders, found.unread.len()), (known.to_vec(), 0));
        let skipped: Vec<&Path> = found.skipped.iter().map(|place| place.path.as_path()).collect();
        assert_eq!(skipped, [Path::new(room).join("theirs")], "a stranger's mount is nobody's error");
        // The mount itself, without a slash behind it.
        let found = expand(&glob(&format!("{room}/n?s")), user, &mounts);
        assert_eq!(found.folders, [Path::new(room).join("nfs")]);
        assert!(!found.folders[0].to_str().unwrap().ends_with('/'));
        for pattern in [format!("{room}/n?s/*"), format!("{room}/nfs/x/*/y")] {
            let found = expand(&glob(&pattern), user, &mounts);
            let unread: Vec<_> = found.unread.into_iter().map(|left| (left.path, left.error)).collect();
            assert_eq!(unread, [(PathBuf::from(&pattern), Some(LeftAlone::FarPattern))]);
            assert_eq!(found.folders, Vec::<PathBuf>::new());
        }
    }
}
