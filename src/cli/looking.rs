//! The arguments of the commands that only look: `list`, `status`, `probe`.

use crate::config::LabelGlob;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::path::PathBuf;
use tmux_sockets::judge::State;

/// Arguments of `list`.
#[derive(Debug, Clone, Args)]
pub(crate) struct List {
    /// For every user of this machine, each as that user; needs root
    #[arg(long)]
    pub all_users: bool,
    /// Only sockets whose label matches, as `keep` of the configuration does: *, ? and [...]
    #[arg(long, value_name = "GLOB")]
    pub label: Option<LabelGlob>,
    /// Only what is in this state (repeatable)
    #[arg(long, value_name = "STATE", value_parser = state())]
    pub state: Vec<State>,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// The words of all states.
fn state() -> impl TypedValueParser<Value = State> {
    let words = PossibleValuesParser::new(State::ALL.map(State::word));
    words.try_map(|word| State::ALL.into_iter().find(|state| state.word() == word).ok_or("no state"))
}

/// Arguments of `status`.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("form").args(["json", "metrics", "metrics_file"]))]
pub(crate) struct Status {
    /// For every user of this machine, each as that user; needs root
    #[arg(long)]
    pub all_users: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Print the result as metrics, for Prometheus and its kind
    #[arg(long)]
    pub metrics: bool,
    /// Write the metrics to this file, replaced as a whole, and print nothing
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub metrics_file: Option<PathBuf>,
}

/// Arguments of `probe`.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("socket").required(true).args(["label", "path", "session"]))]
pub(crate) struct Probe {
    /// The label, as `tmux -L` takes it, looked for where `tmux -L` would look
    #[arg(short = 'L', value_name = "LABEL")]
    pub label: Option<OsString>,
    /// The path of the socket, as `tmux -S` takes it
    #[arg(short = 'S', value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub path: Option<PathBuf>,
    /// The socket on which `spawn NAME` would make its session now, --dir and the environment being the same
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub session: Option<OsString>,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}
