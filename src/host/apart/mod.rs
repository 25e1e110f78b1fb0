//! What is done in a process of its own, because it may have to wait for ever: looks at a mount that may not answer.
//!
//! Who looks at a path on a network or FUSE mount whose server stands still waits in the kernel, where no signal helps. A
//! thread that hangs there would keep the whole process, and with it every lock. So a child of ours goes, one for each
//! mount, started while nothing is locked; it has two seconds, then it is killed and not waited for. One that hangs cannot
//! even be killed: as long as it is there, that mount is not asked again.

pub(crate) mod errand;
pub(crate) mod guard;
mod send;

pub(crate) use send::{PATIENCE, send};

use super::{child, read, replace};
use errand::{Errand, ErrandOrder};
use rustix::fs::Mode;
use rustix::io::Errno;
use send::{NAME, has_answered};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Mutex;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::{Mount, Mounts, Walk};
use tmux_sockets::report::LeftAlone;
use tmux_sockets::sweep::Target;
use tmux_sockets::tmux::whereabouts;

/// Everybody may read what is replaced, metrics: a collector runs as a user of its own.
const READABLE: Mode = Mode::from_raw_mode(0o644);

/// Where mounts are that did not answer this process.
static SILENT: Mutex<Vec<Mount>> = Mutex::new(Vec::new());

/// Has a mount that answered count as one that does: from now on it is used directly, and whoever waits for this process
/// is told so.
pub(crate) fn trust(mount: &Mount) {
    if let Ok(mut silent) = SILENT.lock() {
        silent.retain(|known| known != mount);
    }
    guard::tell(&mount.point);
    tmux_sockets::kernel::trust(mount.point.clone());
}

pub(crate) fn distrust(mount: &Mount) {
    if let Ok(mut silent) = SILENT.lock() {
        if !silent.contains(mount) {
            silent.push(mount.clone());
        }
    }
}

/// The mounts that were asked here and did not answer.
pub(crate) fn silent() -> Vec<Mount> {
    SILENT.lock().map(|silent| silent.clone()).unwrap_or_default()
}

/// Asks the mount that a directory is to be used on whether it answers, if it is one that may not; from then on it is
/// used directly. One that did not is not asked again.
///
/// # Errors
/// One sentence: it does not answer.
pub(crate) fn vouch(dir: &Path, user: Uid) -> Result<(), String> {
    let mounts = Mounts::read();
    ask(&mounts, whereabouts(dir, user, &mounts))
}

/// The same for any path: whether it can be looked at. For runs that end: an answer holds as long as they do.
pub(crate) fn answers(path: &Path) -> bool {
    reach(path).is_ok()
}

/// [`answers`], and why not.
///
/// # Errors
/// One sentence: it does not answer.
pub(crate) fn reach(path: &Path) -> Result<(), String> {
    let mounts = Mounts::read();
    if mounts.has_far() { ask(&mounts, mounts.walk(path)) } else { Ok(()) }
}

/// The same for a file that is to be read. Its folder is asked: of the file itself something may be known here still.
///
/// # Errors
/// One sentence: it does not answer.
pub(crate) fn reach_file(path: &Path) -> Result<(), String> {
    let mounts = Mounts::read();
    let Walk::Far(path) = mounts.walk(path) else { return Ok(()) };
    let folder = path.parent().filter(|folder| mounts.covering(folder) == mounts.covering(&path));
    ask(&mounts, Walk::Far(folder.unwrap_or(&path).to_owned()))
}

fn ask(mounts: &Mounts, walk: Walk) -> Result<(), String> {
    let Walk::Far(path) = walk else { return Ok(()) };
    let Some(mount) = mounts.covering(&path) else { return Ok(()) };
    if !silent().contains(mount) {
        if has_answered(mount, path) {
            trust(mount);
            return Ok(());
        }
        distrust(mount);
    }
    Err(no_answer(mount))
}

/// Reads a file that lies on a mount that may not answer, as [`read::read_bytes`] does; `None`: it can be read here.
pub(crate) fn read(path: &Path, is_named: bool) -> Option<std::io::Result<Vec<u8>>> {
    let mounts = Mounts::read();
    let Walk::Far(path) = mounts.walk(path) else { return None };
    Some(fetch(&mounts, &path, Errand::Read { path: path.clone(), is_named }, None))
}

/// Replaces a file, as [`replace::replace`] does, wherever it lies.
///
/// # Errors
/// Those of [`replace::replace`], and where the mount does not answer.
pub(crate) fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mounts = Mounts::read();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (Walk::Far(parent), Some(name)) = (mounts.walk(parent), path.file_name()) else {
        return replace::replace(path, text, READABLE);
    };
    let mut input = child::memory_file()?;
    input.write_all(text)?;
    input.rewind()?;
    let path = parent.join(name);
    fetch(&mounts, &path, Errand::Replace(path.clone()), Some(&input)).map(drop)
}

fn fetch(mounts: &Mounts, path: &Path, errand: Errand, input: Option<&File>) -> std::io::Result<Vec<u8>> {
    let Some(mount) = mounts.covering(path) else {
        return Err(Errno::NOENT.into());
    };
    let order = ErrandOrder { point: mount.point.clone(), errand };
    let answer = send(&[order], input).pop().flatten();
    match answer.as_deref().and_then(<[u8]>::split_first) {
        Some((b'+', text)) => Ok(text.to_vec()),
        Some((b'E', number)) => {
            let errno = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
            Err(std::io::Error::from_raw_os_error(errno.unwrap_or(libc::EIO)))
        }
        Some((b'T', text)) => Err(std::io::Error::other(String::from_utf8_lossy(text).into_owned())),
        Some(_) | None => Err(std::io::Error::other(no_answer(mount))),
    }
}

/// What the child does; `look` is how it looks into directories. Its message goes to stdout.
pub(crate) fn carry_out(order: &ErrandOrder, look: impl FnOnce(&[Target]) -> Vec<u8>) -> Vec<u8> {
    // Our parent may be killed, and then nobody else would end us.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let _ = rustix::thread::set_name(NAME);
    tmux_sockets::kernel::trust(order.point.clone());
    let told = match &order.errand {
        Errand::Look(targets) => return look(targets),
        Errand::Read { path, is_named } => read::read_bytes(path, *is_named),
        Errand::Replace(path) => {
            let mut text = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut text);
            read.and_then(|_| replace::replace(path, &text, READABLE)).map(|()| Vec::new())
        }
    };
    match told {
        Ok(text) => [b"+", text.as_slice()].concat(),
        Err(error) => match error.raw_os_error() {
            Some(number) => format!("E{number}").into_bytes(),
            None => format!("T{error}").into_bytes(),
        },
    }
}

/// Why nothing is known of what lies on a mount.
pub(crate) fn silence(mount: &Mount) -> LeftAlone {
    let (kind, point) = (mount.kind.clone(), mount.point.clone());
    LeftAlone::Silent { kind, point, seconds: PATIENCE.as_secs() }
}

/// [`silence`] in words.
pub(crate) fn no_answer(mount: &Mount) -> String {
    silence(mount).to_string()
}

/// Why a run was given up.
pub(crate) fn stood_still(mount: &Mount) -> String {
    format!(
        "given up: the mount at {} ({}) stopped answering: nothing came within {} s; what was done before is told above, and what hangs there ends when the mount answers again; if its server is gone for good, unmount it (umount(8), lazily)",
        escaped(&mount.point),
        escaped(&mount.kind),
        PATIENCE.as_secs(),
    )
}
