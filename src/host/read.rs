//! A user's file, read whole.

use rustix::fs::{FileType, Mode, OFlags};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The longest file that is read, in bytes. More is no configuration: `/dev/zero`, a log.
const LONGEST: u64 = 1 << 20;

/// Opens a file that was found, not named: only a real one. A FIFO would keep us waiting.
fn open_found(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(File::from(file)),
        kind => Err(std::io::Error::other(format!("it is {}", tmux_sockets::kernel::text::kind_name(kind)))),
    }
}

/// All of a file of at most 1 MiB; one that was found, not named, must be a real one.
pub(crate) fn read_bytes(path: &Path, is_named: bool) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = if is_named { File::open(path) } else { open_found(path) };
    let length = file?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    let fits = length as u64 <= LONGEST;
    fits.then_some(bytes).ok_or_else(|| std::io::Error::other("it is longer than 1 MiB"))
}
