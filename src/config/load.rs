//! Finding and reading the configuration file.

use super::{ConfigError, Settings, file};
use crate::host::{self, apart, sandbox, user_database};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::Mounts;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;

/// The machine's configuration.
const MACHINE: &str = "/etc/tmux-janitor/config.toml";

/// Loads the first of: the file given, the user's, the machine's. Without any, the defaults.
///
/// # Errors
/// A file that is wrong or that is there but cannot be read; the given one also if it is missing.
pub(crate) fn load(given: Option<&Path>) -> Result<Settings, ConfigError> {
    if let Some(path) = given {
        return read_file(path);
    }
    let user_file = user_file()?;
    if let Some(path) = &user_file {
        if sandbox::hides_home(&Mounts::read(), path) {
            return Err(ConfigError(format!(
                "{}: this unit hides it (ProtectHome=); it may hold a `keep` list, so nothing is done without it; ProtectHome=read-only shows it",
                escaped(path)
            )));
        }
    }
    for path in user_file.into_iter().chain([PathBuf::from(MACHINE)]) {
        if let Some(text) = read(&path, false)? {
            let settings = file::parse(&path, &text)?;
            tracing::debug!("configuration: {}", escaped(&path));
            return Ok(settings);
        }
    }
    tracing::debug!("configuration: there is none, the defaults hold");
    Ok(Settings::default())
}

/// Reads one file, which must be there.
pub(crate) fn read_file(path: &Path) -> Result<Settings, ConfigError> {
    match read(path, true)? {
        Some(text) => {
            let settings = file::parse(path, &text)?;
            tracing::debug!("configuration: {}", escaped(path));
            Ok(settings)
        }
        None => Err(ConfigError(format!("{}: no such file; name one that is there", escaped(path)))),
    }
}

/// The text of a file; `None`: it is not there.
fn read(path: &Path, is_named: bool) -> Result<Option<String>, ConfigError> {
    // On a mount that may not answer a child reads it.
    let bytes = apart::read(path, is_named).unwrap_or_else(|| host::read::read_bytes(path, is_named));
    let text = bytes.and_then(|bytes| {
        String::from_utf8(bytes)
            .map_err(|_| std::io::Error::new(ErrorKind::InvalidData, "stream did not contain valid UTF-8"))
    });
    match text {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(ConfigError(format!(
            "{}: cannot be read ({}); it may hold a `keep` list, so nothing is done without it",
            escaped(path),
            tmux_sockets::kernel::text::io_text(&error)
        ))),
    }
}

/// `$XDG_CONFIG_HOME/tmux-janitor/config.toml`; a relative `XDG_CONFIG_HOME` counts as unset (XDG
/// Base Directory Specification).
fn user_file() -> Result<Option<PathBuf>, ConfigError> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = match absolute("XDG_CONFIG_HOME") {
        Some(base) => Some(base),
        None => match absolute("HOME") {
            Some(home) => Some(home),
            None => home_of_account()?,
        }
        .map(|home| home.join(".config")),
    };
    Ok(base.map(|base| base.join("tmux-janitor/config.toml")))
}

/// `None`: there is no account.
fn home_of_account() -> Result<Option<PathBuf>, ConfigError> {
    match user_database::user(Uid::ours()) {
        Ok(account) => Ok(account.map(|account| account.home).filter(|home| home.is_absolute())),
        Err(errno) => Err(ConfigError(format!(
            "the home of this user, where a configuration may be, cannot be looked up ({}); nothing is done without it",
            tmux_sockets::kernel::text::lookup_text(errno)
        ))),
    }
}
