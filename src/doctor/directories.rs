//! Socket directories that tmux would refuse, that cannot be written, or that lie on a network file system; a
//! `TMUX_TMPDIR` that is none or too long.

use super::{Cure, Finding, Patient, Severity};
use crate::view::advice::Advised;
use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::Mounts;
use tmux_sockets::kernel::escape::{escaped, shell_word};
use tmux_sockets::kernel::file_system::{self, FileSystem};
use tmux_sockets::kernel::lack::{self, is_lack};
use tmux_sockets::kernel::rights;
use tmux_sockets::kernel::text::errno_text;
use tmux_sockets::report::{DirectoryReport, LeftAlone};
use tmux_sockets::tmux::paths::{self, MAX_SOCKET_PATH, Refusal, Rule};
use tmux_sockets::tmux::{DirectoryError, SocketDir, Strictness, shared};

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    for directory in &patient.report.directories {
        match &directory.error {
            // tmux makes its own where it is missing.
            Some(_) if is_missing_own(patient, &directory.path) => {}
            // No directory is to blame.
            Some(LeftAlone::Lacking(errno) | LeftAlone::Refused(DirectoryError::Unreadable(errno)))
                if is_lack(*errno) =>
            {
                lack::heed(*errno);
            }
            Some(error) => findings.push(refused(patient, directory, error)),
            None => usable(patient, directory, findings),
        }
    }
    // A file system that may not answer has been reported already.
    let near = |path: &&PathBuf| Mounts::read().lets_look_at(path);
    // Folders of the configuration are looked into where none is named on the command line.
    let wanted = patient.settings.extra_socket_dirs.iter().filter(|_| patient.dirs.is_empty());
    let is_gone = |path: &&PathBuf| {
        path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    };
    findings.extend(wanted.filter(near).filter(is_gone).map(|path| not_there(path)));
    if let Some(parent) = patient.around.tmux_tmpdir.as_ref().filter(near) {
        if !parent.is_dir() {
            findings.push(missing(patient, parent));
        } else if let Ok(parent) = parent.canonicalize() {
            findings.extend(too_long(patient, &parent));
        }
    }
}

/// One of `extra-socket-dirs`: a folder that comes later, or a name that was mistyped. No other command tells.
fn not_there(path: &Path) -> Finding {
    Finding::new(
        Severity::Note,
        format!("{}, which extra-socket-dirs names, is not there", escaped(path)),
        "if the name is mistyped, nobody sweeps the folder that is meant",
        Cure::advice(
            "correct it in the configuration, whose place `tmux-janitor check-config -v` tells; a folder that is still to come needs nothing",
        ),
    )
}

fn is_missing_own(patient: &Patient<'_>, path: &Path) -> bool {
    Rule::of(path, patient.user).forbids_link()
        && Mounts::read().lets_look_at(path)
        && path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// One that was left alone.
fn refused(patient: &Patient<'_>, directory: &DirectoryReport, error: &LeftAlone) -> Finding {
    let path = &directory.path;
    let word = shell_word(path);
    if !Mounts::read().lets_look_at(path) {
        return Finding::new(
            Severity::Problem,
            format!("{}: {}", escaped(path), error.with_advice()),
            "who looks there waits for as long as its server stands still: tmux, shells, whoever lists the folder",
            Cure::advice(format!(
                "findmnt -T {word} shows the mount: make its server answer again, or unmount it (umount(8), lazily)"
            )),
        );
    }
    let owner = std::fs::symlink_metadata(path).ok().map(|about| about.uid());
    let is_own = owner == Some(patient.user.raw());
    let cure = match SocketDir::open(path, patient.user, Strictness::Swept) {
        Err(DirectoryError::Refused(Refusal::OpenToOthers(_))) if is_own => {
            Cure::command(format!("chmod o-rwx {word}"))
        }
        Err(DirectoryError::Refused(Refusal::WritableByOthers(mode)))
            if is_own && !shared::is_for_others(path, patient.user) =>
        {
            let closing = shared::close(mode);
            Cure::command(format!("chmod {closing} {word}"))
        }
        Err(DirectoryError::Refused(Refusal::WritableByOthers(_))) => {
            Cure::advice("name the folder in it that holds your sockets, and nobody else can write")
        }
        Err(DirectoryError::Refused(Refusal::NotADirectory | Refusal::Owner(_))) => {
            set_aside(patient, path, is_own)
        }
        // It may be read and not gone into: a pattern's folder.
        _ if is_own && *error == LeftAlone::Refused(DirectoryError::Unreadable(Errno::ACCESS)) => {
            Cure::command(format!("chmod u+rwx {word}"))
        }
        _ => Cure::advice(format!("do what is said above; `ls -ld {word}` shows what is there")),
    };
    Finding::new(
        Severity::Problem,
        format!("{}: {}", escaped(path), error.with_advice()),
        "tmux does not start there, and the janitor does not clean there",
        cure,
    )
}

/// Moves away what is in tmux's place; not where that would take a server's socket from its path.
fn set_aside(patient: &Patient<'_>, path: &Path, is_own: bool) -> Cure {
    let word = shell_word(path);
    let mut aside = path.as_os_str().to_owned();
    aside.push(".aside");
    let is_taken = std::fs::symlink_metadata(&aside).is_ok();
    let is_used = patient.blindness.is_some()
        || patient.witness.table().iter().any(|bound| bound.name.starts_with(path));
    if is_taken || is_used {
        return Cure::advice(format!(
            "see what it is (`ls -la {word}`) and who uses it, end what listens in it, then move it away"
        ));
    }
    let sudo = if is_own { "" } else { patient.sudo() };
    Cure::command(format!("{sudo}mv -T -- {word} {}", shell_word(&aside)))
}

/// One that tmux uses, or would.
fn usable(patient: &Patient<'_>, directory: &DirectoryReport, findings: &mut Vec<Finding>) {
    let (word, path) = (shell_word(&directory.path), escaped(&directory.path));
    let Ok(Some(dir)) = SocketDir::open(&directory.path, patient.user, Strictness::LookedAt) else {
        return;
    };
    if let FileSystem::Other(magic) = dir.file_system() {
        let name = file_system::name(magic).unwrap_or("a file system that is not known to be local");
        findings.push(Finding::new(
            Severity::Risk,
            format!("{path} lies on {name}"),
            "a server of another machine may listen there: its sockets are foreign and never removed, and tmux's lock may not hold",
            Cure::advice("put TMUX_TMPDIR on a local file system, such as /tmp or $XDG_RUNTIME_DIR"),
        ));
    }
    if dir.has_no_inode() {
        findings.push(Finding::new(
            Severity::Problem,
            format!("no inode is left on the file system of {path}"),
            "no start lock can be made there: dead sockets stay, and no new label can be started",
            Cure::advice(format!(
                "remove a file of yours there (`df -i {word}` counts them), then `{} sweep`",
                patient.janitor()
            )),
        ));
    }
    if rights::is_append_only(&dir) {
        findings.push(Finding::new(
            Severity::Problem,
            format!("{path} is append-only: nothing in it can be removed"),
            "a dead socket blocks its label there, and each start leaves its lock",
            Cure::command(format!("{}chattr -a {word}", patient.sudo())),
        ));
    } else if let Err(errno) = rights::may_change(&dir) {
        let cure = match errno {
            Errno::ACCESS if dir.owner() == patient.user => Cure::command(format!("chmod u+rwx {word}")),
            Errno::ROFS => Cure::advice(format!(
                "find out why it is read-only here (`findmnt -T {word}`) and mount it writable; in a unit, let ReadWritePaths= name it"
            )),
            _ => Cure::advice(format!(
                "see whose it is (`ls -ld {word}`) and whether it is immutable (`lsattr -d {word}`)"
            )),
        };
        findings.push(Finding::new(
            Severity::Problem,
            format!("{path} cannot be written: {}", errno_text(errno)),
            "tmux says \"error creating …\" there, before 3.8 with exit code 0, and a dead socket blocks its label",
            cure,
        ));
    }
}

/// A `TMUX_TMPDIR` that is no directory.
fn missing(patient: &Patient<'_>, parent: &Path) -> Finding {
    let word = shell_word(parent);
    let there = parent.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let may_make = rustix::fs::accessat(CWD, there, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
    let cure = if there == parent || !parent.is_absolute() || too_long(patient, parent).is_some() {
        "unset TMUX_TMPDIR".to_owned()
    } else if may_make {
        format!("mkdir -p -m 700 {word}")
    } else {
        format!("{}install -d -m 700 -o {} {word}", patient.sudo(), patient.user)
    };
    Finding::new(
        Severity::Risk,
        format!("TMUX_TMPDIR is {}, which is no directory", escaped(parent)),
        "tmux (since 3.2) then uses /tmp and does not say so: the same label is another server in a shell that has the directory",
        Cure::command(cure),
    )
}

/// A `TMUX_TMPDIR` in which no socket has room, or only those of the shortest labels.
fn too_long(patient: &Patient<'_>, parent: &Path) -> Option<Finding> {
    let folder = parent.join(paths::directory_name(patient.user));
    let taken = folder.as_os_str().len() + 1;
    if taken + paths::DEFAULT_LABEL.len() <= MAX_SOCKET_PATH {
        return None;
    }
    let room = match MAX_SOCKET_PATH.saturating_sub(taken) {
        0 => "no label".to_owned(),
        1 => "a label of 1 byte".to_owned(),
        room => format!("a label of {room} bytes, and \"{}\" has more", paths::DEFAULT_LABEL),
    };
    Some(Finding::new(
        Severity::Problem,
        format!(
            "TMUX_TMPDIR is {} ({} bytes): of the {MAX_SOCKET_PATH} bytes that a socket's path may have, that leaves room for {room}",
            escaped(parent),
            parent.as_os_str().len()
        ),
        "tmux says \"File name too long\" and starts no server there",
        Cure::command("unset TMUX_TMPDIR"),
    ))
}
