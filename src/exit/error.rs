//! What ends a run, as opposed to what ends one entry ([`tmux_sockets::report::Failure`]).

use super::Exit;
use crate::config::ConfigError;
use tmux_sockets::kernel::text::{io_text, io_unread};
use tmux_sockets::report::Declined;

/// Why a run ended before its result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The configuration is wrong.
    #[error("configuration rejected: {0}")]
    Configuration(#[from] ConfigError),
    /// The command line asks for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// What was asked for needs rights that we do not have.
    #[error("{0}")]
    NoPermission(String),
    /// What was asked for cannot be done here.
    #[error("{0}")]
    Impossible(String),
    /// The result cannot be written.
    #[error("the result cannot be written: {}", io_text(.0))]
    Output(#[source] std::io::Error),
    /// A part of the program is missing or cannot be run.
    #[error("{0}")]
    Incomplete(String),
    /// The system lacks what the daemon cannot do without.
    #[error("the system does not let us wait for events: {}", io_unread(.0))]
    System(#[source] std::io::Error),
    /// The result cannot be made into JSON: a bug of ours.
    #[error("the result cannot be made into JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<Declined> for Error {
    fn from(why: Declined) -> Self {
        match why {
            Declined::Configuration(why) => Self::Configuration(ConfigError(why)),
            _ => Self::NoPermission(why.to_string()),
        }
    }
}

impl Error {
    /// The exit code for it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Configuration(_) | Self::Incomplete(_) => Exit::Configuration,
            Self::Usage(_) => Exit::Usage,
            Self::NoPermission(_) => Exit::NoPermission,
            Self::Impossible(_) | Self::Output(_) | Self::System(_) => Exit::Found,
            Self::Json(_) => Exit::Bug,
        }
    }
}
