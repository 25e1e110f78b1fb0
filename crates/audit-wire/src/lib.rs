//! What the process that reads scripts answers: a line of JSON for each file.

use serde::{Deserialize, Serialize};

/// What was found in one file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Why it was not looked at.
    pub refusal: Option<Refusal>,
    /// The findings.
    pub findings: Vec<Told>,
    /// What could not be looked at in it, or was asked for in vain.
    pub notes: Vec<Told>,
    /// Whether something in it was not looked at: that nothing was found means little then.
    pub is_partial: bool,
}

/// Why a file was not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What decides over the exit code.
    pub kind: RefusalKind,
    /// What is wrong with it; its name goes before.
    pub what: String,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalKind {
    /// It is nothing that can be audited.
    Usage,
    /// It cannot be read.
    Unreadable,
    /// It is more than we look through.
    TooMuch,
    /// We could not get through it.
    Bug,
}

/// A finding, or a note, whose rule is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The rule.
    pub rule: String,
    /// One sentence.
    pub message: String,
}
