//! Who waits for a run that goes to a mount itself.
//!
//! A mount that has answered may stand still a moment later, and then whoever works there waits in the kernel, for ever.
//! So a run that has such a mount on its way is made in a child of ours, as it would be here: it looks at what is near
//! first, asks, and says which mounts it goes to from then on. We touch none of them, pass on what it says, ask those
//! mounts again and again, and give the run up when one does not answer: nobody who waits for us, or reads what we
//! say to its end, waits for a mount.

use super::{PATIENCE, has_answered};
use crate::host::told_to_end::ToldToEnd;
use crate::logging;
use nix::sys::signal::{Signal, raise};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::Pid;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Instant;
use tmux_sockets::kernel::PidFd;
use tmux_sockets::kernel::{Mount, Mounts};

/// The first word of such a run; the second one is our pid.
const WORD: &str = "guarded";

/// In such a run: where it says to which mounts it goes. Each point ends with a NUL, which no path has in it.
static TELL: OnceLock<File> = OnceLock::new();

/// What came of a run.
#[derive(Debug)]
pub(crate) enum GuardEnd {
    /// It ended with this exit code; `None`: by a signal that is none of ours.
    Ended(Option<i32>),
    /// This mount does not answer any more, and the run was given up.
    StoodStill(Mount),
}

/// The command line that was meant: of a run that is guarded it is behind the words of who guards it.
pub(crate) fn meant(line: Vec<OsString>) -> Vec<OsString> {
    match line.as_slice() {
        [own, word, _, rest @ ..] if word == WORD => [std::slice::from_ref(own), rest].concat(),
        _ => line,
    }
}

/// Takes up a run that is guarded, if this is one. `false`: who guards it has ended already.
pub(crate) fn begin(line: &[OsString]) -> bool {
    let [_, word, guard, ..] = line else { return true };
    if word != WORD {
        return true;
    }
    // What is told to end by its guard's end comes to an end in order.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    let _ = rustix::thread::set_name(c"tmux-janitor");
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().to_string());
    let Ok(tell) = io::stdin().as_fd().try_clone_to_owned() else { return false };
    let _ = TELL.set(File::from(tell));
    parent.is_some_and(|parent| *guard == *parent)
}

/// Tells who guards us, if anybody does, that we go to a mount from now on.
pub(super) fn tell(point: &Path) {
    if let Some(mut guard) = TELL.get() {
        // Where nobody reads, nobody guards us any more.
        let _ = guard.write_all(&[point.as_os_str().as_bytes(), b"\0"].concat());
    }
}

/// Whether a run that may go to these paths has a mount on its way that may not answer, and nobody guards it.
pub(crate) fn is_wanted(paths: impl FnOnce() -> Vec<PathBuf>) -> bool {
    if TELL.get().is_some() {
        return false;
    }
    let mounts = Mounts::read();
    mounts.has_far() && paths().iter().any(|path| !mounts.lets_look_at(path))
}

/// Makes the run of this command line in a child.
///
/// # Errors
/// It cannot be started, and nothing was done.
pub(crate) fn run(line: &[OsString]) -> io::Result<GuardEnd> {
    let mut signals = ToldToEnd::begin();
    let mut run = GuardRun::start(line)?;
    let mut next = Instant::now() + PATIENCE;
    loop {
        run.wait(next, signals.as_ref().filter(|_| !run.is_told_to_end));
        run.pass_on();
        if run.has_ended() {
            run.pass_on();
            return Ok(GuardEnd::Ended(outcome(run.child.wait()?)));
        }
        if !run.is_told_to_end && signals.as_mut().is_some_and(ToldToEnd::is_told) {
            run.is_told_to_end = true;
            // Our child, not reaped yet: no other process can have its pid.
            rustix::process::kill_process(Pid::from_child(&run.child), rustix::process::Signal::TERM)?;
        }
        if Instant::now() >= next {
            if let Some(mount) = run.silent_mount() {
                // A process that hangs in the kernel does not even end by SIGKILL: it is not waited for.
                let _ = run.child.kill();
                let _ = run.child.try_wait();
                return Ok(GuardEnd::StoodStill(mount));
            }
            next = Instant::now() + PATIENCE;
        }
    }
}

/// A run, and what it says.
struct GuardRun {
    child: Child,
    pidfd: PidFd,
    out: Option<OwnedFd>,
    err: Option<OwnedFd>,
    told: OwnedFd,
    points: Vec<u8>,
    is_told_to_end: bool,
}

impl GuardRun {
    fn start(line: &[OsString]) -> io::Result<Self> {
        let (told, tell) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        // /proc/self/exe is the program that runs now, even if another file is at its path by now.
        let mut command = Command::new("/proc/self/exe");
        let words = line.get(1..).unwrap_or_default();
        command.arg0(line.first().map_or(OsStr::new("tmux-janitor"), OsString::as_os_str));
        command.arg(WORD).arg(std::process::id().to_string()).args(words);
        command.stdin(tell).stdout(stream(io::stdout().as_fd())).stderr(stream(io::stderr().as_fd()));
        let mut child = command.spawn()?;
        let out = child.stdout.take().map(OwnedFd::from);
        let err = child.stderr.take().map(OwnedFd::from);
        for pipe in [&out, &err].into_iter().flatten().chain([&told]) {
            rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK)?;
        }
        let pidfd = PidFd::of(&child)?;
        Ok(Self { child, pidfd, out, err, told, points: Vec::new(), is_told_to_end: false })
    }

    /// Until it says something or ends, we are told to end, or the time has come.
    fn wait(&self, until: Instant, signals: Option<&ToldToEnd>) {
        let pipes = [&self.out, &self.err].into_iter().flatten();
        let fds = pipes.map(AsFd::as_fd).chain([self.pidfd.as_fd()]).chain(signals.map(AsFd::as_fd));
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let left = until.saturating_duration_since(Instant::now());
        // An interruption (EINTR) costs one needless look.
        let _ = rustix::event::poll(&mut fds, Timespec::try_from(left).ok().as_ref());
    }

    /// Passes on what it has said by now.
    fn pass_on(&mut self) {
        let mut stdout = io::stdout().lock();
        relay(&mut self.out, |text| stdout.write_all(text).and_then(|()| stdout.flush()).is_ok());
        relay(&mut self.err, |text| {
            logging::stderr::write(text);
            true
        });
    }

    fn has_ended(&self) -> bool {
        self.pidfd.has_ended()
    }

    /// A mount that it goes to and that does not answer now.
    fn silent_mount(&mut self) -> Option<Mount> {
        while let Some(text @ [_, ..]) = read(self.told.as_fd(), &mut [0; 4096]).ok().as_deref() {
            self.points.extend_from_slice(text);
        }
        let mounts = Mounts::read();
        let points = self.points.split(|byte| *byte == 0).filter(|point| !point.is_empty());
        points
            .filter_map(|point| mounts.covering(Path::new(OsStr::from_bytes(point))))
            .find(|mount| !mounts.is_near(&mount.point) && !has_answered(mount, mount.point.clone()))
            .cloned()
    }
}

/// What it gets as one of its streams: ours, where nobody reads to the end of it; else one of its own, since one that
/// hangs closes nothing.
fn stream(ours: BorrowedFd<'_>) -> Stdio {
    let kind = rustix::fs::fstat(ours).map(|about| FileType::from_raw_mode(about.st_mode));
    let is_read = matches!(kind, Ok(FileType::Fifo | FileType::Socket)) && !logging::is_journal(ours);
    if is_read { Stdio::piped() } else { Stdio::inherit() }
}

/// Hands on all that is to be had now. Nothing more once it has ended or nobody takes it.
fn relay(pipe: &mut Option<OwnedFd>, mut hand_on: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; 16 * 1024];
    while let Some(fd) = &*pipe {
        match read(fd.as_fd(), &mut buffer) {
            Ok(text) if !text.is_empty() && hand_on(&text) => {}
            Err(Errno::AGAIN) => return,
            Ok(_) | Err(_) => *pipe = None,
        }
    }
}

fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Vec<u8>, Errno> {
    let length = rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut *buffer))?;
    Ok(buffer[..length].to_vec())
}

/// How it ended; by a signal, we do, too.
fn outcome(status: ExitStatus) -> Option<i32> {
    if let Some(signal) = status.signal().and_then(|number| Signal::try_from(number).ok()) {
        logging::finish();
        let _ = raise(signal);
    }
    status.code()
}
