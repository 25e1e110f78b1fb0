//! Options of all commands that stand before the command as well as behind it.
//!
//! clap hands such an option down, and where it stands on both sides only what is behind the command is left. So a line
//! that has one twice is read once more, with each side by itself.

use super::{Cli, Command, definition};
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Parser};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The options whose two sides are put together, or forbid each other.
const PATHS: [&str; 2] = ["dir", "config"];

/// Reads a command line, its first word being the program's name.
///
/// # Errors
/// It makes no sense, or asks for help: what clap has to say.
pub(crate) fn parse(line: &[OsString]) -> Result<Cli, clap::Error> {
    let mut cli = Cli::try_parse_from(line)?;
    if PATHS.iter().any(|name| count(line, name) > 1) {
        put_together(&mut cli, line)?;
    }
    match &cli.command {
        Some(Command::Sweep { sockets, .. }) if !sockets.is_empty() && !cli.global.dir.is_empty() => {
            Err(conflict("the argument '--dir <DIR>' cannot be used with '-S <PATH>'"))
        }
        Some(Command::Probe(arguments)) if arguments.label.is_some() && cli.global.dir.len() > 1 => {
            Err(conflict(
                "`probe -L` looks in one folder, as `tmux -L` does: give one --dir, or the whole path with -S",
            ))
        }
        _ => Ok(cli),
    }
}

/// How often an option is on the line at most: a word that looks like it may be something else.
fn count(line: &[OsString], name: &str) -> usize {
    let option = format!("--{name}");
    line.iter().filter(|word| word.as_bytes().starts_with(option.as_bytes())).count()
}

fn put_together(cli: &mut Cli, line: &[OsString]) -> Result<(), clap::Error> {
    let is_one = |arg: &Arg| PATHS.contains(&arg.get_id().as_str());
    let apart = definition().mut_args(|arg| if is_one(&arg) { arg.global(false) } else { arg });
    let own: Vec<Arg> = apart.get_arguments().filter(|arg| is_one(arg)).cloned().collect();
    let matches = apart.mut_subcommands(|command| command.args(&own)).try_get_matches_from(line)?;
    let behind = matches.subcommand().map(|(_, behind)| behind);
    let of = |name| {
        let at = |side: &ArgMatches| -> Vec<PathBuf> {
            side.get_many(name).into_iter().flatten().cloned().collect()
        };
        [at(&matches), behind.map(at).unwrap_or_default()]
    };
    if of("config").iter().all(|side| !side.is_empty()) {
        return Err(conflict("the argument '--config <FILE>' cannot be used multiple times"));
    }
    cli.global.dir = of("dir").concat();
    Ok(())
}

fn conflict(why: &str) -> clap::Error {
    definition().error(ErrorKind::ArgumentConflict, why)
}
