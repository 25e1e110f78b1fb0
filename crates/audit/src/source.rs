//! The files that are audited: what they are, and their text.

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::io::Read;
use std::path::Path;
use tmux_janitor_audit_wire::NotAudited;

/// Longest file that is looked at, in bytes. A script that somebody wrote is a hundredth of it.
const LONGEST: u64 = 1024 * 1024;

/// How a file is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Shell,
    /// A unit file; not whole: a drop-in for one.
    Unit {
        is_whole: bool,
    },
    /// A table of cron; its jobs may name a user.
    Cron {
        has_user: bool,
    },
}

/// A file's text, its line ends and bytes that are no text put right.
pub(super) fn read(path: &Path) -> Result<(String, Language), NotAudited> {
    let failed = |errno: Errno| NotAudited::Unreadable(errno.raw_os_error());
    // A FIFO would keep us waiting, were it opened to block.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
    let about = rustix::fs::fstat(&file).map_err(failed)?;
    match FileType::from_raw_mode(about.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(NotAudited::Directory),
        _ => return Err(NotAudited::Special(about.st_mode)),
    }
    let mut bytes = Vec::new();
    let mut file = std::fs::File::from(file).take(LONGEST + 1);
    file.read_to_end(&mut bytes)
        .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    if bytes.len() as u64 > LONGEST {
        return Err(NotAudited::TooLong(LONGEST));
    }
    if bytes.contains(&0) {
        return Err(NotAudited::Binary);
    }
    let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let language = language(path, &text)?;
    Ok((text, language))
}

/// By its name or its first lines.
fn language(path: &Path, text: &str) -> Result<Language, NotAudited> {
    let kinds =
        ["service", "socket", "timer", "path", "mount", "automount", "swap", "target", "scope", "slice"];
    let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
    if kinds.contains(&kind) || is_unit(text) {
        return Ok(Language::Unit { is_whole: kind != "conf" });
    }
    if super::cron::is_table(path, text) {
        return Ok(Language::Cron { has_user: super::cron::has_users(path) });
    }
    let first = text.lines().next().unwrap_or_default();
    match first.strip_prefix("#!") {
        Some(program) if !is_shell_line(first) => Err(NotAudited::Foreign(program.trim().to_owned())),
        _ => Ok(Language::Shell),
    }
}

/// Whether a text begins as a unit file does.
pub(super) fn is_unit(text: &str) -> bool {
    let is_comment = |line: &&str| line.is_empty() || line.starts_with(['#', ';']);
    let first = text.lines().map(str::trim).find(|line| !is_comment(line)).unwrap_or_default();
    let sections = ["[Unit]", "[Service]", "[Install]", "[Socket]", "[Timer]", "[Path]"];
    !text.starts_with("#!") && sections.contains(&first)
}

/// `#!/bin/sh`, `#!/usr/bin/env -S bash -e`.
pub(super) fn is_shell_line(line: &str) -> bool {
    let Some(line) = line.strip_prefix("#!") else { return false };
    let mut words = line.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or_default());
    let program = words.find(|word| *word != "env" && !word.starts_with('-') && !word.contains('='));
    program.is_some_and(super::wrappers::is_shell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart() {
        let shell = |path: &str, text| language(Path::new(path), text);
        assert_eq!(shell("x", "#!/bin/sh\n[Unit]"), Ok(Language::Shell));
        assert_eq!(shell("x", "#!/usr/bin/env -S bash -e\n"), Ok(Language::Shell));
        assert_eq!(shell("x", ""), Ok(Language::Shell));
        assert_eq!(shell("x.service", ""), Ok(Language::Unit { is_whole: true }));
        assert_eq!(shell("x.conf", "; y\n\n[Service]\n"), Ok(Language::Unit { is_whole: false }));
        assert_eq!(shell("x", "1 2 3 4 5 y\n"), Ok(Language::Cron { has_user: false }));
        assert_eq!(shell("/etc/cron.d/x", "1 2 3 4 5 y z\n"), Ok(Language::Cron { has_user: true }));
        assert!(shell("x", "#!/usr/bin/python3\n").is_err());
    }
}
