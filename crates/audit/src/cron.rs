//! Tables of cron: crontab(5).

use super::text::Text;
use super::variables::{Value, Variables};
use std::path::Path;

/// What a table runs.
#[derive(Debug)]
pub(super) struct Table {
    /// Its comments: where they stand, and what they say.
    pub(super) comments: Vec<(usize, String)>,
    /// The command of each job, with what is known of the variables at that line.
    pub(super) jobs: Vec<(Text, Variables)>,
}

/// Reads a table. `has_user`: a command stands behind the name of a user, as in `/etc/crontab`.
pub(super) fn read(text: &Text, has_user: bool) -> Table {
    let (mut comments, mut jobs) = (Vec::new(), Vec::new());
    let whole = text.as_str();
    let mut variables = Variables::default();
    let mut at = 0;
    for line in whole.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let line = line.trim_end_matches(['\n', '\r']);
        let bare = line.trim_start();
        let begin = start + line.len() - bare.len();
        if bare.starts_with('#') {
            comments.push((text.place(begin), bare.to_owned()));
        } else if let Some((name, value)) = setting(bare) {
            let known = Text::made(value, text.place(begin));
            variables.set(name, Some(Value::text(known)));
        } else if let Some(behind) = schedule(bare) {
            let user = has_user || bare[behind..].split([' ', '\t']).next() == Some("root");
            let command = behind + if user { word(&bare[behind..]) } else { 0 };
            let mut job = Text::default();
            command_of(text, begin + command, start + line.len(), &mut job);
            jobs.push((job, variables.clone()));
        }
    }
    Table { comments, jobs }
}

/// The command: up to a `%`, behind which stands what it reads; `\%` is one.
fn command_of(text: &Text, start: usize, end: usize, job: &mut Text) {
    let mut from = start;
    let line = &text.as_str()[start..end];
    for (at, _) in line.match_indices('%') {
        if at == 0 || !line[..at].ends_with('\\') {
            return job.push_part(text, from, start + at);
        }
        job.push_part(text, from, start + at - 1);
        from = start + at;
    }
    job.push_part(text, from, end);
}

/// `NAME=value`, with or without quotes.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim_end();
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    is_name.then(|| (name, value.trim().trim_matches(['"', '\''])))
}

/// Where the command begins, or the user, behind a schedule: five fields, or `@daily`.
fn schedule(line: &str) -> Option<usize> {
    let fields = if line.starts_with('@') { 1 } else { 5 };
    let mut at = 0;
    for _ in 0..fields {
        let rest = &line[at..];
        let field = rest.split([' ', '\t']).next().unwrap_or_default();
        let is_time = |byte: u8| byte.is_ascii_alphanumeric() || b"*,-/~@".contains(&byte);
        let begins = field.starts_with(|c: char| c.is_ascii_alphanumeric() || "*@".contains(c));
        if !begins || !field.bytes().all(is_time) {
            return None;
        }
        at += word(rest);
    }
    let is_first = |c: char| c.is_ascii_digit() || "*@".contains(c);
    (at < line.len() && line.starts_with(is_first)).then_some(at)
}

/// The length of the first word and of the blanks behind it.
fn word(text: &str) -> usize {
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    end + text[end..].len() - text[end..].trim_start_matches([' ', '\t']).len()
}

/// Whether a file is such a table: by its place, or by its first line that says anything.
pub(super) fn is_table(path: &Path, text: &str) -> bool {
    let is_comment = |line: &&str| line.is_empty() || line.starts_with('#');
    let mut lines = text.lines().map(str::trim).filter(|line| !is_comment(line));
    let first = lines.find(|line| setting(line).is_none()).unwrap_or_default();
    !text.starts_with("#!") && (has_users(path) || schedule(first).is_some())
}

/// Whether its jobs name the user who runs them.
pub(super) fn has_users(path: &Path) -> bool {
    path == Path::new("/etc/crontab") || path.parent().is_some_and(|folder| folder.ends_with("cron.d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_told_from_what_is_none() {
        let command = |line: &'static str| schedule(line).map(|at| &line[at..]);
        assert_eq!(command("*/10 * * * * find /tmp"), Some("find /tmp"));
        assert_eq!(command("0 4\t1-7 JAN,feb  mon  root x"), Some("root x"));
        assert_eq!(command("@daily  rm -rf /tmp/*"), Some("rm -rf /tmp/*"));
        for line in
            ["find /tmp -mtime 1 -o x", "rm a b c d e", "0 1 2 3", "0 1 2 3 4", "@daily", "5 4 3 2 $1 x"]
        {
            assert_eq!(command(line), None, "{line}");
        }
        assert!(is_table(Path::new("x"), "# a\nMAILTO=\"\"\n\n1 2 3 4 5 x\n"));
        assert!(is_table(Path::new("/etc/cron.d/x"), ""));
        assert!(!is_table(Path::new("x"), "#!/bin/sh\n1 2 3 4 5 x\n"));
        assert!(!is_table(Path::new("x"), "a=1\necho\n"));
    }

    #[test]
    fn a_percent_ends_the_command() {
        let told = |line: &str| {
            let mut job = Text::default();
            command_of(&Text::of_file(line.to_owned()), 0, line.len(), &mut job);
            job.as_str().to_owned()
        };
        assert_eq!(told(r"date +\%d; mail%body%"), "date +%d; mail");
        assert_eq!(told("plain"), "plain");
    }
}
