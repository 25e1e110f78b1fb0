//! Man pages.
//!
//! The pages are prose (`packaging/man`); their options, commands and exit codes are put in from the
//! command line's definition, so that they cannot drift.

use super::{Cli, EXIT_CODES};
use crate::exit::Error;
use crate::exit::Exit;
use clap::{Arg, Command, CommandFactory};
use std::fmt::Write;
use std::io;
use std::path::Path;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::text::io_text;

/// The pages and their names.
const PAGES: [(&str, &str); 8] = [
    ("tmux-janitor.1", include_str!("../../packaging/man/tmux-janitor.1")),
    ("tmux-janitor-audit.1", include_str!("../../packaging/man/tmux-janitor-audit.1")),
    ("tmux-janitor.json.5", include_str!("../../packaging/man/tmux-janitor.json.5")),
    ("tmux-janitor.toml.5", include_str!("../../packaging/man/tmux-janitor.toml.5")),
    ("tmux-janitor.service.8", include_str!("../../packaging/man/tmux-janitor.service.8")),
    ("tmux-janitor.timer.8", UNITS),
    ("tmux-janitor-watch.service.8", UNITS),
    ("tmux-janitor-watch@.service.8", UNITS),
];

/// The page of a unit that has none of its own leads to that of all: the path is from the root of the hierarchy, soelim(1).
const UNITS: &str = ".so man8/tmux-janitor.service.8\n";

/// The man pages, by their names.
pub(crate) fn pages() -> Vec<(&'static str, String)> {
    let mut cli = Cli::command();
    cli.build();
    PAGES.iter().map(|(name, page)| (*name, fill(page, &cli))).collect()
}

/// Writes the man pages into a folder, which is made if it is missing.
pub(crate) fn man(dir: &Path) -> Result<Exit, Error> {
    let failed = |path: &Path, error: &io::Error| {
        Error::Output(io::Error::new(error.kind(), format!("{}: {}", escaped(path), io_text(error))))
    };
    std::fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
    for (name, page) in pages() {
        let path = dir.join(name);
        std::fs::write(&path, page).map_err(|error| failed(&path, &error))?;
    }
    Ok(Exit::Done)
}

fn fill(page: &str, cli: &Command) -> String {
    page.replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@GLOBAL@", options(cli, true).trim_end())
        .replace("@COMMANDS@", commands(cli).trim_end())
        .replace("@EXIT@", exit_codes().trim_end())
}

/// A paragraph per exit code. In the help a code stands at the beginning of a line, and what goes on is indented further.
fn exit_codes() -> String {
    let mut text = String::new();
    for line in EXIT_CODES.lines().skip(1) {
        // Writing to a String cannot fail.
        let _ = match line.trim_start().split_once(' ') {
            Some((code, meaning)) if code.bytes().all(|byte| byte.is_ascii_digit()) => {
                writeln!(text, ".TP\n.B {code}\n{}", roff(meaning.trim_start()))
            }
            _ => writeln!(text, "{}", roff(line.trim_start())),
        };
    }
    text
}

/// A section per command that people call.
fn commands(cli: &Command) -> String {
    let mut text = String::new();
    let is_shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    for command in cli.get_subcommands().filter(is_shown) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, ".SH \"COMMAND {}\"", roff(&command.get_name().to_uppercase()));
        let _ = writeln!(text, ".B tmux\\-janitor {}", roff(&usage(command)));
        let about = command.get_long_about().or_else(|| command.get_about());
        for paragraph in about.map(ToString::to_string).unwrap_or_default().split("\n\n") {
            let _ = writeln!(text, ".PP\n{}", roff(paragraph));
        }
        text.push_str(&options(command, false));
    }
    text
}

/// `sweep [OPTIONS]`: what follows the program's name.
fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage: ").trim_start_matches("tmux-janitor ").to_owned()
}

/// The arguments of a command: those of all commands, or its own.
fn options(command: &Command, global: bool) -> String {
    let mut text = String::new();
    let is_wanted = |arg: &&Arg| {
        let is_common = arg.is_global_set() || ["help", "version"].contains(&arg.get_id().as_str());
        !arg.is_hide_set() && is_common == global
    };
    for arg in command.get_arguments().filter(is_wanted) {
        let _ = writeln!(text, ".TP\n.B {}", roff(&names(arg)));
        let help =
            arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "{}.", roff(help.trim_end_matches('.')));
        for value in arg.get_possible_values().iter().filter(|value| value.get_help().is_some()) {
            let help = value.get_help().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(
                text,
                ".br\n.BR {} :\n{}.",
                roff(value.get_name()),
                roff(help.trim_end_matches('.'))
            );
        }
    }
    text
}

/// `-v, --verbose`, `--dir DIR`, or an argument's own name.
fn names(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let mut names: Vec<String> = short.into_iter().chain(long).collect();
    let values = arg.get_value_names().unwrap_or_default().join(" ");
    if names.is_empty() {
        return values;
    }
    if arg.get_action().takes_values() {
        names.last_mut().into_iter().for_each(|last| last.extend([" ", &values]));
    }
    names.join(", ")
}

/// Text with what roff(7) would take for its own made harmless, and what stands in backticks in bold.
fn roff(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let parts: Vec<_> =
            line.split('`').map(|part| part.replace('\\', "\\e").replace('-', "\\-")).collect();
        let bold = |pair: &[String]| match pair {
            [plain, code] => format!("{plain}\\fB{code}\\fR"),
            rest => rest.concat(),
        };
        let line = if parts.len() % 2 == 1 { parts.chunks(2).map(bold).collect() } else { parts.join("`") };
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_filled() {
        let mut cli = Cli::command();
        cli.build();
        for (name, page) in PAGES {
            let filled = fill(page, &cli);
            let gap = |word: &&str| word.len() > 2 && word.starts_with('@') && word.ends_with('@');
            assert_eq!(filled.split_whitespace().find(gap), None, "{name}");
        }
    }

    #[test]
    fn what_stands_in_backticks_is_bold() {
        assert_eq!(roff("`a-b`, c `d`"), "\\fBa\\-b\\fR, c \\fBd\\fR");
        assert_eq!(roff("one ` alone"), "one ` alone");
    }

    #[test]
    fn what_begins_a_request_is_text() {
        assert_eq!(roff(".x -y\\\n'z"), "\\&.x \\-y\\e\n\\&'z");
    }
}
