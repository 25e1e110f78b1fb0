//! systemd-tmpfiles would age these sockets away.

use super::systemd::Systemd;
use super::{Cure, Finding, Patient, Severity};
use crate::escape::escaped;
use crate::socket::directory::{Rule as Strictness, SocketDir};
use crate::tmux::proc_locks::ProcLocks;
use glob::{MatchOptions, Pattern};
use std::path::Path;

/// A line of tmpfiles.d(5), as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// Its type, without modifiers.
    pub(super) kind: char,
    /// A path, or a glob for the kinds that take one.
    pub(super) path: String,
    /// Its age; empty: none.
    pub(super) age: String,
}

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let rules = rules(&patient.systemd);
    let mut locks = None;
    for directory in patient.report.directories.iter().filter(|directory| directory.error.is_none()) {
        let Some(rule) = ageing(&rules, &directory.path) else {
            continue;
        };
        let Ok(Some(dir)) = SocketDir::open(&directory.path, patient.user, Strictness::LookedAt) else {
            continue;
        };
        // What the watcher holds (`watch.protect`): systemd-tmpfiles passes by such a directory.
        if locks.get_or_insert_with(ProcLocks::read).is_held(dir.id()) {
            continue;
        }
        findings.push(Finding::new(
            Severity::Risk,
            format!(
                "systemd-tmpfiles removes what is older than {} below {}, and {} lies there without a shield",
                rule.age,
                escaped(&rule.path),
                escaped(&directory.path)
            ),
            "run in a container or another network namespace it does not see who listens, and removes live servers' sockets: they become ghosts",
            Cure::advice("systemctl --user enable --now tmux-janitor-watch.service; or for the machine: echo 'x /tmp/tmux-*' | sudo tee /etc/tmpfiles.d/tmux.conf"),
        ));
    }
}

/// The rules in force for the machine and for the user.
pub(super) fn rules(systemd: &Systemd) -> Vec<Rule> {
    let machine = systemd.run("systemd-tmpfiles", &["--cat-config"]);
    let user = systemd.run("systemd-tmpfiles", &["--user", "--cat-config"]);
    [machine, user].iter().flatten().flat_map(|text| text.lines().filter_map(parse)).collect()
}

fn parse(line: &str) -> Option<Rule> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let mut fields = line.split_ascii_whitespace().map(|field| field.trim_matches(['"', '\'']));
    let kind = fields.next()?.chars().next()?;
    let path = fields.next()?.replace("%T", "/tmp").replace("%V", "/var/tmp").replace("%%", "%");
    let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path };
    // In front of the ":" stands by which times it is counted; "~" spares the first level.
    let age = fields.nth(3).unwrap_or("-");
    let age = age.rsplit(':').next().unwrap_or_default().trim_start_matches('~');
    Some(Rule { kind, path, age: if age == "-" { String::new() } else { age.to_owned() } })
}

/// The rule by which systemd-tmpfiles ages what is in `dir`: that of the nearest folder that has one,
/// unless a line says to leave it alone.
fn ageing<'a>(rules: &'a [Rule], dir: &Path) -> Option<&'a Rule> {
    for folder in dir.ancestors() {
        let mut here = rules.iter().filter(|rule| is_for(rule, folder));
        // `X` spares the folder itself only, not what is in it.
        if here.clone().any(|rule| rule.kind == 'x') {
            return None;
        }
        if let Some(rule) = here.find(|rule| matches!(rule.kind, 'd' | 'D' | 'e' | 'v' | 'q' | 'Q')) {
            return (!rule.age.is_empty()).then_some(rule);
        }
    }
    None
}

fn is_for(rule: &Rule, folder: &Path) -> bool {
    if Path::new(&rule.path) == folder {
        return true;
    }
    let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
    matches!(rule.kind, 'x' | 'X' | 'e')
        && Pattern::new(&rule.path).is_ok_and(|glob| glob.matches_path_with(folder, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age_of(text: &str, dir: &str) -> Option<String> {
        let rules: Vec<Rule> = text.lines().filter_map(parse).collect();
        ageing(&rules, Path::new(dir)).map(|rule| rule.age.clone())
    }

    #[test]
    fn the_nearest_rule_holds() {
        let dir = "/tmp/tmux-1000";
        assert_eq!(age_of("# comment\nq /tmp 1777 root root 10d", dir), Some("10d".into()));
        assert_eq!(age_of("d! %T/ 1777 root root aM:~1h -", dir), Some("1h".into()));
        assert_eq!(age_of("D /tmp 1777 root root -", dir), None);
        assert_eq!(age_of("q /tmp 1777 root root 10d\nx /tmp/tmux-*", dir), None);
        assert_eq!(age_of("q /tmp 1777 root root 10d\nX /tmp/tmux-*", dir), Some("10d".into()));
        assert_eq!(age_of("q /tmp 1777 root root 10d\nd /tmp/tmux-1000 0700 1000 1000 -", dir), None);
        assert_eq!(age_of("q /var/tmp 1777 root root 30d", dir), None);
        assert_eq!(age_of("e /tmp/* - - - 3d", dir), Some("3d".into()));
    }
}
