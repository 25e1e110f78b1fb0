//! What the rules look at: calls with their places and what is known of their words.

use super::text::Text;

/// What makes use of a command's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judge {
    /// The condition of an `if`.
    If,
    /// The condition of a `while` or `until`.
    Loop,
    /// `&&`.
    And,
    /// `||`.
    Or,
    /// A look at `$?`.
    Asked,
}

impl Judge {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::If => "if",
            Self::Loop => "while",
            Self::And => "&&",
            Self::Or => "||",
            Self::Asked => "$?",
        }
    }
}

/// Which server a call of tmux speaks to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Socket {
    /// The one that `-L` names.
    Label(Text),
    /// The one that `-S` names.
    Path(Text),
    /// That of the environment: neither option is there.
    Default,
    /// Options are there that are not known.
    Unknown,
}

impl Socket {
    /// Whether two calls may speak to the same server: what is not known may be anything.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => true,
            (Self::Label(one), Self::Label(other)) | (Self::Path(one), Self::Path(other)) => {
                one == other || !one.is_known() || !other.is_known()
            }
            (one, other) => one == other,
        }
    }
}

/// A command of tmux with its arguments.
#[derive(Debug, Clone)]
pub(super) struct Verb {
    /// Its full name.
    pub(super) name: String,
    /// What follows it.
    pub(super) arguments: Vec<Text>,
}

#[derive(Debug, Clone)]
pub(super) struct TmuxCall {
    pub(super) socket: Socket,
    /// The commands, where they are known; none: tmux alone, which is `new-session`.
    pub(super) verbs: Option<Vec<Verb>>,
    /// `TMUX` or `TMUX_TMPDIR` names a server or a folder of the caller's own.
    pub(super) private: bool,
    /// It runs in a scope or unit of its own.
    pub(super) scoped: bool,
    /// The server or the client stays in the foreground (`-D`, `-C`).
    pub(super) foreground: bool,
    /// What makes use of its exit code.
    pub(super) judge: Option<Judge>,
}

impl TmuxCall {
    /// The command that starts a server where none is, if there is one.
    pub(super) fn start(&self) -> Option<&Verb> {
        let starts = |verb: &&Verb| ["new-session", "start-server"].contains(&verb.name.as_str());
        self.verbs.as_ref()?.iter().find(starts)
    }
}

/// A service whose command line is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Service {
    /// What becomes of what it starts.
    pub(super) kind: ServiceKind,
    /// `RemainAfterExit=yes`.
    pub(super) remains: bool,
    /// Whether `Type=` is set.
    pub(super) is_typed: bool,
    /// Where its command line stands, in bytes.
    pub(super) line: usize,
}

/// What becomes of a process that a service's command line leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ServiceKind {
    /// `Type=oneshot`: it is killed when the command line has done its work.
    Oneshot,
    /// `Type=` is simple, exec, idle or missing: it is killed when the main process ends.
    Main,
    /// It is left alone, or that is not known.
    #[default]
    Other,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Tmux(TmuxCall),
    /// A file is removed.
    Remove(Text),
    /// What lies in `/tmp` is removed, whatever it is.
    Clear,
    /// A text is looked for in what a program said.
    Match(Text),
    /// Another program of a service's command line, by its name; empty: it is not known.
    Program(String),
}

#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Where it stands in the file, in bytes.
    pub(super) place: usize,
    /// Where the statement begins that it is part of.
    pub(super) statement: usize,
    pub(super) what: What,
    /// The service that calls it, in a unit file.
    pub(super) service: Option<Service>,
}
