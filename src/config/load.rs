//! Finding and reading the configuration file.

use super::{ConfigError, Settings, file};
use crate::escape::escaped;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The machine's configuration.
const MACHINE: &str = "/etc/tmux-janitor/config.toml";

/// Loads the first of: the file given, the user's, the machine's. Without any, the defaults.
///
/// # Errors
/// A file that is wrong or that is there but cannot be read; the given one also if it is missing.
pub fn load(given: Option<&Path>) -> Result<Settings, ConfigError> {
    if let Some(path) = given {
        return read_file(path);
    }
    for path in user_file().into_iter().chain([PathBuf::from(MACHINE)]) {
        if let Some(text) = read(&path)? {
            return file::parse(&path, &text);
        }
    }
    Ok(Settings::default())
}

/// Reads one file, which must be there.
pub fn read_file(path: &Path) -> Result<Settings, ConfigError> {
    match read(path)? {
        Some(text) => file::parse(path, &text),
        None => Err(ConfigError(format!("{}: no such file; name one that is there", escaped(path)))),
    }
}

/// The text of a file; `None`: it is not there.
fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(ConfigError(format!(
            "{}: cannot be read ({error}); it may hold a `keep` list, so nothing is done without it",
            escaped(path)
        ))),
    }
}

/// `$XDG_CONFIG_HOME/tmux-janitor/config.toml`; a relative `XDG_CONFIG_HOME` counts as unset (XDG
/// Base Directory Specification).
fn user_file() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || {
        absolute("HOME").or_else(|| {
            nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.dir)
        })
    };
    let base = absolute("XDG_CONFIG_HOME").or_else(|| home().map(|home| home.join(".config")))?;
    Some(base.join("tmux-janitor/config.toml"))
}
