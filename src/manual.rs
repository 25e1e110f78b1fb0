//! Man pages and completions, made from the command line's definition so that they cannot drift.

use crate::cli::Cli;
use crate::error::Error;
use crate::output::Output;
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

/// Prints a shell's completion script.
pub fn completions(shell: Shell, output: &mut Output) -> Result<crate::exit::Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tmux-janitor", &mut script);
    output.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(crate::exit::Exit::Done)
}

/// Writes `tmux-janitor.1` and a page per command into a folder, which is made if it is missing.
pub fn man(dir: &Path, output: &mut Output) -> Result<crate::exit::Exit, Error> {
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .map_err(Error::Output)?;
    output.text("")?;
    Ok(crate::exit::Exit::Done)
}
