//! Man pages.
//!
//! The pages are prose (`packaging/man`); their options, commands and exit codes are put in from the
//! command line's definition, so that they cannot drift.

use super::{Cli, EXIT_CODES};
use crate::exit::Error;
use crate::exit::Exit;
use clap::{Arg, Command, CommandFactory};
use std::fmt::Write;
use std::path::Path;

/// The pages and their names.
const PAGES: [(&str, &str); 3] = [
    ("tmux-janitor.1", include_str!("../../packaging/man/tmux-janitor.1")),
    ("tmux-janitor.toml.5", include_str!("../../packaging/man/tmux-janitor.toml.5")),
    ("tmux-janitor.service.8", include_str!("../../packaging/man/tmux-janitor.service.8")),
];

/// The man pages, by their names.
pub(crate) fn pages() -> Vec<(&'static str, String)> {
    let mut cli = Cli::command();
    cli.build();
    PAGES.iter().map(|(name, page)| (*name, fill(page, &cli))).collect()
}

/// Writes the man pages into a folder, which is made if it is missing.
pub(crate) fn man(dir: &Path) -> Result<Exit, Error> {
    std::fs::create_dir_all(dir).map_err(Error::Output)?;
    for (name, page) in pages() {
        std::fs::write(dir.join(name), page).map_err(Error::Output)?;
    }
    Ok(Exit::Done)
}

fn fill(page: &str, cli: &Command) -> String {
    let exit = EXIT_CODES.split_once('\n').map_or("", |(_, codes)| codes);
    page.replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@GLOBAL@", options(cli, true).trim_end())
        .replace("@COMMANDS@", commands(cli).trim_end())
        .replace("@EXIT@", &roff(exit))
}

/// A section per command that people call.
fn commands(cli: &Command) -> String {
    let mut text = String::new();
    for command in cli.get_subcommands().filter(|command| !command.is_hide_set()) {
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
            let _ = writeln!(text, ".br\n.B {}\n{}", roff(value.get_name()), roff(&help));
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

/// Text with what roff(7) would take for its own made harmless.
fn roff(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
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
    fn what_begins_a_request_is_text() {
        assert_eq!(roff(".x -y\\\n'z"), "\\&.x \\-y\\e\n\\&'z");
    }
}
