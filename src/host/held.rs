//! A tmux client that waits in the middle of its commands until it is let go.
//!
//! `load-buffer -` reads the client's stdin to its end, and the commands behind it wait for that; of nothing it
//! makes no buffer. Its stdin and its stdout are one end of a pair of sockets; the other end is ours, and closes
//! when we let go, and with us, however we end: no client of ours stays. While a client is there its server does not end, with or without sessions (server.c: `server_loop`).

use super::child::{self, End, Ended};
use super::descriptors;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, Shutdown, SocketFlags, SocketType};
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tmux_sockets::kernel::{Pid, PidFd};

/// The command that waits.
pub(crate) const WAIT: [&str; 2] = ["load-buffer", "-"];

/// How long a client may take to leave, once it is let go.
const LEAVING: Duration = Duration::from_secs(2);

/// A client that runs.
#[derive(Debug)]
pub(crate) struct HeldClient {
    child: Child,
    pidfd: PidFd,
    /// What it says comes from here; its stdin ends when this is shut.
    line: OwnedFd,
    said: Vec<u8>,
    err: File,
    is_over: bool,
}

/// What came first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FirstSaid {
    /// A line, without its end.
    Line(Vec<u8>),
    /// The client's end, without one.
    Nothing,
    /// Neither, in time.
    GivenUp,
}

/// What ended a watch over a client and a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The client's end.
    Client,
    /// The process' end.
    Process,
    /// The time is over.
    Time,
}

impl HeldClient {
    /// Starts a client.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        Self::of(command, None)
    }

    /// Starts a program that reads something else from its stdin, and becomes a client whose stdin is what its
    /// stdout is.
    pub(crate) fn start_by(command: &mut Command, input: impl Into<Stdio>) -> io::Result<Self> {
        Self::of(command, Some(input.into()))
    }

    fn of(command: &mut Command, input: Option<Stdio>) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let (line, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let err = child::memory_file()?;
        command.stdin(match input {
            Some(input) => input,
            None => theirs.try_clone()?.into(),
        });
        command.stdout(theirs).stderr(err.try_clone()?).process_group(0);
        let spawned = descriptors::as_found(|| command.spawn());
        // The command keeps what it was given as long as it lives.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = spawned?;
        let pidfd = match PidFd::of(&child) {
            Ok(pidfd) => pidfd,
            Err(errno) => {
                child.kill()?;
                child.wait()?;
                return Err(errno.into());
            }
        };
        Ok(Self { child, pidfd, line, said: Vec::new(), err, is_over: false })
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().map(Pid::new)
    }

    /// Waits for a whole line on its stdout, for as long as `deadline`; then `patient` is asked whether to wait
    /// as long once more.
    pub(crate) fn line(
        &mut self,
        deadline: Duration,
        patient: &mut dyn FnMut() -> bool,
    ) -> io::Result<FirstSaid> {
        let said = self.await_line(deadline, patient)?;
        if let FirstSaid::Line(line) = &said {
            self.said.drain(..=line.len());
        }
        Ok(said)
    }

    /// The same, and the line is still to be read then.
    pub(crate) fn await_line(
        &mut self,
        deadline: Duration,
        patient: &mut dyn FnMut() -> bool,
    ) -> io::Result<FirstSaid> {
        let mut started = Instant::now();
        loop {
            let is_open = self.read()?;
            if let Some(at) = self.said.iter().position(|byte| *byte == b'\n') {
                return Ok(FirstSaid::Line(self.said[..at].to_vec()));
            }
            let mut fds = vec![PollFd::new(&self.pidfd, PollFlags::IN)];
            if is_open {
                fds.push(PollFd::new(&self.line, PollFlags::IN));
            }
            match poll(&mut fds, deadline.saturating_sub(started.elapsed()))? {
                0 if patient() => started = Instant::now(),
                0 => return Ok(FirstSaid::GivenUp),
                _ if fds[0].revents().is_empty() => {}
                // It has ended: all that it wrote is there.
                _ => {
                    self.read()?;
                    if !self.said.contains(&b'\n') {
                        return Ok(FirstSaid::Nothing);
                    }
                }
            }
        }
    }

    /// Takes in what it has said. `false`: it cannot say more.
    fn read(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        loop {
            match rustix::net::recv(&self.line, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((_, 0)) | Err(Errno::CONNRESET) => return Ok(false),
                Ok((_, length)) => self.said.extend_from_slice(&buffer[..length]),
                Err(Errno::AGAIN) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// What it has said on stderr so far.
    pub(crate) fn complaints(&self) -> Vec<u8> {
        // What cannot be read counts as not said.
        child::contents(&self.err).unwrap_or_default()
    }

    /// Waits for its end, or that of another process, for a time.
    pub(crate) fn watch(&self, process: Option<BorrowedFd<'_>>, time: Duration) -> Woken {
        let mut fds = vec![PollFd::new(&self.pidfd, PollFlags::IN)];
        fds.extend(process.map(|process| PollFd::from_borrowed_fd(process, PollFlags::IN)));
        match poll(&mut fds, time) {
            Ok(0) | Err(_) => Woken::Time,
            Ok(_) if fds[0].revents().is_empty() => Woken::Process,
            Ok(_) => Woken::Client,
        }
    }

    /// Lets it go on behind [`WAIT`].
    pub(crate) fn let_go(&self) {
        // It fails only where the client's end is closed already.
        let _ = rustix::net::shutdown(&self.line, Shutdown::Write);
    }

    /// Lets it go, and waits for its end; one that does not end is killed.
    pub(crate) fn end(mut self) -> io::Result<Ended> {
        let end = self.leave()?;
        self.read()?;
        Ok(Ended { end, out: std::mem::take(&mut self.said), err: self.complaints() })
    }

    /// Ends it at once.
    pub(crate) fn kill(mut self) {
        // Our child, not reaped yet: no other process can have its pid. That it has ended already is fine.
        let _ = self.child.kill();
        let _ = self.leave();
    }

    fn leave(&mut self) -> io::Result<End> {
        self.let_go();
        self.is_over = true;
        let left = self.pidfd.ends_within(LEAVING)?;
        if !left {
            self.child.kill()?;
        }
        let status = self.child.wait()?;
        Ok(match (status.code(), status.signal()) {
            _ if !left => End::GivenUp,
            (Some(code), _) => End::Code(code),
            (None, signal) => End::Signal(signal.unwrap_or_default()),
        })
    }
}

impl Drop for HeldClient {
    fn drop(&mut self) {
        if !self.is_over {
            // There is nobody left to tell.
            let _ = self.leave();
        }
    }
}

fn poll(fds: &mut [PollFd<'_>], time: Duration) -> io::Result<usize> {
    let started = Instant::now();
    loop {
        let left = Timespec::try_from(time.saturating_sub(started.elapsed())).map_err(|_| Errno::INVAL)?;
        match rustix::event::poll(fds, Some(&left)) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready?),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    use std::os::fd::AsFd;

    const LONG: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> HeldClient {
        HeldClient::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    fn line(held: &mut HeldClient, time: Duration) -> FirstSaid {
        held.line(time, &mut || false).unwrap()
    }

    #[test]
    fn it_says_a_line_waits_and_goes_on() {
        let mut held = shell("echo one; echo e >&2; cat; echo two; exit 3");
        assert_eq!(line(&mut held, LONG), FirstSaid::Line(b"one".into()));
        assert_eq!(held.watch(None, Duration::from_millis(50)), Woken::Time, "it waits");
        assert_eq!(held.complaints(), b"e\n");
        assert_eq!(
            held.end().unwrap(),
            Ended { end: End::Code(3), out: b"two\n".into(), err: b"e\n".into() }
        );
    }

    #[test]
    fn two_lines_at_once_are_two() {
        let mut held = shell("printf 'a\\nb\\nc'");
        assert_eq!(line(&mut held, LONG), FirstSaid::Line(b"a".into()));
        assert_eq!(line(&mut held, LONG), FirstSaid::Line(b"b".into()));
        assert_eq!(line(&mut held, LONG), FirstSaid::Nothing);
        assert_eq!(held.end().unwrap().out, b"c");
    }

    #[test]
    fn one_that_says_nothing_is_given_up_and_one_that_stays_is_killed() {
        let mut held = shell("exec sleep 100");
        assert_eq!(line(&mut held, Duration::from_millis(20)), FirstSaid::GivenUp);
        held.kill();
        let mut held = shell("exec 1>&-; exec sleep 100");
        assert_eq!(
            line(&mut held, Duration::from_millis(50)),
            FirstSaid::GivenUp,
            "a closed stdout is no end"
        );
        held.kill();
        let mut held = shell("exit 0");
        assert_eq!(line(&mut held, LONG), FirstSaid::Nothing);
        assert_eq!(held.watch(None, LONG), Woken::Client);
    }

    #[test]
    fn another_process_wakes_the_watch() {
        let mut child = Command::new("true").spawn().unwrap();
        let pidfd = PidFd::of(&child).unwrap();
        assert_eq!(shell("cat").watch(Some(pidfd.as_fd()), LONG), Woken::Process);
        child.wait().unwrap();
    }
}
