//! What is written into the journal, read where it listens.

use super::skip::skip;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// The last entry.
const END: &[u8] = b"the end";

/// The place where the journal listens, with a reader of ours. Seen by the thread that makes it, and by whom it starts.
pub(crate) struct Journal {
    removed: Arc<Mutex<BTreeSet<PathBuf>>>,
    reader: Option<std::thread::JoinHandle<()>>,
    _room: tempfile::TempDir,
}

impl Journal {
    /// `None`, after a loud skip, without root.
    pub(crate) fn open() -> Option<Self> {
        if !rustix::process::getuid().is_root() {
            skip("needs root: it makes a mount namespace");
            return None;
        }
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let nothing: Option<&str> = None;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).unwrap();
        let room = tempfile::tempdir().unwrap();
        fs::create_dir(room.path().join("journal")).unwrap();
        fs::create_dir_all("/run/systemd").unwrap();
        mount(Some(room.path()), "/run/systemd", nothing, MsFlags::MS_BIND, nothing).unwrap();
        let socket = UnixDatagram::bind(SOCKET).unwrap();
        let removed = Arc::new(Mutex::new(BTreeSet::new()));
        let to = Arc::clone(&removed);
        let reader = std::thread::spawn(move || {
            let mut entry = [0; 8192];
            while let Ok(length) = socket.recv(&mut entry) {
                if &entry[..length] == END {
                    break;
                }
                let text = String::from_utf8_lossy(&entry[..length]);
                let path = text.split("removed dead socket ").nth(1).and_then(|rest| rest.lines().next());
                to.lock().unwrap().extend(path.map(PathBuf::from));
            }
        });
        Some(Self { removed, reader: Some(reader), _room: room })
    }

    /// The sockets of which it was told that they were removed.
    pub(crate) fn told(&self) -> BTreeSet<PathBuf> {
        self.removed.lock().unwrap().clone()
    }

    /// The same, once nobody tells it anything more.
    pub(crate) fn close(&mut self) -> BTreeSet<PathBuf> {
        if let Some(reader) = self.reader.take() {
            UnixDatagram::unbound().unwrap().send_to(END, SOCKET).unwrap();
            reader.join().unwrap();
        }
        self.told()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
        let _ = nix::mount::umount2("/run/systemd", nix::mount::MntFlags::MNT_DETACH);
    }
}
