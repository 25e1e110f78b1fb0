//! Where a command may go: what decides whether somebody has to wait for it, and what a path that was typed leads to.

use super::setup;
use crate::cli::{Cli, Command, List};
use crate::exit::Error;
use crate::pass::Places;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::text::io_text;
use tmux_sockets::witness::Witness;

/// The paths that a command looks at, as far as its words, the environment, the configuration and the kernel's table tell them.
/// None for those that run on, that only read what was named, or that have others work for them.
pub(super) fn of(cli: &Cli) -> Vec<PathBuf> {
    let named: Vec<&Path> = match &cli.command {
        Some(Command::Sweep { all_users: true, .. } | Command::List(List { all_users: true, .. })) => {
            return Vec::new();
        }
        Some(Command::Status(arguments)) if arguments.all_users => return Vec::new(),
        Some(Command::Sweep { sockets, .. }) => sockets.iter().map(PathBuf::as_path).collect(),
        None | Some(Command::List(_) | Command::Status(_) | Command::CompleteNames { .. }) => Vec::new(),
        Some(Command::Rescue(arguments)) => arguments.path.iter().map(PathBuf::as_path).collect(),
        Some(Command::Probe(arguments)) => arguments.path.iter().map(PathBuf::as_path).collect(),
        Some(Command::Spawn(arguments)) => {
            arguments.cwd.iter().map(PathBuf::as_path).chain([Path::new(".")]).collect()
        }
        Some(Command::Doctor { .. }) => vec![Path::new(".")],
        Some(Command::Setup { .. }) => return setup::paths(),
        Some(Command::Audit { files, .. }) => return files.clone(),
        Some(
            Command::Watch { .. }
            | Command::Events { .. }
            | Command::CheckConfig { .. }
            | Command::CarryOut { .. }
            | Command::HandOver { .. }
            | Command::Completions { .. }
            | Command::Man { .. },
        ) => return Vec::new(),
    };
    let mut paths: Vec<PathBuf> = named.into_iter().map(Path::to_owned).collect();
    // Where other programs are run, and looked for.
    if matches!(cli.command, Some(Command::Spawn(_) | Command::Doctor { .. })) {
        paths.extend(std::env::var_os("HOME").map(PathBuf::from));
        paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    }
    paths.extend(cli.global.dir.iter().cloned());
    if cli.global.dir.is_empty() {
        let user = Uid::ours();
        let mut witness = Witness::new(user);
        witness.refresh();
        // The command itself says what is wrong with it.
        let settings = super::load_settings(&cli.global).unwrap_or_default();
        paths.extend(Places::of(&settings, witness.table(), user).targets.into_iter().map(|at| at.path));
    }
    paths
}

/// Why a relative path says nothing (getcwd(3), `ENOENT`).
pub(super) const ADRIFT: &str =
    "the folder that this runs in is gone, so that a relative path leads nowhere; give the whole path";

/// A path from the root on; `what`: the option or argument that it was given by.
///
/// # Errors
/// An empty path, and a relative one where the working directory has been removed.
pub(super) fn whole(what: &str, path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|error| {
        let why = if error.kind() == ErrorKind::NotFound { ADRIFT.to_owned() } else { io_text(&error) };
        Error::Usage(format!("{what} \"{}\": {why}", escaped(path)))
    })
}
