//! The session: how it is asked for, and how its existence is proven.

use super::Request;
use super::answer::{self, Answer};
use crate::host::client::Tmux;
use crate::host::held::WAIT;
use crate::host::quote;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use tmux_sockets::kernel::Pid;

/// What a new session is told as. Its name, as tmux keeps it, is the last: anything may be in it.
const MADE: &str = "#{pid}|#{session_id}|#{pane_id}|#{pane_pid}|#{exit-empty}|#{destroy-unattached}|#{?default-command,1,0}|#{default-shell}|#{session_name}";

/// How a pane is told to stand.
const TOLD: &str =
    "#{pid}|#{session_id}|#{pane_id}|#{pane_dead}|#{pane_dead_status}|#{pane_dead_signal}|#{remain-on-exit}";

/// True of a pane that is dead and that tmux would have removed, had it been left alone.
const IS_LEFT: &str = "#{?pane_dead,#{?#{==:#{remain-on-exit},failed},#{?#{==:#{pane_dead_status},0},1,0},#{?#{==:#{remain-on-exit},off},1,#{?#{==:#{remain-on-exit},0},1,0}}},0}";

/// The arguments of `new-session`, before [`Tmux::arguments`] quotes each.
pub(super) fn new_session(request: &Request, prints: bool) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["new-session".into(), "-d".into()];
    if prints {
        words.extend(["-P".into(), "-F".into(), MADE.into()]);
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

/// The commands of a client that starts a server, says a line when it is there, with a line before it for each
/// session that its configuration made, and keeps it. No session is in it yet, and with the client the server ends.
pub(super) fn keep_server() -> Vec<Vec<OsString>> {
    [
        &["start-server"][..],
        &["list-sessions", "-F", "session"],
        &["show-options", "-sv", "buffer-limit"],
        &WAIT,
    ]
    .map(words)
    .to_vec()
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// How much a server can do, by its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// A pane has options and hooks of its own.
    New,
    /// A pane has options of its own (3.0).
    Middle,
    /// Only a window has.
    Old,
    /// So much older than the client that the client understands nothing it says.
    Mute,
}

/// The pane that a session began with, as a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PaneTarget {
    text: OsString,
    /// Whether it may stand in a text that tmux reads as commands.
    is_safe: bool,
    /// Its server, where another one could answer.
    server: Option<Pid>,
}

impl PaneTarget {
    /// The pane of a session that is made now. On a server that never had one its id is known, and may stand in any
    /// text; should another session come first, it is seen that this was not the one. `None`: it has to be told first.
    pub(super) fn of(name: &OsStr, is_empty: bool) -> Option<Self> {
        match Self::of_name(name) {
            Some(named) if named.is_safe => Some(named),
            _ if is_empty => Some(Self { text: "%0".into(), is_safe: true, server: None }),
            other => other,
        }
    }

    /// By the name of its session. `None`: such a name cannot be a target.
    fn of_name(name: &OsStr) -> Option<Self> {
        let mut target = OsString::from("=");
        target.push(name);
        target.push(":");
        let is_safe = name.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
        quote::is_plain_name(name).then_some(Self { text: target, is_safe, server: None })
    }

    fn command(&self, before: &[&str], after: &[&str]) -> Vec<OsString> {
        let mut command = words(before);
        command.extend(["-t".into(), self.text.clone()]);
        command.extend(words(after));
        command
    }

    /// The commands that keep a pane when its program ends, until the client is let go: then everything is as the
    /// user wants it again, it is told how the pane stands, and a dead one that tmux would have removed is removed.
    pub(super) fn watch(&self, age: Age) -> Vec<Vec<OsString>> {
        let mut commands = keep_pane(Some(self), age);
        commands.push(words(&WAIT));
        let flag = if age == Age::Old { "-wu" } else { "-pu" };
        commands.push(self.command(&["set-option", flag], &["remain-on-exit"]));
        if age == Age::New {
            commands.push(self.command(&["set-hook", "-pu"], &["pane-died"]));
        }
        commands.push(self.command(&["display-message", "-p"], &[TOLD]));
        if self.is_safe {
            commands.push(self.clean());
        }
        commands
    }

    /// The command that removes a dead pane that tmux would have removed.
    pub(super) fn clean(&self) -> Vec<OsString> {
        let condition = match self.server {
            Some(pid) => format!("#{{?#{{==:#{{pid}},{pid}}},{IS_LEFT},0}}"),
            None => IS_LEFT.to_owned(),
        };
        let mut remove = OsString::from("kill-pane -t ");
        remove.push(&self.text);
        let mut command = self.command(&["if-shell", "-F"], &[&condition]);
        command.push(remove);
        command
    }
}

/// The commands that keep a pane when its program ends, and the user's own hook for that from starting anything.
/// Without a target that of the newest session is kept.
pub(super) fn keep_pane(target: Option<&PaneTarget>, age: Age) -> Vec<Vec<OsString>> {
    let command = |before: &[&str], after: &[&str]| match target {
        Some(target) => target.command(before, after),
        None => words(&[before, after].concat()),
    };
    let flag = if age == Age::Old { "-w" } else { "-p" };
    let mut commands = vec![command(&["set-option", flag], &["remain-on-exit", "on"])];
    if age == Age::New {
        commands.push(command(&["set-hook", "-p"], &["pane-died", ""]));
    }
    commands
}

/// The commands that do so to the newest session and tell of it.
pub(super) fn keep_newest(age: Age) -> Vec<Vec<OsString>> {
    let mut commands = keep_pane(None, age);
    commands.push(words(&["display-message", "-p", TOLD]));
    commands
}

/// The command that lets a pane end with its program, as far as the user lets it.
pub(super) fn let_go(pane: &str, age: Age) -> Vec<OsString> {
    words(&["set-option", if age == Age::Old { "-wu" } else { "-pu" }, "-t", pane, "remain-on-exit"])
}

/// A session as `new-session` told it: one line, [`MADE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewSession {
    /// Its server, as the server itself tells it.
    pub(super) server: Pid,
    /// Its id.
    pub(super) session: String,
    /// The id of its pane.
    pub(super) pane: String,
    /// The process in the pane.
    pub(super) process: Option<Pid>,
    /// The server stays when its last session ends.
    pub(super) stays: bool,
    /// The session ends when nobody is attached.
    pub(super) is_destroyed: bool,
    /// Whether the user has a `default-command`.
    pub(super) has_default: bool,
    /// The shell that runs one word of a command, or is the command.
    pub(super) shell: String,
    /// Its name as tmux keeps it.
    pub(super) name: OsString,
}

impl NewSession {
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        let mut fields = line.splitn(9, |byte| *byte == b'|');
        let mut field = || fields.next().map(|field| String::from_utf8_lossy(field).into_owned());
        let is_id = |text: &String, first: char| {
            text.strip_prefix(first)
                .is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
        };
        Some(Self {
            server: field()?.parse().ok()?,
            session: field().filter(|id| is_id(id, '$'))?,
            pane: field().filter(|id| is_id(id, '%'))?,
            process: field()?.parse().ok(),
            stays: field().is_some_and(|value| is_off(&value)),
            is_destroyed: field().is_some_and(|value| !value.is_empty() && !is_off(&value)),
            has_default: field()? == "1",
            shell: field()?,
            name: OsString::from_vec(fields.next()?.to_vec()),
        })
    }

    /// Its pane.
    pub(super) fn target(&self) -> PaneTarget {
        PaneTarget { text: self.pane.clone().into(), is_safe: true, server: Some(self.server) }
    }
}

/// A flag as formats show it in one version or another.
fn is_off(value: &str) -> bool {
    matches!(value, "0" | "off")
}

/// How a pane stands: one line, [`TOLD`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PaneStatus {
    pub(super) pane: String,
    /// How its program ended, if it did.
    pub(super) end: Option<PaneEnd>,
}

/// How the program of a pane ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PaneEnd {
    /// Its exit code, where tmux tells it.
    pub(super) status: Option<i32>,
    /// The number of the signal, where tmux tells it (3.3).
    pub(super) signal: Option<i32>,
}

impl PaneStatus {
    /// The pane that was told of instead of a session's own.
    pub(super) fn other(said: &[u8], made: &NewSession) -> Option<String> {
        let text = String::from_utf8_lossy(said);
        let told = text.lines().filter_map(Self::of_line);
        told.filter(|(server, _, told)| *server == made.server && told.pane != made.pane)
            .map(|(_, _, told)| told.pane)
            .next()
    }

    /// What was told of a session's pane; `None`: nothing that is true of it.
    pub(super) fn of(said: &[u8], made: &NewSession) -> Option<Self> {
        let text = String::from_utf8_lossy(said);
        text.lines()
            .rev()
            .find_map(Self::of_line)
            .filter(|(server, session, _)| *server == made.server && *session == made.session)
            .map(|(_, _, told)| told)
    }

    fn of_line(line: &str) -> Option<(Pid, String, Self)> {
        let fields: Vec<&str> = line.split('|').collect();
        let [server, session, pane, dead, status, signal, _] = fields[..] else {
            return None;
        };
        let status = status.parse().ok();
        let signal = signal.parse().ok();
        let has_ended = dead == "1" || status.is_some() || signal.is_some();
        let end = has_ended.then_some(PaneEnd { status, signal });
        Some((server.parse().ok()?, session.to_owned(), Self { pane: pane.to_owned(), end }))
    }
}

/// Asks whether a session is there, by its name or its id.
pub(super) fn has(tmux: &Tmux<'_>, session: &OsStr) -> io::Result<Answer> {
    let asked = tmux.ask(&[OsStr::new("has-session"), OsStr::new("-t"), session])?;
    Ok(answer::asked(&asked))
}

/// Whether a living server has a session called `name` already. Nothing is changed, whatever it says.
pub(super) fn is_there(tmux: &Tmux<'_>, name: &OsStr) -> io::Result<Answer> {
    if quote::is_plain_name(name) {
        let mut target = OsString::from("=");
        target.push(name);
        return has(tmux, &target);
    }
    // What tmux would make of the name is for itself to say ("duplicate session"); that it answers at
    // all must be known before anything is asked of it that it might do much later.
    Ok(match answer::asked(&tmux.ask(&["list-sessions"])?) {
        Answer::Yes => Answer::No(String::new()),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    #[test]
    fn what_was_printed_is_taken_apart() {
        let made = NewSession::of(b"12|$0|%3|14|1|0|0|/bin/sh|a | b").unwrap();
        assert_eq!((made.server, made.process, made.pane.as_str()), (Pid::new(12), Some(Pid::new(14)), "%3"));
        assert_eq!((made.stays, made.is_destroyed, made.has_default), (false, false, false));
        assert_eq!((made.shell.as_str(), made.name.clone()), ("/bin/sh", "a | b".into()));
        // Before 2.7 there is no exit-empty; later versions show words.
        let made = NewSession::of(b"12|$10|%3|14|off|keep-last|1|/bin/sh|").unwrap();
        assert_eq!((made.stays, made.is_destroyed, made.has_default), (true, true, true));
        assert!(!NewSession::of(b"12|$10|%3|14||0|0|/bin/sh|a").unwrap().stays);
        for line in
            ["", "x", "12|0|%3|14|1|0|0|/bin/sh|a", "12|$0|%|14|1|0|0|/bin/sh|a", "|$0|%1|1|1|0|0|/bin/sh|a"]
        {
            assert_eq!(NewSession::of(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn how_a_pane_stands_is_taken_apart() {
        let made = NewSession::of(b"12|$0|%3|14|1|0|0|/bin/sh|a").unwrap();
        let end = |text: &str| PaneStatus::of(text.as_bytes(), &made).map(|told| told.end);
        let ended = |status, signal| Some(Some(PaneEnd { status, signal }));
        assert_eq!(end("noise\n12|$0|%3|0|||off\n"), Some(None));
        assert_eq!(end("12|$0|%3|1|127||off\n"), ended(Some(127), None));
        assert_eq!(end("12|$0|%3|1||9|off\n"), ended(None, Some(9)));
        assert_eq!(end("12|$0|%3|1|||off\n"), ended(None, None));
        // The command's end is known; what it printed last is not read yet.
        assert_eq!(end("12|$0|%3|0|0||off\n"), ended(Some(0), None));
        for text in ["", "13|$0|%3|0|||off", "12|$1|%3|0|||off", "12|$0|%3|0"] {
            assert_eq!(end(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_is_a_target_or_none_and_never_a_command() {
        let words = |target: &PaneTarget| {
            target
                .watch(Age::New)
                .concat()
                .into_iter()
                .filter_map(|word| word.into_string().ok())
                .collect::<Vec<_>>()
        };
        let safe = PaneTarget::of_name(OsStr::new("a-1_B")).unwrap();
        assert!(words(&safe).contains(&"kill-pane -t =a-1_B:".to_owned()));
        for name in ["a b", "x;kill-server", "'", "ä"] {
            let target = PaneTarget::of_name(OsStr::new(name)).unwrap();
            assert!(!words(&target).iter().any(|word| word.contains("kill-pane")), "{name}");
        }
        for name in ["a.b", "$0", "a:b"] {
            assert_eq!(PaneTarget::of_name(OsStr::new(name)), None);
        }
        for name in ["a.b", "x;kill-server"] {
            let first = PaneTarget::of(OsStr::new(name), true).unwrap();
            assert!(words(&first).contains(&"kill-pane -t %0".to_owned()));
            assert_eq!(PaneTarget::of(OsStr::new(name), false), PaneTarget::of_name(OsStr::new(name)));
        }
        assert_eq!(PaneTarget::of(OsStr::new("a-1_B"), true), Some(safe));
        let made = NewSession::of(b"12|$0|%3|14|1|0|0|/bin/sh|a").unwrap();
        assert!(words(&made.target()).iter().any(|word| word.contains("#{==:#{pid},12}")));
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
        let arguments = tmux.arguments(crate::host::client::Start::Never, &words);
        assert_eq!(arguments[2..4], ["-S", "/s"].map(OsString::from));
        assert!(
            arguments[4..]
                .iter()
                .all(|word| !word.as_bytes().ends_with(b";") || word.as_bytes().ends_with(b"\\;"))
        );
    }
}
