//! What `tmux-janitor-audit` writes and the janitor reads: a [`FileAudit`] for each file, as a line of JSON.
//!
//! Both programs are compiled against this and neither against the other, so that whoever builds the janitor compiles no
//! C. It holds facts: the janitor makes its sentences of them, and escapes the names in them.

use serde::{Deserialize, Serialize};

/// What was found in one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAudit {
    /// Why it was not looked at; nothing was found then.
    pub refusal: Option<NotAudited>,
    /// What endangers servers, in the order of the file.
    pub findings: Vec<AuditFinding>,
    /// What could not be looked at, or was asked for in vain, in the order of the file.
    pub notes: Vec<AuditNote>,
    /// Something in it was not looked at: that nothing was found means little then.
    pub is_partial: bool,
}

/// Why a file was not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotAudited {
    /// It is a directory.
    Directory,
    /// It is no regular file: its mode, as stat(2) has it.
    Special(u32),
    /// There are NUL bytes in it.
    Binary,
    /// It is a script for another interpreter than a shell: what stands behind `#!`.
    Foreign(String),
    /// The errno of opening or reading it.
    Unreadable(i32),
    /// It has more bytes than this.
    TooLong(u64),
    /// The grammar did not get through it in time.
    TooIntricate,
    /// Its mount does not answer: in one sentence. Only who sends the reader there can say this.
    Silent(String),
    /// The reader ended before it had an answer. Only who has waited for its end can say this.
    Crashed(ReaderEnd),
}

/// How a reader ended that had no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReaderEnd {
    /// By this signal.
    Signal(i32),
    /// With this exit code.
    Code(i32),
    /// Not in time: it was ended.
    GivenUp,
}

/// Something that a rule has against a place of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFinding {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The rule's name, as it stands in docs/audit.md.
    pub rule: String,
    /// What, why it matters, and what to do: one sentence, with nothing of the file in it.
    pub message: String,
}

/// What is to be known of a place besides findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditNote {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What it is.
    pub kind: NoteKind,
}

/// What a note tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoteKind {
    /// A comment allows a rule that does not exist.
    NoSuchRule {
        /// The word in the comment.
        asked: String,
        /// The names of all rules.
        known: Vec<String>,
    },
    /// The grammar does not understand it.
    NotShell,
    /// Too many steps, or nested too deep.
    Cut,
    /// Findings from here on are left out; so many there are.
    LeftOut(usize),
}
