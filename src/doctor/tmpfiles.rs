//! systemd-tmpfiles would age these sockets away.
//!
//! It spares what somebody listens on, as far as its own network namespace shows: run in another one, it removes live
//! servers' sockets. What keeps it off was read in `dir_cleanup()` of its tmpfiles.c and tried with 252: a line of its
//! own for a name (a glob with a leading `*` does not match a leading dot), and a lock on a folder that it comes to from
//! above, which is the watcher's shield. A rule that begins at the folder itself heeds neither.

use super::{Cure, Finding, Patient, Severity};
use crate::host::systemd::Systemd;
use glob::{MatchOptions, Pattern};
use std::path::{Path, PathBuf};
use tmux_sockets::judge::State;
use tmux_sockets::kernel::ProcLocks;
use tmux_sockets::kernel::escape::{escaped, shell_word};
use tmux_sockets::report::DirectoryReport;
use tmux_sockets::tmux::paths;
use tmux_sockets::tmux::{SocketDir, Strictness};

/// A line of tmpfiles.d(5), as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TmpfilesLine {
    /// Its type, without modifiers.
    pub(super) kind: char,
    /// A path, or a glob for the kinds that take one.
    pub(super) path: String,
    /// Its age; empty: none.
    pub(super) age: String,
}

/// Whose rules they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Machine,
    User,
}

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    // Without systemd nothing runs it.
    if !Systemd::is_here() {
        return;
    }
    let mut locks = None;
    for owner in [Owner::Machine, Owner::User] {
        let rules = rules_of(&patient.systemd, owner);
        for directory in patient.report.directories.iter().filter(|directory| directory.error.is_none()) {
            let Ok(Some(dir)) = SocketDir::open(&directory.path, patient.user, Strictness::LookedAt) else {
                continue;
            };
            let labels = labels(patient, &directory.path);
            // What the watcher holds (`watch.protect`).
            let is_shielded = locks.get_or_insert_with(ProcLocks::read_twice).is_held(dir.id());
            let Some(rule) = ageing(&rules, &directory.path, is_shielded, &labels) else {
                continue;
            };
            findings.push(Finding::new(
                Severity::Risk,
                format!(
                    "systemd-tmpfiles removes what is older than {} below {}, and {} lies there {}",
                    rule.age,
                    escaped(&rule.path),
                    escaped(&directory.path),
                    if is_shielded { "(the watcher's shield does not hold that rule off)" } else { "without a shield" }
                ),
                "run in a container or another network namespace it does not see who listens, and removes live servers' sockets: they become ghosts",
                cure(patient, owner, &rules, directory, &labels),
            ));
        }
    }
}

/// Labels to judge by: what is there, and what may come.
fn labels(patient: &Patient<'_>, dir: &Path) -> Vec<PathBuf> {
    let live = patient.report.entries.iter().filter(|entry| entry.verdict.state == State::Live);
    let here = live.map(|entry| patient.report.path_of(entry)).filter(|path| path.parent() == Some(dir));
    here.chain([dir.join(paths::DEFAULT_LABEL)]).collect()
}

/// Lines that keep it off; a sentence where other lines are in their way.
fn cure(
    patient: &Patient<'_>,
    owner: Owner,
    rules: &[TmpfilesLine],
    directory: &DirectoryReport,
    labels: &[PathBuf],
) -> Cure {
    let dir = &directory.path;
    let path = dir.display().to_string();
    let is_tmuxs = paths::Rule::of(dir, patient.user) == paths::Rule::Tmux;
    let folder = match path.strip_suffix(&patient.user.to_string()).filter(|_| is_tmuxs) {
        // One line for all users.
        Some(program) => format!("{program}*"),
        None => path,
    };
    // The folder, what is in it, and what in it begins with a dot.
    let lines = ["", "/*", "/.*"].map(|rest| format!("x {folder}{rest}"));
    let with: Vec<TmpfilesLine> =
        rules.iter().cloned().chain(lines.iter().filter_map(|line| parse(line))).collect();
    let is_plain = !folder.contains(|c: char| c.is_whitespace() || c.is_control() || "%\"'\\".contains(c));
    if !is_plain || ageing(&settle(with), dir, false, labels).is_some() {
        return Cure::advice(format!(
            "in the rules that `systemd-tmpfiles --cat-config` shows, leave {} alone: tmpfiles.d(5), lines of type x",
            escaped(dir)
        ));
    }
    let lines = lines.map(|line| shell_word(&line)).join(" ");
    let (place, root) = match owner {
        Owner::Machine => ("/etc/tmpfiles.d", patient.sudo()),
        Owner::User => ("\"${XDG_CONFIG_HOME:-$HOME/.config}\"/user-tmpfiles.d", ""),
    };
    Cure::command(format!(
        "{root}mkdir -p {place} && printf '%s\\n' {lines} | {root}tee -a {place}/tmux-sockets.conf >/dev/null"
    ))
}

/// The rules in force for the machine and for the user.
pub(super) fn rules(systemd: &Systemd) -> Vec<TmpfilesLine> {
    [Owner::Machine, Owner::User].into_iter().flat_map(|owner| rules_of(systemd, owner)).collect()
}

fn rules_of(systemd: &Systemd, owner: Owner) -> Vec<TmpfilesLine> {
    let arguments: &[&str] = match owner {
        Owner::Machine => &["--cat-config"],
        Owner::User => &["--user", "--cat-config"],
    };
    let text = systemd.run("systemd-tmpfiles", arguments).unwrap_or_default();
    settle(text.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<TmpfilesLine> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let mut fields = line.split_ascii_whitespace().map(|field| field.trim_matches(['"', '\'']));
    let kind = fields.next()?;
    // "!": at boot only, when nothing is aged.
    let is_at_boot = kind.contains('!');
    let kind = kind.chars().next()?;
    let path = fields.next()?.replace("%T", "/tmp").replace("%V", "/var/tmp").replace("%%", "%");
    let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path };
    // In front of the ":" stands by which times it is counted; "~" spares the first level.
    let age = fields.nth(3).unwrap_or("-");
    let age = age.rsplit(':').next().unwrap_or_default().trim_start_matches('~');
    let has_age = age != "-" && !is_at_boot;
    Some(TmpfilesLine { kind, path, age: if has_age { age.to_owned() } else { String::new() } })
}

/// Whether a kind takes a glob: `needs_glob()`.
fn takes_glob(kind: char) -> bool {
    "wexXrRzZmtTaAhH".contains(kind)
}

/// What comes of all lines: of two for one path the first holds (`item_compatible()`), and an `X` has the age of the
/// nearest folder above it.
fn settle(lines: Vec<TmpfilesLine>) -> Vec<TmpfilesLine> {
    let mut rules: Vec<TmpfilesLine> = Vec::new();
    let owns = |kind: char| !"zZmtTaAhH".contains(kind);
    for line in lines {
        let is_second = |rule: &TmpfilesLine| {
            rule.path == line.path
                && takes_glob(rule.kind) == takes_glob(line.kind)
                && owns(rule.kind)
                && owns(line.kind)
        };
        if !rules.iter().any(is_second) {
            rules.push(line);
        }
    }
    let ages: Vec<(PathBuf, String)> = rules
        .iter()
        .filter(|rule| matches!(rule.kind, 'd' | 'D' | 'v' | 'q' | 'Q'))
        .map(|rule| (PathBuf::from(&rule.path), rule.age.clone()))
        .collect();
    for rule in rules.iter_mut().filter(|rule| rule.kind == 'X') {
        let above = |folder: &&Path| folder.parent().is_some() || folder.as_os_str() == "/";
        let nearest = Path::new(&rule.path)
            .ancestors()
            .filter(above)
            .find_map(|folder| ages.iter().find(|(path, _)| path == folder));
        if let Some((_, age)) = nearest {
            rule.age.clone_from(age);
        }
    }
    rules
}

/// A rule by which systemd-tmpfiles ages one of the sockets in `dir`.
fn ageing<'a>(
    rules: &'a [TmpfilesLine],
    dir: &Path,
    is_shielded: bool,
    sockets: &[PathBuf],
) -> Option<&'a TmpfilesLine> {
    let ages = |rule: &&TmpfilesLine| {
        !rule.age.is_empty() && matches!(rule.kind, 'd' | 'D' | 'e' | 'v' | 'q' | 'Q' | 'C' | 'X')
    };
    let has_its_own = |path: &Path| rules.iter().any(|rule| is_for(rule, path));
    rules.iter().filter(ages).find(|rule| {
        dir.ancestors().filter(|folder| is_for(rule, folder)).any(|folder| {
            let between = || dir.ancestors().take_while(|path| *path != folder);
            let is_held_off = (is_shielded && folder != dir) || between().any(has_its_own);
            !is_held_off && sockets.iter().any(|socket| !has_its_own(socket))
        })
    })
}

/// As `find_glob()`: fnmatch(3) with `FNM_PATHNAME` and `FNM_PERIOD`.
fn is_for(rule: &TmpfilesLine, path: &Path) -> bool {
    if !takes_glob(rule.kind) {
        return Path::new(&rule.path) == path;
    }
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    Pattern::new(&rule.path).is_ok_and(|glob| glob.matches_path_with(path, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(text: &str, is_shielded: bool, labels: &[&str]) -> Option<String> {
        let dir = Path::new("/tmp/tmux-1000");
        let rules = settle(text.lines().filter_map(parse).collect());
        let sockets: Vec<PathBuf> = labels.iter().map(|label| dir.join(label)).collect();
        ageing(&rules, dir, is_shielded, &sockets).map(|rule| rule.age.clone())
    }

    /// Each line was tried with systemd-tmpfiles of 252, in another network namespace.
    #[test]
    fn what_is_aged_away_and_what_keeps_it_off() {
        const TMP: &str = "q /tmp 1777 root root 10d";
        const ITSELF: &str = "d /tmp/tmux-1000 - - - 1s";
        for (rules, plain, shielded) in [
            (&["# comment", TMP][..], true, false),
            (&["q! /tmp 1777 root root 10d"], false, false),
            (&["D /tmp 1777 root root -"], false, false),
            (&["q /var/tmp 1777 root root 30d"], false, false),
            (&[TMP, "x /tmp/tmux-*"], false, false),
            (&[TMP, "X /tmp/tmux-*"], true, true),
            (&[TMP, "x /tmp/tmux-*/*"], false, false),
            (&[TMP, "z /tmp/tmux-* - - - -"], false, false),
            (&[TMP, "d /tmp/tmux-1000 0700 1000 1000 -"], false, false),
            (&[ITSELF], true, true),
            (&[ITSELF, "x /tmp/tmux-*"], true, true),
            (&[ITSELF, "x /tmp/tmux-1000"], true, true),
            (&[ITSELF, "x /tmp/tmux-*/*"], false, false),
            (&["e /tmp/tmux-* - - - 1s"], true, true),
            (&["e /tmp/tmux-* - - - 1s", "x /tmp/tmux-*"], true, true),
            (&["e /tmp/tmux-* - - - 1s", "x /tmp/tmux-*/*"], false, false),
            (&["e /tmp/* - - - 1s"], true, true),
        ] {
            let text = rules.join("\n");
            assert_eq!(age(&text, false, &["a"]).is_some(), plain, "{text}");
            assert_eq!(age(&text, true, &["a"]).is_some(), shielded, "{text}, shielded");
        }
        assert!(age("d /tmp/tmux-1000 - - - 1s\nx /tmp/tmux-*/*", false, &["a", ".b"]).is_some());
        assert!(
            age("d /tmp/tmux-1000 - - - 1s\nx /tmp/tmux-*/*\nx /tmp/tmux-*/.*", false, &["a", ".b"])
                .is_none()
        );
        assert_eq!(age("d %T/ 1777 root root aM:~1h -", false, &["a"]), Some("1h".into()));
    }
}
