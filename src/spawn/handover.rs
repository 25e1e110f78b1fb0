//! Handing a command over to a process that systemd starts.
//!
//! `systemd-run` expands `$VARIABLE` in the arguments it is given, differently from version to version,
//! and a manager has an environment of its own. So nothing that somebody else wrote is ever put on its
//! command line: arguments, environment and working directory lie in a file in memory, and what systemd
//! runs is this very program (`/proc/PID/exe`, which needs no path), told where the file is
//! (`/proc/PID/fd/N`). It reads the order and carries it out.

use crate::child;
use crate::error::Error;
use crate::exit::Exit;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The name of the hidden command that carries an order out.
pub(crate) const COMMAND: &str = "carry-out";

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    /// Stay and tell the exit code (`true`), or become the command.
    pub(super) stay: bool,
    /// The working directory.
    pub(super) cwd: OsString,
    /// The command and its arguments.
    pub(super) arguments: Vec<OsString>,
    /// Its whole environment, as `K=V`.
    pub(super) environment: Vec<OsString>,
}

/// How far an order came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nobody read it: the manager did not start it.
    None,
    /// The command was started.
    Began,
    /// It ended with this code.
    Ended(i32),
}

/// An order in memory, with files for what the command says.
#[derive(Debug)]
pub(super) struct Handover {
    order: File,
    pub(super) out: File,
    pub(super) err: File,
}

/// Bytes before the order's text: a letter and an exit code.
const HEADER: usize = 5;

impl Handover {
    pub(super) fn new(order: &Order) -> io::Result<Self> {
        let handover =
            Self { order: child::memory_file()?, out: child::memory_file()?, err: child::memory_file()? };
        let mut text = b"N\0\0\0\0".to_vec();
        let count = |list: &[OsString]| OsString::from(list.len().to_string());
        let stay = OsString::from(if order.stay { "stay" } else { "become" });
        let head = [stay, path_of(&handover.out), path_of(&handover.err), order.cwd.clone()];
        let counts = [count(&order.arguments), count(&order.environment)];
        let fields = head.iter().chain(&counts).chain(&order.arguments).chain(&order.environment);
        for field in fields {
            text.extend_from_slice(field.as_bytes());
            text.push(0);
        }
        handover.order.write_all_at(&text, 0)?;
        Ok(handover)
    }

    /// The command that carries it out. Nothing in it comes from anybody else.
    pub(super) fn command(&self) -> [OsString; 3] {
        [format!("/proc/{}/exe", std::process::id()).into(), COMMAND.into(), path_of(&self.order)]
    }

    pub(super) fn progress(&self) -> Progress {
        let mut header = [0; HEADER];
        match (self.order.read_exact_at(&mut header, 0), header) {
            (Ok(()), [b'B', ..]) => Progress::Began,
            (Ok(()), [b'E', code @ ..]) => Progress::Ended(i32::from_ne_bytes(code)),
            _ => Progress::None,
        }
    }
}

/// A path that leads every process that may see ours to the open file.
fn path_of(file: &File) -> OsString {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
}

/// Carries out the order in a file: the other side of [`Handover`].
pub(crate) fn carry_out(path: &Path) -> Result<Exit, Error> {
    let wrong = |error: io::Error| Error::Usage(format!("this command is for tmux-janitor itself: {error}"));
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(wrong)?;
    let mut text = Vec::new();
    io::Read::read_to_end(&mut &file, &mut text).map_err(wrong)?;
    let malformed = || wrong(io::Error::from(io::ErrorKind::InvalidData));
    let (order, out, err) = text.get(HEADER..).and_then(parse).ok_or_else(malformed)?;
    let open = |path: &OsStr| OpenOptions::new().append(true).open(path).map_err(wrong);
    let (out, err) = (open(&out)?, open(&err)?);
    let mut complaint = err.try_clone().map_err(wrong)?;
    file.write_all_at(b"B", 0).map_err(wrong)?;
    let mut arguments = order.arguments.iter();
    let mut command = Command::new(arguments.next().ok_or_else(malformed)?);
    command.args(arguments).env_clear().current_dir(&order.cwd);
    command.envs(order.environment.iter().filter_map(|variable| variable_of(variable)));
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    let error = if order.stay {
        match command.status() {
            Ok(status) => {
                let code = status.code().unwrap_or(Exit::Bug as i32);
                file.write_all_at(&[b"E", &code.to_ne_bytes()[..]].concat(), 0).map_err(wrong)?;
                return Ok(Exit::Done);
            }
            Err(error) => error,
        }
    } else {
        command.exec()
    };
    // The caller reads it there; nothing can be told if that fails.
    let _ = io::Write::write_all(&mut complaint, error.to_string().as_bytes());
    Ok(Exit::Found)
}

fn variable_of(variable: &OsStr) -> Option<(&OsStr, &OsStr)> {
    let bytes = variable.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    Some((OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..])))
}

fn parse(text: &[u8]) -> Option<(Order, OsString, OsString)> {
    let mut fields =
        text.strip_suffix(b"\0")?.split(|byte| *byte == 0).map(|f| OsString::from_vec(f.to_vec()));
    let stay = fields.next()? == "stay";
    let (out, err, cwd) = (fields.next()?, fields.next()?, fields.next()?);
    let mut count = || fields.next()?.to_str()?.parse::<usize>().ok();
    let (arguments, environment) = (count()?, count()?);
    let arguments: Vec<OsString> = fields.by_ref().take(arguments).collect();
    let environment: Vec<OsString> = fields.by_ref().take(environment).collect();
    fields.next().is_none().then_some((Order { stay, cwd, arguments, environment }, out, err))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    fn order(stay: bool, script: &str) -> Order {
        let arguments = ["/bin/sh", "-c", script, "$HOME;", ""].map(OsString::from).to_vec();
        Order { stay, cwd: "/".into(), arguments, environment: vec!["A=b=\n$c".into()] }
    }

    #[test]
    fn an_order_arrives_byte_for_byte() {
        let order = order(false, "x");
        let handover = Handover::new(&order).unwrap();
        let text = child::contents(&handover.order).unwrap();
        assert_eq!(parse(&text[HEADER..]).unwrap().0, order);
        assert_eq!(handover.progress(), Progress::None);
    }

    #[test]
    fn it_is_carried_out_and_its_end_is_told() {
        let script = r#"printf %s "$A|$0|$#|$(pwd)"; echo e >&2; exit 7"#;
        let handover = Handover::new(&order(true, script)).unwrap();
        let [_, _, path] = handover.command();
        carry_out(Path::new(&path)).unwrap();
        assert_eq!(handover.progress(), Progress::Ended(7));
        assert_eq!(child::contents(&handover.out).unwrap(), b"b=\n$c|$HOME;|1|/");
        assert_eq!(child::contents(&handover.err).unwrap(), b"e\n");
    }
}
