//! A user who was found, and why there may be no report of them.

use rustix::io::Errno;
use std::path::Path;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::text::errno_text;

/// A user who was found, and the folder that told of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User<'a> {
    /// Their number.
    pub uid: Uid,
    /// The folder.
    pub folder: &'a Path,
    /// Whether they have an account, as far as that is known.
    pub has_account: bool,
}

/// Why there is no report of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The account could not be looked up, so nobody knows whose configuration holds.
    Account(Errno),
    /// It could not be started.
    Start(Errno),
    /// It was not started any more: others took all the time.
    NoTime,
    /// It was not started any more: the run was ended.
    Ended,
    /// It took too long and was ended.
    Late,
    /// It took too long and cannot even be ended.
    Stuck,
    /// A signal ended it.
    Signal(i32),
    /// It ended with this code and without a message.
    Exit(i32),
    /// Its message is too long.
    TooLong,
    /// Its message makes no sense.
    Garbled,
}

impl Loss {
    /// Why nothing is known of a user's sockets.
    pub(crate) fn sentence(self, uid: Uid) -> String {
        format!("{}; what it did last is not known, the next sweep looks again", self.why(uid))
    }

    /// What became of a user's worker.
    pub(crate) fn why(self, uid: Uid) -> String {
        let what = match self {
            Self::Account(errno) => {
                format!("was not started: the account cannot be looked up ({})", errno_text(errno))
            }
            Self::Start(errno) => format!("could not be started: {}", errno_text(errno)),
            Self::NoTime => "was not started: the others took all the time".to_owned(),
            Self::Ended => "was not started: the run was ended".to_owned(),
            Self::Late => "took too long and was ended".to_owned(),
            Self::Stuck => "took too long, hangs in the kernel, and cannot be killed".to_owned(),
            Self::Signal(libc::SIGKILL) => "was ended by SIGKILL".to_owned(),
            Self::Signal(libc::SIGABRT) => "was ended by SIGABRT, as when memory runs out".to_owned(),
            Self::Signal(number) => format!("was ended by signal {number}"),
            Self::Exit(code) => format!("ended with exit code {code} and no report"),
            Self::TooLong => "has more to report than fits".to_owned(),
            Self::Garbled => "sent a report that cannot be read".to_owned(),
        };
        format!("the worker for uid {uid} {what}")
    }
}
