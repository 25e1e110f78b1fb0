//! Jobs of cron and timers that clean `/tmp` and take live sockets along.
//!
//! What they run is read by `audit`, which goes through a script as a shell would; a cure is printed only after the line
//! that it makes was read in the same way, and found harmless.

use super::{Cure, Finding, Patient, Severity, cron};
use crate::audit::{self, AuditFinding, FileAudit};
use crate::host::apart;
use crate::host::child;
use crate::host::systemd::{Instance, Unit};
use rustix::fs::{Access, AtFlags, CWD};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::escape::{escaped, shell_word};

/// What of the rules of `audit` is spoken of here.
const RULES: [&str; 3] = ["rm-tmp", "rm-socket", "rm-lock"];

/// Most files that are looked into.
const MOST: usize = 200;

/// Something that is run by itself.
struct Source {
    /// Its file; none: the user's table of cron.
    path: Option<PathBuf>,
    text: String,
    kind: CleanerKind,
}

/// What a source is.
enum CleanerKind {
    /// A table of cron with jobs of several users.
    Table,
    /// A script, or the user's own table.
    Plain,
    /// A unit file of a manager.
    Unit(Instance),
}

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let mut sources = of_cron(patient);
    for manager in [Instance::User, Instance::System] {
        of_timers(patient, manager, &mut sources);
    }
    sources.retain(|source| source.text.contains("/tmp"));
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    sources.dedup_by(|one, other| one.path.is_some() && one.path == other.path);
    sources.truncate(MOST);
    let texts = sources.iter().map(|source| readable(patient, source, &source.text));
    let answers = match audited(texts) {
        Ok(answers) => answers,
        Err(why) => {
            return findings.push(Finding::new(
                Severity::Note,
                format!("what cron and timers do in /tmp was not looked into: {why}"),
                "a job that cleans /tmp makes ghosts of live servers",
                Cure::advice("install what is missing, then run `tmux-janitor doctor` again"),
            ));
        }
    };
    for (source, answer) in sources.iter().zip(&answers) {
        for told in answer.findings.iter().filter(|told| RULES.contains(&told.rule.as_str())) {
            findings.extend(finding(patient, source, told));
        }
    }
}

fn finding(patient: &Patient<'_>, source: &Source, told: &AuditFinding) -> Option<Finding> {
    let line = source.text.lines().nth(told.line.checked_sub(1)?)?;
    if matches!(source.kind, CleanerKind::Table) && !concerns(patient, line) {
        return None;
    }
    let place = source.path.as_ref().map_or("your crontab".to_owned(), |path| escaped(path).to_string());
    Some(Finding::new(
        Severity::Risk,
        format!(
            "{place}:{} removes tmux's sockets with what else lies in /tmp: {}",
            told.line,
            escaped(line.trim())
        ),
        "the server of a socket that is removed lives on and nobody can reach it any more: it is a ghost",
        cure(patient, source, told, line),
    ))
}

/// Whether the user who runs a job may remove what is ours.
fn concerns(patient: &Patient<'_>, job: &str) -> bool {
    let job = job.trim_start();
    let user = job.split_ascii_whitespace().nth(if job.starts_with('@') { 1 } else { 5 });
    user.is_some_and(|user| user == "root" || patient.name().as_deref() == Some(user))
}

/// Edits the line so that it leaves tmux's folders out, where that is known to be right.
fn cure(patient: &Patient<'_>, source: &Source, told: &AuditFinding, line: &str) -> Cure {
    let advice = || {
        Cure::advice(
            "take tmux's folders out of it: find /tmp … ! -path '/tmp/tmux-*' …; the dead sockets in them go with `tmux-janitor sweep`",
        )
    };
    let (path, sudo) = match &source.path {
        // A package's file would come back with its next version.
        Some(path) if path.starts_with("/usr") || path.starts_with("/lib") || path.starts_with("/run") => {
            return advice();
        }
        Some(path) => {
            let is_ours = path.parent().is_some_and(|folder| {
                [path.as_path(), folder].iter().all(|path| {
                    apart::answers(path)
                        && rustix::fs::accessat(CWD, *path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
                })
            });
            (shell_word(path), if is_ours { "" } else { patient.sudo() })
        }
        None => (String::new(), ""),
    };
    let Some(edited) =
        spared(line).into_iter().find(|edited| is_harmless(patient, source, told.line, edited))
    else {
        return advice();
    };
    let line = quoted(&format!("s|^{}$|{}|", pattern(line), replacement(&edited)));
    Cure::command(match (&source.path, &source.kind) {
        (None, _) => format!("crontab -l | sed {line} | crontab -"),
        (Some(_), CleanerKind::Unit(Instance::User)) => {
            format!("{sudo}sed -i {line} {path} && systemctl --user daemon-reload")
        }
        (Some(_), CleanerKind::Unit(Instance::System)) => {
            format!("{sudo}sed -i {line} {path} && {sudo}systemctl daemon-reload")
        }
        (Some(_), CleanerKind::Table | CleanerKind::Plain) => format!("{sudo}sed -i {line} {path}"),
    })
}

/// The line as it might be.
fn spared(line: &str) -> Vec<String> {
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Vec::new();
    }
    let quote = match (line.contains('\''), line.contains('"')) {
        (false, _) => '\'',
        (true, false) => '"',
        (true, true) => return Vec::new(),
    };
    let excluded = format!(" ! -path {quote}/tmp/tmux-*{quote}");
    let actions =
        [" -delete", " -exec ", " -execdir ", " -print0", " -print ", " | xargs ", " |xargs ", "|xargs "];
    let before = actions.iter().filter_map(|action| {
        let at = line.find(action)?;
        Some(format!("{}{excluded}{}", &line[..at], &line[at..]))
    });
    let all = ["rm -rf /tmp/*", "rm -fr /tmp/*", "rm -r /tmp/*"]
        .iter()
        .filter(|all| line.contains(**all))
        .map(|all| {
            let instead = format!("find /tmp -mindepth 1 -maxdepth 1{excluded} -exec rm -rf {{}} +");
            line.replacen(*all, &instead, 1)
        });
    before.chain(all).collect()
}

/// Whether audit finds nothing in the line, and nothing that it does not understand.
fn is_harmless(patient: &Patient<'_>, source: &Source, number: usize, edited: &str) -> bool {
    let lines = source.text.lines().enumerate();
    let text: Vec<&str> = lines.map(|(at, now)| if at + 1 == number { edited } else { now }).collect();
    let Ok(answers) = audited([readable(patient, source, &text.join("\n"))]) else { return false };
    let is_clean = |answer: &FileAudit| {
        answer.refusal.is_none()
            && answer.notes.is_empty()
            && !answer.findings.iter().any(|told| told.line == number && RULES.contains(&told.rule.as_str()))
    };
    answers.first().is_some_and(is_clean)
}

/// A word for any shell: `$'…'`, as others are shown, not every sh(1) reads.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A line as a basic regular expression that nothing else matches.
fn pattern(line: &str) -> String {
    let special = |c: char| "\\.*[]^$|".contains(c);
    line.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// A line as sed(1) puts it in place.
fn replacement(line: &str) -> String {
    let special = |c: char| "\\&|".contains(c);
    line.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// What audit says of texts. They are files in memory: nothing is written anywhere.
fn audited(texts: impl IntoIterator<Item = String>) -> Result<Vec<FileAudit>, String> {
    let file = |text: String| {
        let mut file = child::memory_file()?;
        file.write_all(text.as_bytes())?;
        Ok(file)
    };
    let files: Result<Vec<File>, std::io::Error> = texts.into_iter().map(file).collect();
    let files = files.map_err(|error| error.to_string())?;
    let path = |file: &File| PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
    let paths: Vec<PathBuf> = files.iter().map(path).collect();
    if paths.is_empty() { Ok(Vec::new()) } else { audit::run(&paths).map_err(|error| error.to_string()) }
}

/// A source's text for audit, which knows the users of a table by root: a job of ours is read as one of root's.
fn readable(patient: &Patient<'_>, source: &Source, text: &str) -> String {
    let (CleanerKind::Table, Some(name)) = (&source.kind, patient.name()) else { return text.to_owned() };
    let line = |line: &str| {
        let is_job = !line.trim_start().starts_with('#') && concerns(patient, line);
        if is_job { line.replacen(&name, "root", 1) } else { line.to_owned() }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The tables of cron, the programs in its folders, and what the jobs call.
fn of_cron(patient: &Patient<'_>) -> Vec<Source> {
    let mut sources = Vec::new();
    for table in cron::tables(patient) {
        let jobs = cron::jobs(&table.text).filter(|job| table.path.is_none() || concerns(patient, job));
        sources.extend(scripts(jobs.flat_map(|job| job.split(char::is_whitespace))));
        let kind = if table.path.is_some() { CleanerKind::Table } else { CleanerKind::Plain };
        sources.push(Source { path: table.path, text: table.text, kind });
    }
    sources.extend(scripts(cron::programs().iter().filter_map(|path| path.to_str())));
    sources
}

/// What timers start.
fn of_timers(patient: &Patient<'_>, manager: Instance, sources: &mut Vec<Source>) {
    let list = ["list-units", "--type=timer", "--no-legend", "--plain"];
    let Some(text) = patient.systemd.systemctl(manager, &list) else { return };
    let names: Vec<&str> = text.lines().filter_map(|line| line.split_ascii_whitespace().next()).collect();
    let ours = |unit: &&str| !unit.starts_with("tmux-janitor") && unit.contains('.');
    let timers = patient.systemd.show(manager, &names, "Unit").unwrap_or_default();
    let services: Vec<&str> = timers.iter().map(|timer| timer.get("Unit")).filter(ours).collect();
    if names.is_empty() || services.is_empty() {
        return;
    }
    let units = patient.systemd.show(manager, &services, "Id,FragmentPath,DropInPaths,ExecStart,User");
    let name = patient.name();
    let concerns = |unit: &&Unit| {
        let user = unit.get("User");
        manager == Instance::User || matches!(user, "" | "root") || name.as_deref() == Some(user)
    };
    for unit in units.iter().flatten().filter(concerns) {
        let files = [unit.get("FragmentPath")].into_iter().chain(unit.get("DropInPaths").split(' '));
        let files = files.filter_map(|path| {
            let path = asked(path)?;
            Some(Source { text: cron::read(&path)?, path: Some(path), kind: CleanerKind::Unit(manager) })
        });
        sources.extend(files);
        sources.extend(scripts(unit.get("ExecStart").split(['=', ' ', ';'])));
    }
}

/// A path with its links resolved, if it is there and whoever has it answers.
fn asked(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    apart::answers(path).then(|| path.canonicalize().ok()).flatten()
}

/// Those of some words that name scripts.
fn scripts<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<Source> {
    let words = words.into_iter().filter(|word| word.starts_with('/')).take(MOST);
    let script = |word: &str| {
        let path = asked(word)?;
        let text = cron::read(&path).filter(|text| text.starts_with("#!"))?;
        Some(Source { path: Some(path), text, kind: CleanerKind::Plain })
    };
    words.filter_map(script).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited_as_it_stands() {
        assert_eq!(pattern("rm -rf /tmp/* # [x].$"), "rm -rf /tmp/\\* # \\[x\\]\\.\\$");
        assert_eq!(replacement("a && b | c\\d"), "a \\&\\& b \\| c\\\\d");
        assert_eq!(
            spared("find /tmp -mtime +1 -delete"),
            ["find /tmp -mtime +1 ! -path '/tmp/tmux-*' -delete"]
        );
        assert_eq!(
            spared("sh -c 'rm -rf /tmp/*'"),
            ["sh -c 'find /tmp -mindepth 1 -maxdepth 1 ! -path \"/tmp/tmux-*\" -exec rm -rf {} +'"]
        );
        assert!(spared("sh -c \"find '/tmp' -delete\"").is_empty());
    }
}
