//! Children that go to mounts, one each, and what they answer in time.

use super::errand::{Errand, ErrandOrder};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::{Mount, Processes};
use tmux_sockets::sweep::Target;
use tmux_sockets::tmux::Strictness;

/// How long a mount is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// The name of such a process, by which one that hangs is found.
pub(super) const NAME: &std::ffi::CStr = c"janitor-apart";

/// The longest answer, in bytes.
const LONGEST: usize = 16 << 20;

/// What was to be done on one mount, and what came of it. `None`: there was no answer.
#[derive(Debug)]
struct Sent {
    child: Option<Child>,
    pipe: Option<OwnedFd>,
    answer: Vec<u8>,
}

/// Sends one child for each order, with what it is to have on its stdin. The answers in the same order; `None`: no
/// answer came in time.
pub(crate) fn send(orders: &[ErrandOrder], input: Option<&File>) -> Vec<Option<Vec<u8>>> {
    let deadline = Instant::now() + PATIENCE;
    let mut sent: Vec<Sent> = orders
        .iter()
        .map(|order| {
            start(order, input, deadline).unwrap_or(Sent { child: None, pipe: None, answer: Vec::new() })
        })
        .collect();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds: Vec<PollFd<'_>> = sent
            .iter()
            .filter_map(|sent| sent.pipe.as_ref())
            .map(|pipe| PollFd::new(pipe, PollFlags::IN))
            .collect();
        if fds.is_empty() || left.is_zero() {
            break;
        }
        // poll(2) counts in milliseconds: one more, or it would end too early again and again.
        let timeout = Timespec::try_from(left + Duration::from_millis(1)).ok();
        let _ = rustix::event::poll(&mut fds, timeout.as_ref());
        sent.iter_mut().for_each(Sent::hear);
    }
    sent.into_iter().map(Sent::end).collect()
}

/// Starts a child, unless an earlier one still hangs there.
fn start(order: &ErrandOrder, input: Option<&File>, deadline: Instant) -> Option<Sent> {
    if hangs(&order.point, deadline) {
        return None;
    }
    // /proc/self/exe is the program that runs now, even if another file is at its path by now.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("tmux-janitor").args(order.arguments()).env_remove("NOTIFY_SOCKET");
    command.current_dir("/").process_group(0);
    let input = input.and_then(|input| input.try_clone().ok());
    command.stdin(input.map_or_else(Stdio::null, Stdio::from)).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let pipe = child.stdout.take().map(OwnedFd::from);
    Some(Sent { child: Some(child), pipe, answer: Vec::new() })
}

/// Whether a child of an earlier run is still on its way to that mount, and stays there until the deadline.
fn hangs(point: &Path, deadline: Instant) -> bool {
    let user = Uid::ours();
    let is_one = |process: &tmux_sockets::kernel::Process| {
        process.comm().is_some_and(|comm| comm == NAME.to_bytes())
            && process.command_line().is_some_and(|line| ErrandOrder::is_for(&line, point))
    };
    let Ok(processes) = Processes::open() else {
        return false;
    };
    let earlier: Vec<Pid> =
        processes.of_user(user).into_iter().flatten().filter(is_one).map(|found| found.pid).collect();
    earlier.into_iter().any(|pid| {
        tmux_sockets::kernel::await_end(pid, deadline.saturating_duration_since(Instant::now()));
        processes.by_pid(pid).is_some_and(|process| !process.has_ended() && is_one(&process))
    })
}

impl Sent {
    /// Takes in what it says, once: whoever calls knows that there is something, or looks at the others.
    fn hear(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        let mut fds = [PollFd::new(pipe, PollFlags::IN)];
        if !matches!(rustix::event::poll(&mut fds, Some(&Timespec::default())), Ok(1)) {
            return;
        }
        let mut buffer = [0; 16 * 1024];
        match rustix::io::read(pipe, &mut buffer) {
            Err(Errno::INTR) => {}
            Ok(length @ 1..) if self.answer.len() <= LONGEST => {
                self.answer.extend_from_slice(&buffer[..length]);
            }
            Ok(_) | Err(_) => self.pipe = None,
        }
    }

    /// Its whole answer, if it came.
    fn end(mut self) -> Option<Vec<u8>> {
        let mut child = self.child.take()?;
        if self.pipe.is_none() {
            // It has closed its stdout and is ending; a process that hangs closes nothing.
            let ended = child.wait().ok()?;
            return ended.success().then_some(self.answer);
        }
        // A process that hangs in the kernel does not even end by SIGKILL: it is not waited for.
        let _ = child.kill();
        let _ = child.try_wait();
        None
    }
}

/// Whether a mount answers now, by a path on it.
pub(super) fn has_answered(mount: &Mount, path: PathBuf) -> bool {
    let target = Target { path, only: Some(Vec::new()), rule: Strictness::LookedAt };
    let order = ErrandOrder { point: mount.point.clone(), errand: Errand::Look(vec![target]) };
    send(&[order], None).pop().flatten().is_some()
}
