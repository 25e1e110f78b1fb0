//! What a tmux client's answer means. Pure.

use crate::host::child::{End, Ended};

/// What a `new-session` that told of no session said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Created {
    /// A session of that name is there.
    Duplicate,
    /// There was no server to ask: COMMAND was not started, for certain.
    NoServer(String),
    /// The server was lost while it was asked: COMMAND may have been started.
    Lost(String),
    /// tmux refused.
    Refused(String),
    /// Exit code 0 and no line: something may have been done.
    Silent(String),
    /// It hung.
    GivenUp,
    /// The program or the server is older than what was asked of it; nothing was done.
    TooOld(Unknown),
}

/// What an old tmux does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// `-N` (3.2).
    NoStart,
    /// Hooks of a pane.
    Hook,
    /// Options of a pane (3.0).
    Option,
}

/// What tmux says when no server was asked, in all versions from 2.6 on: such a line begins so.
const NOT_ASKED: &[&str] = &["error connecting to ", "no server running", "error creating "];

/// What it says when the server went away meanwhile.
const LOST: &[&str] = &["lost server", "server exited"];

/// Reads the answer of `new-session`.
pub(super) fn created(ended: &Ended) -> Created {
    let text = text(ended);
    match ended.end {
        End::GivenUp => Created::GivenUp,
        _ if text.lines().any(|line| begins(line, &["duplicate session: "])) => Created::Duplicate,
        _ if is_lost(&text) => Created::Lost(text),
        End::Code(0) => Created::Silent(text),
        _ if text.lines().any(|line| begins(line, NOT_ASKED)) => Created::NoServer(text),
        End::Signal(signal) => Created::Lost(format!("the client was ended by signal {signal}. {text}")),
        End::Code(_) => match unknown(ended) {
            Some(unknown) => Created::TooOld(unknown),
            None if text.is_empty() => Created::Refused(words_of(ended.end)),
            None => Created::Refused(text),
        },
    }
}

/// Reads the answer of a client that was to start a server and did not say that it is there. Nothing else was asked
/// of it, so that it may be repeated.
pub(super) fn not_kept(ended: &Ended) -> Created {
    let text = text(ended);
    let is_socket_error = is_lost(&text) || is_not_asked(&text);
    match ended.end {
        End::GivenUp => Created::GivenUp,
        _ if is_socket_error => Created::NoServer(text),
        // tmux 2.9a to 3.2a say 0 where they could not make their socket.
        End::Code(0) => Created::NoServer(if text.is_empty() { words_of(ended.end) } else { text }),
        End::Signal(_) | End::Code(_) if text.is_empty() => Created::Refused(words_of(ended.end)),
        End::Signal(_) | End::Code(_) => Created::Refused(text),
    }
}

fn words_of(end: End) -> String {
    match end {
        End::Code(code) => format!("tmux ended with exit code {code} and printed nothing"),
        End::Signal(signal) => format!("tmux was ended by signal {signal}"),
        End::GivenUp => "tmux did not end".to_owned(),
    }
}

/// Whether a server is so much older than the client that nothing it says is understood.
pub(super) fn is_mute(text: &str) -> bool {
    text.contains("server version is too old for client")
}

fn unknown(ended: &Ended) -> Option<Unknown> {
    let text = text(ended);
    if !crate::host::client::is_usage_error(ended) {
        return None;
    }
    let is_about = |command: &str| {
        text.contains(&format!("usage: {command}")) || text.contains(&format!("command {command}:"))
    };
    match () {
        () if is_about("set-hook") => Some(Unknown::Hook),
        () if is_about("set-option") => Some(Unknown::Option),
        () if is_about("tmux") => Some(Unknown::NoStart),
        () => None,
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

/// Reads the answer of `has-session`. What stands on stderr beside an exit code of 0 proves nothing.
pub(super) fn asked(ended: &Ended) -> Answer {
    let text = text(ended);
    match ended.end {
        End::GivenUp => Answer::GivenUp,
        End::Code(0) => Answer::Yes,
        // Other lines (a wrapper's, the locale's) are no answer of tmux.
        _ if text.lines().any(|line| begins(line, LOST) || begins(line, NOT_ASKED)) => Answer::NoServer(text),
        _ => Answer::No(text),
    }
}

fn begins(line: &str, with: &[&str]) -> bool {
    let line = line.to_ascii_lowercase();
    with.iter().any(|with| line.trim_start_matches('[').starts_with(with))
}

pub(super) fn is_lost(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    LOST.iter().any(|error| text.contains(error))
}

fn is_not_asked(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    NOT_ASKED.iter().any(|error| text.contains(error)) || text.contains("address already in use")
}

/// What a client said on stderr.
pub(super) fn text(ended: &Ended) -> String {
    String::from_utf8_lossy(&ended.err).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i32, err: &str) -> Ended {
        Ended { end: End::Code(code), out: Vec::new(), err: err.into() }
    }

    #[test]
    fn what_was_asked_of_nobody_may_be_asked_again_and_nothing_else() {
        let nobody = [
            "error creating /tmp/tmux-0/x (Address already in use)",
            "no server running on /tmp/tmux-0/x",
            "error connecting to /tmp/tmux-0/x (No such file or directory)",
        ];
        let lost = ["server exited unexpectedly", "lost server", "[server exited]"];
        let noise = "bash: warning: setlocale: LC_ALL: cannot change locale (de_DE.UTF-8)\n";
        for text in nobody {
            assert_eq!(created(&ended(1, text)), Created::NoServer(text.into()));
            let both = format!("{noise}{text}");
            assert_eq!(created(&ended(1, &both)), Created::NoServer(both));
            assert_eq!(created(&ended(0, text)), Created::Silent(text.into()), "something was done, it says");
        }
        for code in [0, 1] {
            for text in lost {
                assert_eq!(created(&ended(code, text)), Created::Lost(text.into()));
                assert_eq!(not_kept(&ended(code, text)), Created::NoServer(text.into()));
            }
        }
        assert!(matches!(created(&ended(1, "bad: no server running on x")), Created::Refused(_)));
        assert!(matches!(created(&Ended { end: End::Signal(9), ..ended(0, "") }), Created::Lost(_)));
        assert!(matches!(created(&ended(0, "")), Created::Silent(_)));
        assert!(matches!(created(&ended(0, "odd\n")), Created::Silent(_)));
        assert!(matches!(created(&ended(1, "")), Created::Refused(_)));
        assert!(matches!(not_kept(&ended(0, "")), Created::NoServer(_)));
        assert!(matches!(not_kept(&ended(1, "odd")), Created::Refused(_)));
    }

    #[test]
    fn a_session_that_is_there_is_found_in_every_line() {
        assert_eq!(created(&ended(1, "duplicate session: a\n")), Created::Duplicate);
        assert_eq!(created(&ended(1, "locale: bad\nduplicate session: a\n")), Created::Duplicate);
        // A session's name that reads like another answer is not taken for one.
        assert_eq!(created(&ended(1, "duplicate session: no server running")), Created::Duplicate);
    }

    #[test]
    fn a_question_is_answered_by_its_exit_code() {
        for text in ["", "odd", "lost server"] {
            assert_eq!(asked(&ended(0, text)), Answer::Yes);
        }
        for text in ["lost server", "no server running on x", "error connecting to x (Connection refused)"] {
            assert_eq!(asked(&ended(1, text)), Answer::NoServer(text.into()));
        }
        for text in ["can't find session: a", "a wrapper: server exited\ncan't find session: a"] {
            assert_eq!(asked(&ended(1, text)), Answer::No(text.into()));
        }
        assert_eq!(asked(&ended(1, "no current target")), Answer::No("no current target".into()));
    }

    #[test]
    fn an_old_tmux_is_known_by_its_usage() {
        // As tmux 2.6, 3.1c and 3.3a print it, of the program and of new-session.
        for (text, unknown) in [
            ("usage: set-option [-aFgosquw] [-t target-window] option [value]", Some(Unknown::Option)),
            ("usage: set-hook [-agRu] [-t target-session] hook [command]", Some(Unknown::Hook)),
            ("command set-hook: unknown flag -p", Some(Unknown::Hook)),
            ("tmux: unknown option -- N\nusage: tmux [-2CluvV] [-c shell-command]", Some(Unknown::NoStart)),
        ] {
            assert_eq!(created(&ended(1, text)), unknown.map_or(Created::GivenUp, Created::TooOld), "{text}");
        }
        assert!(matches!(
            created(&ended(1, "usage: new-session [-AdDEP] [-c start-directory]")),
            Created::Refused(_)
        ));
    }
}
