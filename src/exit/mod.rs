//! How a run ends: its exit code, what may end it before its result, and where the result goes.

mod error;
pub(crate) mod output;

pub(crate) use error::Error;

use std::process::ExitCode;

/// What the process ends with: a type, so that no number is written twice.
///
/// The numbers 70, 77 and 78 are those of `sysexits.h`; 0, 1, 3 and 4 of `probe` are those of
/// LSB's `status` action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do. `probe`: live or starting.
    Done = 0,
    /// Something failed or was found: a failed entry, an unhealthy row, a dead socket.
    Found = 1,
    /// The command line was wrong.
    Usage = 2,
    /// `probe`: no such socket. `spawn`: a session of that name is there already.
    Absent = 3,
    /// `probe`: unknown, foreign, or not a socket. `status`: not everything could be looked at.
    Undecided = 4,
    /// A bug of ours; a panic too.
    Bug = 70,
    /// No permission for what was asked.
    NoPermission = 77,
    /// The configuration is wrong or cannot be read.
    Configuration = 78,
}

impl Exit {
    /// The exit of another run of ours.
    pub fn of_code(code: i32) -> Self {
        let all = [
            Self::Done,
            Self::Found,
            Self::Usage,
            Self::Absent,
            Self::Undecided,
            Self::Bug,
            Self::NoPermission,
            Self::Configuration,
        ];
        all.into_iter().find(|exit| *exit as i32 == code).unwrap_or(Self::Bug)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
