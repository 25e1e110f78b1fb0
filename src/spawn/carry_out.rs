//! The other side of [`super::handover`]: what runs where systemd put it.

use super::handover::{BEGAN, COMMAND, HandoverOrder, Reply, TOLD};
use crate::exit::Error;
use crate::exit::Exit;
use crate::host::child::{self, End};
use crate::host::inherited;
use crate::host::program;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::text::io_text;

/// How long a service may work on an order: less than systemd waits for it (`TimeoutStartSec=`).
const DEADLINE: Duration = Duration::from_secs(50);

/// Becomes `systemd-run`, and dies with the process `parent` that started us: a manager that does not
/// answer keeps it waiting, and nobody would wait for it any more. With `own`, what it is to execute in its
/// place is this very program, by an open descriptor.
///
/// # Errors
/// It cannot be run.
pub(crate) fn hand_over(parent: Pid, own: bool, words: &[OsString]) -> Result<Exit, Error> {
    let wrong = |error: io::Error| Error::Usage(format!("systemd-run cannot be run: {}", io_text(&error)));
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| wrong(errno.into()))?;
    if rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent.raw()) {
        // Our parent ended before the signal of its death was set.
        return Ok(Exit::Found);
    }
    let mut command = program::named("systemd-run".as_ref());
    command.args(words);
    let program;
    if own {
        // Without CLOEXEC, so that it is still open when systemd-run executes it.
        program = rustix::fs::open("/proc/self/exe", OFlags::PATH, Mode::empty())
            .map_err(|errno| wrong(errno.into()))?;
        command.args(["--".into(), format!("/proc/self/fd/{}", program.as_raw_fd()), COMMAND.into()]);
    }
    Err(wrong(command.exec()))
}

/// Carries out the order on stdin.
pub(crate) fn carry_out() -> Result<Exit, Error> {
    inherited::keep_from_children();
    let wrong = |why: &str| Error::Usage(format!("this command is for tmux-janitor itself: {why}"));
    let stream = |stream: BorrowedFd<'_>| stream.try_clone_to_owned().map(File::from);
    let order = stream(io::stdin().as_fd()).map_err(|error| wrong(&io_text(&error)))?;
    let order = HandoverOrder::read(&order).map_err(wrong)?;
    let mut arguments = order.arguments.iter();
    let mut command = Command::new(arguments.next().ok_or_else(|| wrong("nothing is to be run"))?);
    command.args(arguments).env_clear().current_dir(&order.cwd).envs(order.variables());
    let carried = if order.stay {
        stream(io::stdout().as_fd()).and_then(|answer| stay(&mut command, &answer))
    } else {
        become_it(&mut command)
    };
    carried.map_err(|error| wrong(&io_text(&error)))
}

/// In a scope: the command takes our place.
fn become_it(command: &mut Command) -> io::Result<Exit> {
    // From here on tmux lives on without us.
    rustix::process::set_parent_process_death_signal(None)?;
    let mut err = io::stderr();
    err.write_all(BEGAN)?;
    // Our stdout is a socket: as its stdin it tells the command when the caller closes it, or ends.
    let error = command.stdin(io::stdout().as_fd().try_clone_to_owned()?).exec();
    // The caller reads the error from stderr; if that fails nothing more can be said.
    let _ = err.write_all(io_text(&error).as_bytes());
    Ok(Exit::Found)
}

/// In a service: the command is run, and how it went is told.
fn stay(command: &mut Command, answer: &File) -> io::Result<Exit> {
    if !is_awaited(io::stderr().as_fd()) {
        return Ok(Exit::Found);
    }
    Reply::begin(answer)?;
    io::stderr().write_all(BEGAN)?;
    let (code, out, err) = match child::run(command, DEADLINE) {
        Ok(ended) => {
            let code = match ended.end {
                End::Code(code) => code,
                End::Signal(_) | End::GivenUp => Exit::Bug as i32,
            };
            (code, ended.out, ended.err)
        }
        Err(error) => (Exit::Found as i32, Vec::new(), io_text(&error).into_bytes()),
    };
    Reply::end(answer, code, &out, &err)?;
    io::stderr().write_all(TOLD)?;
    Ok(Exit::Done)
}

/// Whether somebody holds the other end of a pipe: whoever gave the order is alive.
fn is_awaited(pipe: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(&pipe, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(0))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    #[test]
    fn an_order_is_carried_out_and_its_end_is_told() {
        let script = r#"printf %s "$A|$0|$#|$(pwd)"; echo e >&2; exit 7"#;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "$HOME;", ""]).env_clear().env("A", "b=\n$c").current_dir("/");
        let answer = child::memory_file().unwrap();
        stay(&mut command, &answer).unwrap();
        let Reply::Ended(ended) = Reply::read(&answer).unwrap() else { panic!("no end") };
        assert_eq!(
            (ended.end, &ended.out[..], &ended.err[..]),
            (End::Code(7), &b"b=\n$c|$HOME;|1|/"[..], &b"e\n"[..])
        );
    }

    #[test]
    fn nobody_waits_behind_a_pipe_without_a_reader() {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        assert!(is_awaited(writer.as_fd()));
        drop(reader);
        assert!(!is_awaited(writer.as_fd()));
    }
}
