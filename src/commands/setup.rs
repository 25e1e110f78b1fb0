//! `setup`: the user's units, man pages and completions.

use crate::cli::{Global, completions, manual};
use crate::exit::output::Output;
use crate::exit::{Error, Exit};
use crate::logging::journal;
use crate::setup::{self, Papers};
use clap_complete::Shell;
use std::path::PathBuf;

pub(super) fn setup(
    global: &Global,
    (now, remove, print): (bool, bool, bool),
    output: &mut Output,
) -> Result<Exit, Error> {
    if print {
        output.bytes(setup::print(&papers())?.as_bytes())?;
        return Ok(Exit::Done);
    }
    let outcome = if remove { setup::remove()? } else { setup::put(&papers(), now)? };
    let text: String = outcome.said.iter().flat_map(|line| [line, "\n"]).collect();
    if output.is_muted() {
        journal::said(&text, outcome.failed.is_empty());
    }
    if !global.quiet {
        output.text(&text)?;
    }
    for failed in &outcome.failed {
        tracing::error!("{failed}");
    }
    Ok(match (outcome.failed.is_empty(), outcome.is_refused) {
        (true, _) => Exit::Done,
        (false, true) => Exit::NoPermission,
        (false, false) => Exit::Found,
    })
}

fn papers() -> Papers {
    Papers {
        pages: manual::pages(),
        bash: completions::script(Shell::Bash),
        zsh: completions::script(Shell::Zsh),
        fish: completions::script(Shell::Fish),
    }
}

/// Where it goes, and where it looks for programs.
pub(super) fn paths() -> Vec<PathBuf> {
    let folders = ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"];
    let mut paths: Vec<PathBuf> = folders.iter().filter_map(std::env::var_os).map(PathBuf::from).collect();
    paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    paths
}
