//! What a tmux client's answer means. Pure.

use crate::child::{End, Ended};

/// What `new-session` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Created {
    /// Nothing on stderr, exit code 0: to be verified.
    Perhaps,
    /// A session of that name is there.
    Duplicate,
    /// The socket or the server behind it was the trouble: worth another try.
    SocketError(String),
    /// tmux refused.
    Refused(String),
    /// It hung.
    GivenUp,
}

/// What tmux says when the socket or the server behind it is the trouble, in all versions from 2.6 on.
const SOCKET_ERRORS: &[&str] = &[
    "address already in use",
    "error creating ",
    "error connecting to ",
    "lost server",
    "server exited",
    "no server running",
];

/// Reads the answer of `new-session`. An exit code of 0 alone proves nothing, in any version.
pub(super) fn created(ended: &Ended) -> Created {
    let text = text(ended);
    match ended.end {
        End::GivenUp => Created::GivenUp,
        _ if text.starts_with("duplicate session: ") => Created::Duplicate,
        _ if is_socket_error(&text) => Created::SocketError(text),
        End::Code(0) if text.is_empty() => Created::Perhaps,
        End::Code(code) if text.is_empty() => Created::Refused(format!("exit code {code} without a word")),
        End::Signal(signal) => Created::Refused(format!("ended by signal {signal}. {text}")),
        End::Code(_) => Created::Refused(text),
    }
}

/// What a question about a session said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is there.
    Yes,
    /// The server says that it is not.
    No(String),
    /// No server answers.
    NoServer(String),
    /// It hung.
    GivenUp,
}

/// Reads the answer of `has-session`.
pub(super) fn asked(ended: &Ended) -> Answer {
    let text = text(ended);
    match ended.end {
        End::GivenUp => Answer::GivenUp,
        End::Code(0) if text.is_empty() => Answer::Yes,
        _ if is_socket_error(&text) => Answer::NoServer(text),
        _ => Answer::No(text),
    }
}

fn is_socket_error(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    SOCKET_ERRORS.iter().any(|error| text.contains(error))
}

fn text(ended: &Ended) -> String {
    String::from_utf8_lossy(&ended.err).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i32, err: &str) -> Ended {
        Ended { end: End::Code(code), out: Vec::new(), err: err.into() }
    }

    #[test]
    fn no_exit_code_is_believed_alone() {
        assert_eq!(created(&ended(0, "")), Created::Perhaps);
        for text in [
            "error creating /tmp/tmux-0/x (Address already in use)",
            "server exited unexpectedly",
            "lost server",
            "no server running on /tmp/tmux-0/x",
            "error connecting to /tmp/tmux-0/x (No such file or directory)",
        ] {
            for code in [0, 1] {
                assert_eq!(created(&ended(code, text)), Created::SocketError(text.into()));
                assert_eq!(asked(&ended(code, text)), Answer::NoServer(text.into()));
            }
        }
        assert_eq!(created(&ended(1, "duplicate session: a\n")), Created::Duplicate);
        assert_eq!(created(&ended(0, "odd\n")), Created::Refused("odd".into()));
        assert!(matches!(created(&ended(1, "")), Created::Refused(_)));
        assert_eq!(asked(&ended(0, "")), Answer::Yes);
        assert_eq!(asked(&ended(1, "can't find session: a")), Answer::No("can't find session: a".into()));
        assert_eq!(asked(&ended(1, "no current target")), Answer::No("no current target".into()));
    }

    #[test]
    fn a_name_cannot_pass_for_another_answer() {
        let text = "duplicate session: no server running";
        assert_eq!(created(&ended(1, text)), Created::Duplicate);
    }
}
