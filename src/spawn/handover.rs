//! Handing a command over to a process that systemd starts.
//!
//! `systemd-run` expands `$VARIABLE` in the arguments it is given, differently from version to version,
//! and a manager has an environment of its own. So nothing that somebody else wrote is ever put on its
//! command line: arguments, environment and working directory lie in a sealed file in memory, and what
//! systemd runs is this very program, with that file as its stdin ([`super::carry_out`]).
//!
//! Nothing on the way has a name that somebody else resolves. A manager may start what it was asked for
//! long after whoever asked is gone, and then `/proc/PID/…` is whatever has that number by then. Open
//! descriptors are handed on instead: a scope's command is `systemd-run` itself, which executes us in
//! its place and keeps what it has open; to a service systemd passes stdin, stdout and stderr of
//! `systemd-run --pipe` over the bus (seen with systemd 252, 257 and 262). No file is made, so none is left.
//!
//! ```text
//!            stdin             stdout                          stderr
//! scope      the order         a socket, the command's stdin   what systemd-run says, BEGAN, what the command says
//! service    the order         the answer: state and streams   a pipe: what systemd-run says, BEGAN; TOLD when the answer is there
//! ```
//!
//! `systemd-run` dies with us, and a service's pipe has no reader then: nothing is begun that nobody waits for.

use crate::host::child::{self, End, Ended};
use rustix::fs::{FileType, MemfdFlags, SealFlags};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;

/// The name of the hidden command that carries an order out.
pub(crate) const COMMAND: &str = "carry-out";

/// The name of the hidden command that becomes `systemd-run`, and dies with us.
pub(crate) const HAND_OVER: &str = "hand-over";

/// On stderr: the order is carried out from here on; what `systemd-run` says comes before it.
pub(super) const BEGAN: &[u8] = b"\0tmux-janitor began\0";

/// On a service's stderr: the answer is complete.
pub(super) const TOLD: &[u8] = b"\0tmux-janitor told\0";

/// The first field of every order: another version may write others.
const MAGIC: &str = concat!("tmux-janitor order ", env!("CARGO_PKG_VERSION"));

/// What makes a file in memory one that nobody can change any more.
const SEALED: SealFlags =
    SealFlags::WRITE.union(SealFlags::GROW).union(SealFlags::SHRINK).union(SealFlags::SEAL);

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HandoverOrder {
    /// Stay and tell how it ended (`true`: in a service), or become the command (in a scope).
    pub(super) stay: bool,
    /// The working directory.
    pub(super) cwd: OsString,
    /// The command and its arguments.
    pub(super) arguments: Vec<OsString>,
    /// Its whole environment, as `K=V`.
    pub(super) environment: Vec<OsString>,
}

impl HandoverOrder {
    /// The order in memory, sealed.
    pub(super) fn write(&self) -> io::Result<File> {
        let count = |list: &[OsString]| OsString::from(list.len().to_string());
        let deed = OsString::from(if self.stay { "stay" } else { "become" });
        let head = [MAGIC.into(), deed, self.cwd.clone(), count(&self.arguments), count(&self.environment)];
        let mut text = Vec::new();
        for field in head.iter().chain(&self.arguments).chain(&self.environment) {
            text.extend_from_slice(field.as_bytes());
            text.push(0);
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(rustix::fs::memfd_create("tmux-janitor order", flags)?);
        file.write_all_at(&text, 0)?;
        rustix::fs::fcntl_add_seals(&file, SEALED)?;
        Ok(file)
    }

    /// Reads an order of the caller's own user. `Err`: what is wrong with it.
    pub(super) fn read(file: &File) -> Result<Self, &'static str> {
        let facts = rustix::fs::fstat(file).map_err(|_| "its stdin cannot be looked at")?;
        if FileType::from_raw_mode(facts.st_mode) != FileType::RegularFile {
            return Err("its stdin is no regular file");
        }
        if facts.st_uid != rustix::process::geteuid().as_raw() {
            return Err("its stdin is another user's");
        }
        if !rustix::fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SEALED)) {
            return Err("its stdin is not a sealed file in memory");
        }
        let text = child::contents(file).map_err(|_| "its stdin cannot be read")?;
        Self::parse(&text).ok_or("its stdin is no order of this version")
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let mut fields =
            text.strip_suffix(b"\0")?.split(|byte| *byte == 0).map(|f| OsString::from_vec(f.to_vec()));
        if fields.next()? != MAGIC {
            return None;
        }
        let (stay, cwd) = (fields.next()? == "stay", fields.next()?);
        let mut count = || fields.next()?.to_str()?.parse::<usize>().ok();
        let counts = (count()?, count()?);
        let arguments: Vec<OsString> = fields.by_ref().take(counts.0).collect();
        let environment: Vec<OsString> = fields.by_ref().take(counts.1).collect();
        let is_whole = fields.next().is_none() && (arguments.len(), environment.len()) == counts;
        (is_whole && counts.0 > 0).then_some(Self { stay, cwd, arguments, environment })
    }

    /// The environment as pairs.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.environment.iter().filter_map(|variable| {
            let bytes = variable.as_bytes();
            let at = bytes.iter().position(|byte| *byte == b'=')?;
            Some((OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..])))
        })
    }
}

/// What a service tells of its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// Nobody read it: the manager did not start it.
    None,
    /// The command was started, and nothing more is known.
    Began,
    Ended(Ended),
}

/// Bytes before an answer's streams: its state, the exit code, the length of stdout.
const HEADER: usize = 1 + 4 + 8;

impl Reply {
    /// Enters that the command is started now.
    pub(super) fn begin(file: &File) -> io::Result<()> {
        file.write_all_at(b"B", 0)
    }

    /// Enters how it ended. The state comes last: what is incomplete is no end.
    pub(super) fn end(file: &File, code: i32, out: &[u8], err: &[u8]) -> io::Result<()> {
        file.write_all_at(&code.to_ne_bytes(), 1)?;
        file.write_all_at(&(out.len() as u64).to_ne_bytes(), 5)?;
        file.write_all_at(out, HEADER as u64)?;
        file.write_all_at(err, (HEADER + out.len()) as u64)?;
        file.write_all_at(b"E", 0)
    }

    pub(super) fn read(file: &File) -> io::Result<Self> {
        let text = child::contents(file)?;
        Ok(match text.first() {
            Some(b'B') => Self::Began,
            Some(b'E') => Self::parse(&text).unwrap_or(Self::Began),
            _ => Self::None,
        })
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let code = i32::from_ne_bytes(text.get(1..5)?.try_into().ok()?);
        let length = u64::from_ne_bytes(text.get(5..HEADER)?.try_into().ok()?);
        let (out, err) = text[HEADER..].split_at_checked(usize::try_from(length).ok()?)?;
        Some(Self::Ended(Ended { end: End::Code(code), out: out.to_vec(), err: err.to_vec() }))
    }
}

/// What a command said on stderr, wherever it was run.
pub(super) fn words(err: &[u8]) -> &[u8] {
    part(err).1.unwrap_or(err)
}

/// Parts a scope's stderr: what `systemd-run` said, and what the command said, if it was started.
pub(super) fn part(err: &[u8]) -> (&[u8], Option<&[u8]>) {
    match err.windows(BEGAN.len()).position(|window| window == BEGAN) {
        Some(at) => (&err[..at], Some(&err[at + BEGAN.len()..])),
        None => (err, None),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use std::io::Write as _;

    fn order() -> HandoverOrder {
        let arguments = ["/bin/sh", "-c", "x", "$HOME;", ""].map(OsString::from).to_vec();
        HandoverOrder {
            stay: true,
            cwd: "/".into(),
            arguments,
            environment: vec!["A=b=\n$c".into(), "B=".into()],
        }
    }

    #[test]
    fn an_order_arrives_byte_for_byte_and_cannot_be_changed() {
        let file = order().write().unwrap();
        assert_eq!(HandoverOrder::read(&file), Ok(order()));
        assert!(file.write_at(b"x", 0).is_err() && (&file).write(b"x").is_err() && file.set_len(0).is_err());
        let variables: Vec<_> = order().variables().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        assert_eq!(variables, [("A".into(), "b=\n$c".into()), ("B".into(), "".into())]);
    }

    #[test]
    fn what_is_not_sealed_whole_and_ours_is_no_order() {
        let text = child::contents(&order().write().unwrap()).unwrap();
        let copy = child::memory_file().unwrap();
        (&copy).write_all(&text).unwrap();
        assert_eq!(HandoverOrder::read(&copy), Err("its stdin is not a sealed file in memory"));
        let mut on_disk = tempfile::tempfile().unwrap();
        on_disk.write_all(&text).unwrap();
        assert_eq!(HandoverOrder::read(&on_disk), Err("its stdin is not a sealed file in memory"));
        let (pipe, _other) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let pipe = File::from(pipe);
        assert_eq!(HandoverOrder::read(&pipe), Err("its stdin is no regular file"));
        for wrong in [&text[..text.len() - 1], &text[..text.len() - 3], &text[1..], b"", b"\0"] {
            assert_eq!(HandoverOrder::parse(wrong), None);
        }
        let longer = [&text[..], b"x\0"].concat();
        assert_eq!(HandoverOrder::parse(&longer), None);
    }

    #[test]
    fn an_answer_counts_when_it_is_complete() {
        let file = child::memory_file().unwrap();
        assert_eq!(Reply::read(&file).unwrap(), Reply::None);
        Reply::begin(&file).unwrap();
        assert_eq!(Reply::read(&file).unwrap(), Reply::Began);
        Reply::end(&file, 3, b"out", b"err").unwrap();
        let ended = Ended { end: End::Code(3), out: b"out".to_vec(), err: b"err".to_vec() };
        assert_eq!(Reply::read(&file).unwrap(), Reply::Ended(ended));
        file.set_len(10).unwrap();
        assert_eq!(Reply::read(&file).unwrap(), Reply::Began);
    }

    #[test]
    fn what_systemd_run_says_is_told_from_what_the_command_says() {
        let err = [b"a warning\n", BEGAN, b"no server\0"].concat();
        assert_eq!(part(&err), (&b"a warning\n"[..], Some(&b"no server\0"[..])));
        assert_eq!(part(b"refused"), (&b"refused"[..], None));
    }
}
