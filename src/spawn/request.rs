//! What is asked for. Pure.

use crate::exit::Error;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use tmux_sockets::kernel::Label;
use tmux_sockets::tmux::paths::DEFAULT_LABEL;

/// When the server gets a systemd scope of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum ScopeWish {
    /// When this runs in a systemd service and a manager can be asked.
    #[default]
    Auto,
    /// Always; without one there is no session.
    Always,
    /// Never.
    Never,
}

/// A session to be made. All of it is data, whoever sent it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// Its name, not empty.
    pub name: OsString,
    /// The label of its socket, instead of the one that follows from the name.
    pub socket_label: Option<OsString>,
    /// Where it starts, absolute.
    pub cwd: Option<PathBuf>,
    /// `K=V`.
    pub env: Vec<OsString>,
    /// Columns.
    pub width: Option<u16>,
    /// Lines.
    pub height: Option<u16>,
    /// Whether the server gets a scope of its own.
    pub scope: ScopeWish,
    /// Only into a server that lives.
    pub join_only: bool,
    /// Sweep first.
    pub sweep: bool,
    /// One word is a shell line, several are a program and its arguments; none: the user's shell.
    pub command: Vec<OsString>,
    /// The directories to use instead of those that are discovered.
    pub dirs: Vec<PathBuf>,
}

impl Request {
    /// Checks what can be checked without looking.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let usage = |text: &str| Err(Error::Usage(text.to_owned()));
        if self.name.is_empty() {
            return usage("the session's name is empty");
        }
        if let Some(label) = &self.socket_label {
            if Label::new(label).is_none() {
                return usage(
                    "--socket-label takes the name of a file in the socket directory, without \"/\"",
                );
            }
            if label == DEFAULT_LABEL {
                return usage(
                    "--socket-label: \"default\" is the socket that everybody shares; choose another",
                );
            }
        }
        if !self.env.iter().all(|variable| is_variable(variable)) {
            return usage("--env takes NAME=VALUE");
        }
        Ok(())
    }
}

fn is_variable(variable: &OsStr) -> bool {
    variable.as_bytes().iter().position(|byte| *byte == b'=').is_some_and(|at| at > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        let good = Request { name: "x".into(), env: vec!["A=".into(), "B==".into()], ..Request::default() };
        assert!(good.check().is_ok());
        for bad in [
            Request { name: OsString::new(), ..good.clone() },
            Request { env: vec!["A".into()], ..good.clone() },
            Request { env: vec!["=A".into()], ..good.clone() },
            Request { socket_label: Some("a/b".into()), ..good.clone() },
            Request { socket_label: Some("..".into()), ..good.clone() },
            Request { socket_label: Some(OsString::new()), ..good.clone() },
            Request { socket_label: Some("default".into()), ..good },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
