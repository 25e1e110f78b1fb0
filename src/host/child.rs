//! Running another program to its end, or to ours.
//!
//! A tmux client hands its standard streams to the server. Were stdout a pipe, a stopped server would
//! keep it open for ever, and whoever reads to its end would wait as long. So the streams are files in
//! memory, there is a deadline, and what is ended then is only the process that was started here.

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::MemfdFlags;
use rustix::pipe::PipeFlags;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tmux_sockets::kernel::PidFd;
use tmux_sockets::kernel::lack::{heeded, heeded_io};

/// Most of what is read of a stream, in bytes.
const MOST: usize = 4 * 1024 * 1024;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, with this exit code.
    Code(i32),
    Signal(i32),
    /// Not in time: it was given up and killed.
    GivenUp,
}

/// What a program said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub end: End,
    /// Its stdout.
    pub out: Vec<u8>,
    /// Its stderr.
    pub err: Vec<u8>,
}

pub(crate) fn memory_file() -> io::Result<File> {
    Ok(File::from(heeded(rustix::fs::memfd_create("tmux-janitor", MemfdFlags::CLOEXEC))?))
}

/// All of a file, as much of it as we care for, wherever its offset stands.
pub(crate) fn contents(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while bytes.len() < MOST {
        match file.read_at(&mut buffer, bytes.len() as u64)? {
            0 => break,
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(bytes)
}

/// Runs a program in a process group of its own, with nothing on its stdin, for at most `deadline`.
///
/// # Errors
/// It cannot be started, or the kernel lacks what is needed to watch it (pidfd, memfd).
pub(crate) fn run(command: &mut Command, deadline: Duration) -> io::Result<Ended> {
    run_patiently(command, deadline, &mut || false)
}

/// The same, but at the deadline `patient` is asked, and while it says so there is another one.
pub(crate) fn run_patiently(
    command: &mut Command,
    deadline: Duration,
    patient: &mut dyn FnMut() -> bool,
) -> io::Result<Ended> {
    run_with(command, Stdio::null(), deadline, patient)
}

/// The same with something on its stdin.
pub(crate) fn run_with(
    command: &mut Command,
    input: impl Into<Stdio>,
    deadline: Duration,
    patient: &mut dyn FnMut() -> bool,
) -> io::Result<Ended> {
    let (out, err) = (memory_file()?, memory_file()?);
    let (told, complained) = (heeded_io(out.try_clone())?, heeded_io(err.try_clone())?);
    command.stdin(input).stdout(told).stderr(complained).process_group(0);
    let end = wait(command, deadline, patient)?;
    Ok(Ended { end, out: contents(&out)?, err: contents(&err)? })
}

/// Runs a program, in a process group of its own, until it has ended or `bell` was written to its stderr, whoever
/// inherited that from it. What was written there; it ends with `bell` if that was written. Something must come
/// within the first time, all of it within the second. The program is over then in any case: it is killed if need be.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_until(
    command: &mut Command,
    (input, output): (File, File),
    bell: &[u8],
    deadlines: (Duration, Duration),
) -> io::Result<Vec<u8>> {
    let started = Instant::now();
    let (hear, tell) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let mut hear = File::from(hear);
    command.stdin(input).stdout(output).stderr(tell).process_group(0);
    let mut child = command.spawn()?;
    // The command still holds our copy of the writing end.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let heard = hear_out(&child, &mut hear, started, bell, deadlines);
    // Our child, not reaped yet: no other process can have its pid.
    child.kill()?;
    child.wait()?;
    heard
}

fn hear_out(
    child: &Child,
    hear: &mut File,
    started: Instant,
    bell: &[u8],
    (first, whole): (Duration, Duration),
) -> io::Result<Vec<u8>> {
    let pidfd = PidFd::of(child)?;
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    while !said.ends_with(bell) && said.len() < MOST {
        let mut fds = [PollFd::new(&*hear, PollFlags::IN), PollFd::new(&pidfd, PollFlags::IN)];
        let deadline = if said.is_empty() { first } else { whole };
        let left = Timespec::try_from(deadline.saturating_sub(started.elapsed()))
            .map_err(|_| rustix::io::Errno::INVAL)?;
        match rustix::event::poll(&mut fds, Some(&left)) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
            Ok(0) => break,
            Ok(_) => {}
        }
        // What it wrote before its end is read first.
        if fds[0].revents().contains(PollFlags::IN) {
            let length = io::Read::read(hear, &mut buffer)?;
            said.extend_from_slice(&buffer[..length]);
        } else {
            break;
        }
    }
    Ok(said)
}

fn wait(command: &mut Command, deadline: Duration, patient: &mut dyn FnMut() -> bool) -> io::Result<End> {
    let mut started = Instant::now();
    let mut child = heeded_io(command.spawn())?;
    let ended_in_time = (|| -> Result<bool, rustix::io::Errno> {
        let pidfd = heeded(PidFd::of(&child))?;
        loop {
            match pidfd.ends_within(deadline.saturating_sub(started.elapsed()))? {
                false if patient() => started = Instant::now(),
                ended => return Ok(ended),
            }
        }
    })();
    if ended_in_time != Ok(true) {
        // Our child, not reaped yet: no other process can have its pid.
        child.kill()?;
    }
    let status = child.wait()?;
    if !ended_in_time? {
        return Ok(End::GivenUp);
    }
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => End::Code(code),
        (None, signal) => End::Signal(signal.unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use tmux_sockets::kernel::Pid;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn streams_and_exit_code_are_told() {
        let ended = run(&mut shell("echo a; echo b >&2; exit 3"), Duration::from_secs(10)).unwrap();
        assert_eq!(ended, Ended { end: End::Code(3), out: b"a\n".into(), err: b"b\n".into() });
        let ended = run(&mut shell("kill -9 $$"), Duration::from_secs(10)).unwrap();
        assert_eq!(ended.end, End::Signal(9));
        assert!(run(&mut Command::new("/nonexistent"), Duration::ZERO).is_err());
    }

    #[test]
    fn a_bell_is_heard_whoever_rings_it_and_an_end_without_one_too() {
        let files = || (memory_file().unwrap(), memory_file().unwrap());
        let until = |script: &str, first, whole| {
            let deadlines = (Duration::from_millis(first), Duration::from_millis(whole));
            run_until(&mut shell(script), files(), b"!", deadlines).unwrap()
        };
        let (started, short, long) = (Instant::now(), 100, 20_000);
        assert_eq!(until("printf a >&2; (printf 'b!' >&2) & exec sleep 5", long, long), b"ab!");
        assert_eq!(until("printf 'a! b' >&2", long, long), b"a! b");
        assert_eq!(until("exec sleep 5", short, long), b"");
        assert_eq!(until("printf a >&2; exec sleep 5", long, short), b"a");
        assert!(started.elapsed() < Duration::from_secs(4));
    }

    #[test]
    fn a_hanging_program_is_given_up_though_a_child_of_it_keeps_the_streams() {
        let started = Instant::now();
        let script = "sleep 5 & echo $!; exec sleep 5";
        let ended = run(&mut shell(script), Duration::from_millis(300)).unwrap();
        assert_eq!(ended.end, End::GivenUp);
        assert!(started.elapsed() < Duration::from_secs(4));
        let grandchild: Pid = String::from_utf8(ended.out).unwrap().trim().parse().unwrap();
        let grandchild = rustix::process::Pid::from_raw(grandchild.raw()).unwrap();
        rustix::process::kill_process(grandchild, rustix::process::Signal::KILL).unwrap();
    }
}
