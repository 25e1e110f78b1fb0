//! Configuration, in three steps: the file as it is written (`file`), found and read (`load`),
//! and [`Settings`], validated; nothing else leaves this module.

mod file;
mod folder_glob;
mod load;
mod position;
mod span;

pub use file::parse as parse_text;
pub use folder_glob::FolderGlob;
pub(crate) use folder_glob::{Part, matches};
pub(crate) use load::{load, read_file};
pub use span::parse as parse_span;

use crate::record;
use glob::{MatchOptions, Pattern};
use rustix::fs::FileType;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use tmux_sockets::sweep::Policy;

/// A configuration that cannot be used: one sentence with file, line, column and key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);

/// What the program goes by. [`Settings::default`] needs no file.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folders that hold sockets, besides those that tmux would use.
    pub extra_socket_dirs: Vec<PathBuf>,
    /// Those of them that are patterns.
    pub extra_socket_globs: Vec<FolderGlob>,
    /// Labels that are never removed.
    pub keep: Keep,
    /// A dead socket younger than this is kept.
    pub min_age: Duration,
    /// `[watch]`
    pub watch: WatchSettings,
    /// `[doctor]`
    pub doctor: DoctorSettings,
    /// `[spawn]`
    pub spawn: SpawnSettings,
}

/// The checks that `doctor` makes, in its order: what `doctor.ignore` may name.
pub(crate) const CHECKS: &[&str] = &[
    "blind",
    "ghost",
    "namespace",
    "stopped",
    "directory",
    "elsewhere",
    "lock",
    "stranger",
    "cgroup",
    "oom",
    "logout",
    "runtime",
    "units",
    "boot",
    "spawner",
    "environment",
    "tmpfiles",
    "cleaner",
    "emptied",
    "shared",
    "version",
    "record",
    "mount",
];

/// Settings of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DoctorSettings {
    /// The checks that are not made; each is one that there is.
    pub ignore: Vec<String>,
}

/// Settings of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchSettings {
    /// The safety net behind the events; `None`: never.
    pub rescan: Option<Duration>,
    /// Give ghosts their socket back.
    pub rescue: bool,
    /// Shield live sockets from systemd-tmpfiles' ageing.
    pub protect: bool,
    /// An `OpenMetrics` text file to keep up to date.
    pub metrics_file: Option<PathBuf>,
}

/// Settings of `spawn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpawnSettings {
    /// The multiplexer's program.
    pub tmux: PathBuf,
    /// How long COMMAND is watched: one that cannot run ends soon.
    pub settle: Duration,
    /// How often a session that was made is asked for, where it is not told of.
    pub verify_attempts: u32,
    /// How long between two of them.
    pub verify_delay: Duration,
    /// Clear a registration that has no server before creating.
    pub clear_registration: bool,
}

/// A pattern that labels match: `*`, `?` and `[...]`, as a shell has them. A label is one name: no character in it is
/// special, and in one that is not UTF-8 the bytes that are not can only be matched by `*` and `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabelGlob(Pattern);

impl LabelGlob {
    /// Whether a label matches.
    pub(crate) fn matches(&self, label: &OsStr) -> bool {
        let options = MatchOptions {
            case_sensitive: true,
            require_literal_separator: false,
            require_literal_leading_dot: false,
        };
        self.0.matches_with(&label.to_string_lossy(), options)
    }
}

impl std::fmt::Display for LabelGlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for LabelGlob {
    type Err = ConfigError;

    fn from_str(glob: &str) -> Result<Self, ConfigError> {
        Pattern::new(glob).map(Self).map_err(|error| ConfigError(format!("not a glob: {}", error.msg)))
    }
}

/// The labels of `keep`.
#[derive(Debug, Clone, Default)]
pub struct Keep(Vec<LabelGlob>);

impl Keep {
    /// Whether a label is never to be removed.
    pub fn contains(&self, label: &OsStr) -> bool {
        self.0.iter().any(|glob| glob.matches(label))
    }
}

impl Policy for Settings {
    fn keeps(&self, label: &OsStr) -> bool {
        self.keep.contains(label)
    }

    fn min_age(&self) -> Duration {
        self.min_age
    }

    fn ignores(&self, name: &OsStr, kind: FileType) -> bool {
        record::is_folder(name, kind)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            extra_socket_dirs: Vec::new(),
            extra_socket_globs: Vec::new(),
            keep: Keep::default(),
            min_age: Duration::ZERO,
            watch: WatchSettings {
                rescan: Some(Duration::from_secs(600)),
                rescue: false,
                protect: true,
                metrics_file: None,
            },
            doctor: DoctorSettings::default(),
            spawn: SpawnSettings {
                tmux: PathBuf::from("tmux"),
                settle: Duration::from_millis(250),
                verify_attempts: 6,
                verify_delay: Duration::from_millis(400),
                clear_registration: false,
            },
        }
    }
}
