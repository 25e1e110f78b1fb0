//! Which users may have sockets: whose `tmux-UID` folders, `tmate-UID` and the like, and runtime directories are there, and
//! whose tmux servers run.
//!
//! Names are read and looked at, nothing is opened or entered: what stands in `/tmp` was put there by
//! anybody, and may be swapped for something else the moment after. Who is found here gets a worker, which
//! looks for itself; the worst that a swap can do is to start one in vain.
//!
//! Whoever has an account or a runtime directory is looked for by name first, and is found however many
//! names others have made.

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tmux_sockets::kernel::{Processes, Uid};
use tmux_sockets::report::{DirectoryReport, LeftAlone, Remark, Stray, Why};
use tmux_sockets::tmux::paths;

/// How many names that lie are reported one by one, of one owner and in all. Anybody can make any number of them.
const STRAYS_OF_ONE: usize = 4;
const STRAYS_TOLD: usize = 32;

/// How long the names of one folder may take: without a sign of life, and in all. `/tmp` cannot hang, and anybody can
/// make a million names in it; a `TMUX_TMPDIR` in the wrong hands can.
const SILENCE: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(20);

/// How many names are read between two signs of life.
const READ: usize = 16 * 1024;

/// How many names are handed over together.
const PORTION: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Census {
    /// Whom, and the folder that told; in the order of their numbers.
    pub(super) users: BTreeMap<Uid, PathBuf>,
    /// Who has a runtime directory.
    pub(super) logged_in: BTreeSet<Uid>,
    /// What strangers put there.
    pub(super) strays: Vec<Remark>,
    /// How many more they are: a sum is told as one.
    pub(super) more_strays: usize,
    /// Folders in which nobody could be looked for.
    pub(super) refused: Vec<DirectoryReport>,
}

/// How users' folders are called in one place.
#[derive(Debug, Clone, Copy)]
struct Naming {
    uid_of: fn(&OsStr) -> Option<Uid>,
    names_of: fn(Uid) -> Vec<String>,
}

/// `tmux-UID` and its kin.
const BY_PROGRAM: Naming =
    Naming { uid_of: paths::uid_of_directory_name, names_of: |uid| paths::directory_names(uid).into() };

/// The number alone.
const BY_NUMBER: Naming = Naming { uid_of: paths::uid_of_number, names_of: |uid| vec![uid.to_string()] };

/// Looks into `extra`, `/tmp`, `/run/tmux` and `/run/user`; for those of `accounts` by name, and first.
pub(super) fn find(extra: Option<&Path>, accounts: &[Uid]) -> Census {
    let mut found = Census::default();
    found.take(Path::new(paths::RUNTIME_DIRS), BY_NUMBER, false, Vec::new());
    found.logged_in = found.users.keys().copied().collect();
    let runtime = std::mem::take(&mut found.users);
    let wanted: BTreeSet<Uid> = accounts.iter().chain(&found.logged_in).copied().collect();
    let wanted: Vec<Uid> = wanted.into_iter().collect();
    for parent in extra.into_iter().chain([Path::new(paths::DEFAULT_PARENT)]) {
        found.take(parent, BY_PROGRAM, true, wanted.clone());
    }
    found.take(Path::new(paths::COMPILED_IN), BY_NUMBER, true, wanted);
    for (uid, path) in runtime.into_iter().chain(by_servers()) {
        found.users.entry(uid).or_insert(path);
    }
    found
}

/// Whose tmux servers run, wherever they are bound, and by which of them that is known. Those that see other files than we do
/// (a container) are the others' who are there.
fn by_servers() -> BTreeMap<Uid, PathBuf> {
    let Ok(processes) = Processes::open() else { return BTreeMap::new() };
    let ours = processes.own().and_then(|own| own.mount_namespace());
    let servers = processes.all_tmux_servers().into_iter().flatten();
    let here = servers.filter(|server| ours.is_some() && server.mount_namespace() == ours);
    here.filter_map(|server| Some((server.owner()?, PathBuf::from(format!("/proc/{}", server.pid)))))
        .collect()
}

impl Census {
    /// Enters whoever has a folder in `parent`, and the names that lie where that matters. What was found before
    /// the time was over counts.
    fn take(&mut self, parent: &Path, naming: Naming, strays_matter: bool, first: Vec<Uid>) {
        let (tell, told) = channel();
        let folder = parent.to_owned();
        // It ends with the process if it hangs.
        let reader = std::thread::Builder::new().spawn(move || {
            let end = read(&folder, naming, &first, &tell);
            let _ = tell.send(ReaderWord::End(end));
        });
        let deadline = Instant::now() + DEADLINE;
        let mut strays = Strays::default();
        let end = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let told = told.recv_timeout(left.min(SILENCE));
            match told {
                Ok(ReaderWord::Names(names)) => {
                    for FolderName { uid, called, look } in names {
                        match look {
                            Ok(path) => {
                                self.users.entry(uid).or_insert(path);
                            }
                            // It is root's: no stranger can have made it, so it is worth a word.
                            Err((_, Stray::Owner(Uid::ROOT))) if strays_matter => {
                                self.refuse(parent.join(called), LeftAlone::Misnamed(Uid::ROOT));
                            }
                            Err((owner, stray)) => strays.add(uid, called, owner, stray),
                        }
                    }
                }
                Ok(ReaderWord::End(end)) => break end,
                Err(RecvTimeoutError::Timeout) => break Err(Errno::TIMEDOUT),
                Err(RecvTimeoutError::Disconnected) => break Err(Errno::AGAIN),
            }
        };
        drop(reader);
        match end {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => self.refuse(parent.to_owned(), LeftAlone::Unseen(errno)),
        }
        if strays_matter {
            for (name, stray) in strays.told() {
                let path = name.map_or_else(|| parent.to_owned(), |name| parent.join(name));
                self.report(path, stray);
            }
        }
    }

    fn refuse(&mut self, path: PathBuf, why: LeftAlone) {
        self.refused.push(DirectoryReport { path, error: Some(why) });
    }

    fn report(&mut self, path: PathBuf, stray: Stray) {
        if let Stray::OthersOf(_, count) | Stray::Others(count) = stray {
            self.more_strays += count.saturating_sub(1);
        }
        self.strays.push(Remark { path, why: Why::Stray(stray) });
    }
}

/// Whom a name is for, and the name.
type Called = (Uid, OsString);

/// The names that lie in one folder, counted for each owner: who makes many hides nobody else's.
#[derive(Debug, Default)]
struct Strays {
    of: BTreeMap<Option<Uid>, (BTreeMap<Called, Stray>, usize)>,
}

impl Strays {
    /// One that is called like `uid`'s. The lowest numbers of each owner are kept, of the others only the count.
    fn add(&mut self, uid: Uid, name: OsString, owner: Option<Uid>, stray: Stray) {
        let (kept, others) = self.of.entry(owner).or_default();
        kept.insert((uid, name), stray);
        if kept.len() > STRAYS_OF_ONE {
            kept.pop_last();
            *others += 1;
        }
    }

    /// What is told one by one, with its name, and the sums.
    fn told(self) -> Vec<(Option<OsString>, Stray)> {
        let mut ranked: Vec<(usize, Called, Stray)> = Vec::new();
        let mut sums: Vec<(usize, Uid)> = Vec::new();
        let mut beyond = 0;
        for (owner, (kept, others)) in self.of {
            ranked.extend(kept.into_iter().zip(0..).map(|((name, stray), rank)| (rank, name, stray)));
            match owner {
                Some(owner) if others > 0 => sums.push((others, owner)),
                _ => beyond += others,
            }
        }
        ranked.sort_unstable_by(|(one, first, _), (other, second, _)| (one, first).cmp(&(other, second)));
        beyond += ranked.len().saturating_sub(STRAYS_TOLD);
        ranked.truncate(STRAYS_TOLD);
        ranked.sort_unstable_by(|(_, one, _), (_, other, _)| one.cmp(other));
        let mut told: Vec<_> = ranked.into_iter().map(|(_, (_, name), stray)| (Some(name), stray)).collect();
        // The owners of most are named, the others summed up.
        sums.sort_unstable_by(|one, other| other.cmp(one));
        beyond += sums.iter().skip(STRAYS_OF_ONE).map(|(others, _)| others).sum::<usize>();
        told.extend(
            sums.iter().take(STRAYS_OF_ONE).map(|(others, owner)| (None, Stray::OthersOf(*owner, *others))),
        );
        told.extend((beyond > 0).then_some((None, Stray::Others(beyond))));
        told
    }
}

/// What the reader of a folder hands over.
enum ReaderWord {
    Names(Vec<FolderName>),
    End(Result<(), Errno>),
}

/// A name like that of `uid`'s folder: its path, or whose lie it is, where that is known, and which.
struct FolderName {
    uid: Uid,
    called: OsString,
    look: Result<PathBuf, (Option<Uid>, Stray)>,
}

fn read(parent: &Path, naming: Naming, first: &[Uid], tell: &Sender<ReaderWord>) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(CWD, parent, flags, Mode::empty())?;
    let mut names = Vec::new();
    for uid in first {
        let called = (naming.names_of)(*uid);
        names.extend(called.iter().filter_map(|name| look(parent, &dir, OsStr::new(name), *uid)));
    }
    let _ = tell.send(ReaderWord::Names(std::mem::take(&mut names)));
    for (entry, count) in rustix::fs::Dir::read_from(&dir)?.zip(1..) {
        let entry = entry?;
        if count % READ == 0 && tell.send(ReaderWord::Names(std::mem::take(&mut names))).is_err() {
            break;
        }
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        // `first` is sorted.
        let Some(uid) = (naming.uid_of)(name).filter(|uid| first.binary_search(uid).is_err()) else {
            continue;
        };
        names.extend(look(parent, &dir, name, uid));
        if names.len() == PORTION && tell.send(ReaderWord::Names(std::mem::take(&mut names))).is_err() {
            break;
        }
    }
    let _ = tell.send(ReaderWord::Names(names));
    Ok(())
}

/// Whether a name is a real directory of `uid`; `None`: it is not there.
///
/// Answered from what the kernel has at hand: a file system that a user serves (FUSE) is not asked, since
/// it could let us wait for ever. It then shows an old owner, and at worst nobody is found.
fn look(parent: &Path, dir: &OwnedFd, name: &OsStr, uid: Uid) -> Option<FolderName> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let wanted = StatxFlags::TYPE | StatxFlags::UID;
    let look = match rustix::fs::statx(dir, name, flags, wanted) {
        Err(Errno::NOENT) => return None,
        Err(errno) => Err((None, Stray::Unreadable(errno))),
        Ok(facts) => {
            let kind = FileType::from_raw_mode(facts.stx_mode.into());
            let owner = Some(Uid::new(facts.stx_uid));
            if kind != FileType::Directory {
                Err((owner, Stray::NoDirectory(kind)))
            } else if facts.stx_uid != uid.raw() {
                Err((owner, Stray::Owner(Uid::new(facts.stx_uid))))
            } else {
                Ok(parent.join(name))
            }
        }
    };
    Some(FolderName { uid, called: name.to_owned(), look })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(uid: u32) -> OsString {
        paths::directory_name(Uid::new(uid)).into()
    }

    #[test]
    fn who_makes_many_hides_nobody_elses() {
        let mut strays = Strays::default();
        for uid in 0..100_000 {
            strays.add(Uid::new(uid), name(uid), Some(Uid::new(5)), Stray::Owner(Uid::new(5)));
        }
        strays.add(
            Uid::new(4_000_000),
            name(4_000_000),
            Some(Uid::new(6)),
            Stray::NoDirectory(FileType::Fifo),
        );
        let told = strays.told();
        assert_eq!(told.len(), STRAYS_OF_ONE + 2, "{told:?}");
        assert!(told.contains(&(Some(name(4_000_000)), Stray::NoDirectory(FileType::Fifo))), "{told:?}");
        assert_eq!(told.last(), Some(&(None, Stray::OthersOf(Uid::new(5), 100_000 - STRAYS_OF_ONE))));
    }

    #[test]
    fn many_owners_are_counted_too() {
        let mut strays = Strays::default();
        for owner in 0..1000 {
            for number in 0..10 {
                strays.add(
                    Uid::new(owner * 10 + number),
                    name(owner * 10 + number),
                    Some(Uid::new(owner)),
                    Stray::Owner(Uid::new(owner)),
                );
            }
        }
        let told = strays.told();
        assert_eq!(told.len(), STRAYS_TOLD + STRAYS_OF_ONE + 1, "{told:?}");
        let counted: usize = told
            .iter()
            .map(|(_, stray)| match stray {
                Stray::OthersOf(_, count) | Stray::Others(count) => *count,
                _ => 1,
            })
            .sum();
        assert_eq!(counted, 10_000);
    }
}
