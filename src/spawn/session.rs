//! The session: how it is asked for, and how its existence is proven.

use super::answer::{self, Answer};
use super::{Request, words};
use crate::child::Ended;
use crate::tmux::client::Tmux;
use crate::tmux::quote;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;

/// What a new session's server, id and name are printed as; the name as tmux keeps it.
const PRINTED: &str = "#{pid} #{session_id} #{session_name}";

/// The arguments of `new-session`, before [`Tmux::arguments`] quotes each.
pub(super) fn new_session(request: &Request, prints: bool) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["new-session".into(), "-d".into()];
    if prints {
        words.extend(["-P".into(), "-F".into(), PRINTED.into()]);
    }
    words.extend(["-s".into(), quote::format(&request.name)]);
    for (flag, size) in [("-x", request.width), ("-y", request.height)] {
        if let Some(size) = size {
            words.extend([flag.into(), size.to_string().into()]);
        }
    }
    for variable in &request.env {
        words.extend(["-e".into(), variable.clone()]);
    }
    if !request.command.is_empty() {
        words.push("--".into());
        words.extend(request.command.iter().cloned());
    }
    words
}

/// A session as `new-session` printed it: one line, [`PRINTED`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Printed {
    line: Vec<u8>,
}

impl Printed {
    pub(super) fn of(ended: &Ended) -> Option<Self> {
        let line = ended.out.strip_suffix(b"\n").unwrap_or(&ended.out);
        (line.splitn(3, |byte| *byte == b' ').count() == 3).then(|| Self { line: line.to_vec() })
    }

    /// Its server, as the server itself tells it.
    pub(super) fn pid(&self) -> Option<i32> {
        let digits = self.line.split(|byte| *byte == b' ').next()?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// Its name as tmux keeps it.
    pub(super) fn name(&self) -> OsString {
        let name = self.line.splitn(3, |byte| *byte == b' ').nth(2);
        OsString::from_vec(name.unwrap_or_default().to_vec())
    }
}

/// How the session is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// `has-session -t =NAME`.
    ByName(OsString),
    /// A name that cannot be a target: every session is listed, as [`PRINTED`], and this line must
    /// be among them.
    ByLine(Vec<u8>),
}

impl Question {
    /// After `new-session` printed what it made, or without that.
    pub(super) fn new(name: &OsStr, printed: Option<&Printed>) -> Self {
        match printed {
            Some(printed) if !quote::is_plain_name(name) || printed.name() != name => {
                Self::ByLine(printed.line.clone())
            }
            _ => Self::ByName(name.to_owned()),
        }
    }

    /// Asks once.
    pub(super) fn ask(&self, tmux: &Tmux<'_>) -> io::Result<Answer> {
        match self {
            Self::ByName(name) => {
                let mut target = OsString::from("=");
                target.push(name);
                tmux.ask(&[OsStr::new("has-session"), OsStr::new("-t"), &target])
                    .map(|ended| answer::asked(&ended))
            }
            Self::ByLine(line) => {
                let ended = tmux.ask(&["list-sessions", "-F", PRINTED])?;
                let answer = answer::asked(&ended);
                let is_listed = [&b"\n"[..], &ended.out].concat().windows(line.len() + 2).any(|window| {
                    window.strip_prefix(b"\n").and_then(|rest| rest.strip_suffix(b"\n")) == Some(line)
                });
                Ok(if answer == Answer::Yes && !is_listed { Answer::No(String::new()) } else { answer })
            }
        }
    }
}

/// Whether a living server has a session called `name` already. Nothing is changed, whatever it says.
pub(super) fn is_there(tmux: &Tmux<'_>, name: &OsStr) -> io::Result<Answer> {
    if quote::is_plain_name(name) {
        return Question::ByName(name.to_owned()).ask(tmux);
    }
    // What tmux would make of the name is for itself to say ("duplicate session"); that it answers at
    // all must be known before anything is asked of it that it might do much later.
    Ok(match answer::asked(&tmux.ask(&["list-sessions"])?) {
        Answer::Yes => Answer::No(String::new()),
        other => other,
    })
}

/// The error of a session that could not be verified.
pub(super) fn unverified(tmux: &Tmux<'_>, name: &OsStr, answer: &Answer) -> String {
    match answer {
        Answer::No(said) => words::no_session(tmux.socket, name, said),
        Answer::GivenUp => words::given_up(tmux.socket),
        Answer::NoServer(_) | Answer::Yes => words::no_server(tmux.socket),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::End;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn what_was_printed_is_taken_apart() {
        let ended = |out: &[u8]| Ended { end: End::Code(0), out: out.to_vec(), err: Vec::new() };
        let printed = Printed::of(&ended(b"12 $0 a b\n"));
        assert_eq!(printed.as_ref().map(Printed::name), Some("a b".into()));
        assert_eq!(Printed::of(&ended(b"")), None);
        assert_eq!(printed.as_ref().and_then(Printed::pid), Some(12));
        let plain = Printed::of(&ended(b"12 $0 a\n"));
        assert_eq!(Question::new(OsStr::new("a"), plain.as_ref()), Question::ByName("a".into()));
        let other = Question::new(OsStr::new("a"), printed.as_ref());
        assert_eq!(other, Question::ByLine(b"12 $0 a b".to_vec()), "tmux made another name of it");
        let odd = Question::new(OsStr::new("a.b"), printed.as_ref());
        assert_eq!(odd, Question::ByLine(b"12 $0 a b".to_vec()));
    }

    #[test]
    fn data_stays_in_its_place() {
        let request = Request {
            name: "#(x);".into(),
            env: vec!["A=;".into()],
            command: vec![";".into(), "kill-server".into()],
            ..Request::default()
        };
        let words = new_session(&request, false);
        let expected =
            ["new-session", "-d", "-s", "##(x);", "-e", "A=;", "--", ";", "kill-server"].map(OsString::from);
        assert_eq!(words, expected);
        let tmux = Tmux { program: "t".as_ref(), socket: "/s".as_ref(), utf8: false };
        let arguments = tmux.arguments(crate::tmux::client::Start::Never, &words);
        assert_eq!(arguments[2..4], ["-S", "/s"].map(OsString::from));
        assert!(
            arguments[4..]
                .iter()
                .all(|word| !word.as_bytes().ends_with(b";") || word.as_bytes().ends_with(b"\\;"))
        );
    }
}
