//! The command line. Help, completions and man pages are made from it.

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::ffi::OsString;
use std::path::PathBuf;

/// Removes dead tmux sockets and never touches a live one.
///
/// No tmux server ever removes its socket, so dead ones pile up. A socket is dead when every witness
/// says so: it is absent from the kernel's socket table, it refuses connections, and tmux's own
/// start lock is held while both are asked again. Whatever is not proven dead is kept. A live server
/// whose socket was deleted or replaced is a ghost: it is shown everywhere, and `rescue` helps it.
#[derive(Debug, Parser)]
#[command(
    name = "tmux-janitor",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    after_long_help = EXIT_CODES
)]
pub struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub global: Global,
    /// What to do; without one: a few lines that say what is there.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The exit codes, for help and man page.
pub const EXIT_CODES: &str = "\
Exit codes:
  0   done, also when there was nothing to do; status: healthy; probe: live or starting
  1   an entry failed or a directory has an error; status: a dead socket or ghost; probe: dead
  2   usage
  3   probe: absent (a ghost of that path is named)
  4   probe: unknown, foreign, or not a socket
  70  a bug of tmux-janitor
  77  no permission for what was asked
  78  configuration";

/// Options of all commands.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Look in this folder of sockets instead of those that tmux would use (repeatable)
    #[arg(long, value_name = "DIR", global = true, value_hint = ValueHint::DirPath)]
    pub dir: Vec<PathBuf>,
    /// Read this configuration file
    #[arg(long, value_name = "FILE", global = true, value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Log more (repeatable)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Say and log only what failed
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Colour the output
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub color: Color,
    /// Where the log goes; auto: to the journal when stderr is the journal
    #[arg(long, value_name = "TARGET", global = true, default_value = "auto")]
    pub log_target: LogTarget,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set; `CLICOLOR_FORCE` forces it.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogTarget {
    /// To the journal when stderr is the journal, else to stderr.
    Auto,
    /// To the journal.
    Journal,
    /// To stderr.
    Stderr,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Remove dead sockets, once
    Sweep {
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
        /// Give ghosts their socket back, too
        #[arg(long)]
        rescue: bool,
        /// Print the result as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// The daemon: remove a socket the moment its server dies
    ///
    /// Sleeps until something happens. A server's death is noticed at once (pidfd), a birth by inotify,
    /// and whatever was missed by a rescan. SIGHUP reads the configuration anew; SIGTERM ends it.
    Watch {
        /// Remove nothing; only shield live sockets from ageing and log deaths
        #[arg(long)]
        no_reap: bool,
    },
    /// Follow births, deaths and removals as lines; removes nothing
    ///
    /// Servers that run already are announced first. Each line is written as it happens: one pipe takes
    /// the place of a polling loop. A death gives exactly one server-gone, however the server died.
    Events {
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Show every socket with its state and the reason
    List {
        /// Print the result as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// The health row: one line
    Status {
        /// Print the result as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say whether one socket is alive; never starts a server
    Probe(Probe),
    /// Give ghosts their socket back: live servers that nobody can reach
    ///
    /// A ghost is a live server whose socket was deleted or replaced. tmux makes its socket anew on
    /// SIGUSR1. The signal is sent only to what is proven to be a tmux server of yours, and only
    /// when its path is free and can be written. A path that a live server holds is never taken; of
    /// several ghosts of one path none is touched: `list` shows what runs in them, the choice is yours.
    Rescue {
        /// Only say what would be rescued
        #[arg(long)]
        dry_run: bool,
        /// Print the result as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Check a configuration file, or the one in force
    CheckConfig {
        /// The file; without it the one that every command would read
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Print a shell's completion script
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
}

/// Arguments of `probe`.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("socket").required(true).args(["label", "path"]))]
pub struct Probe {
    /// The label, as `tmux -L` takes it, looked for where `tmux -L` would look
    #[arg(short = 'L', value_name = "LABEL")]
    pub label: Option<OsString>,
    /// The path of the socket, as `tmux -S` takes it
    #[arg(short = 'S', value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub path: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}
