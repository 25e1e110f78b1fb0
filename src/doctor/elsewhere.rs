//! Servers of the user that live where nobody sweeps: in other folders. `namespaces` has those of other mount namespaces.

use super::{Cure, Finding, Patient, Severity};
use crate::config::FolderGlob;
use crate::view::advice::Advised;
use std::collections::BTreeMap;
use std::path::Path;
use tmux_sockets::kernel::Mounts;
use tmux_sockets::kernel::escape::{escaped, shell_word};
use tmux_sockets::report::Outside;
use tmux_sockets::sweep;
use tmux_sockets::tmux::{DirectoryError, SocketDir, Strictness, paths::Refusal, shared};

/// How many folders are told of.
const TOLD: usize = 16;

const WHY: &str = "sockets that servers leave there stay, and a server is not started again where its dead one is in the way";

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let mounts = Mounts::read();
    let reached =
        patient.report.entries.iter().filter(|entry| matches!(entry.outside, Some(Outside::Reached)));
    let mut folders: BTreeMap<&Path, Vec<&Path>> = BTreeMap::new();
    for entry in reached {
        folders.entry(patient.report.folder_of(entry)).or_default().push(Path::new(&entry.label));
    }
    let near = folders.into_iter().filter(|(folder, _)| mounts.lets_look_at(folder)).take(TOLD);
    let (mut usable, mut others) = (Vec::new(), Vec::new());
    for (folder, labels) in near {
        match SocketDir::open(folder, patient.user, Strictness::Swept) {
            Ok(Some(_)) if folder.to_str().is_some() => usable.push(folder),
            Ok(_) => {}
            Err(error) => others.push(refused(patient, folder, &labels, error)),
        }
    }
    if !usable.is_empty() {
        findings.push(Finding::new(
            Severity::Note,
            format!("servers of yours are bound where nobody sweeps: {}", list(&usable)),
            WHY,
            Cure::advice(format!(
                "in the configuration (`man tmux-janitor.toml`): {}",
                line(patient, &usable)
            )),
        ));
    }
    findings.extend(others);
}

fn list(folders: &[&Path]) -> String {
    folders.iter().map(|folder| escaped(*folder).to_string()).collect::<Vec<_>>().join(", ")
}

/// The line that names them, and what the configuration names already.
fn line(patient: &Patient<'_>, folders: &[&Path]) -> String {
    let named = patient.settings.extra_socket_dirs.iter().filter_map(|dir| dir.to_str());
    let named = named.chain(folders.iter().filter_map(|folder| folder.to_str())).map(FolderGlob::escape);
    let globs = patient.settings.extra_socket_globs.iter().map(|glob| glob.text().to_owned());
    let all: Vec<String> = named.chain(globs).map(|path| quoted(&path)).collect();
    format!("extra-socket-dirs = [{}]", all.join(", "))
}

/// A basic string of TOML 1.0.
fn quoted(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

/// One that would be left alone.
fn refused(patient: &Patient<'_>, folder: &Path, labels: &[&Path], error: DirectoryError) -> Finding {
    let what = format!(
        "servers of yours are bound in {}, which cannot be swept: {}",
        escaped(folder),
        sweep::left_alone(folder, error, patient.user).with_advice()
    );
    let is_own = std::fs::metadata(folder)
        .is_ok_and(|about| std::os::unix::fs::MetadataExt::uid(&about) == patient.user.raw());
    let cure = match error {
        DirectoryError::Refused(Refusal::WritableByOthers(mode))
            if is_own && !shared::is_for_others(folder, patient.user) =>
        {
            let (closing, word) = (shared::close(mode), shell_word(folder));
            Cure::command(format!("chmod {closing} {word}"))
        }
        _ => {
            let path = folder.join(labels.first().copied().unwrap_or(Path::new("")));
            Cure::advice(format!(
                "start them in a folder of your own (0700); `tmux-janitor sweep -S {}` removes a socket that its server has left",
                shell_word(&path)
            ))
        }
    };
    Finding::new(Severity::Note, what, WHY, cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_toml_has_it() {
        assert_eq!(quoted("/a\"b\\c\n\u{7f}ä"), r#""/a\"b\\c\u000A\u007Fä""#);
    }
}
