//! What is done in a process of its own, because it may have to wait for ever: looks at a mount that may not answer.
//!
//! Who looks at a path on a network or FUSE mount whose server stands still waits in the kernel, where no signal helps. A
//! thread that hangs there would keep the whole process, and with it every lock. So a child of ours goes, one for each
//! mount, started while nothing is locked; it has two seconds, then it is killed and not waited for. One that hangs cannot
//! even be killed: as long as it is there, that mount is not asked again.

pub mod errand;
pub mod guard;

use crate::config::Settings;
use crate::pass::Run;
use crate::replace;
use crate::users::wire;
use crate::view::metrics;
use errand::{Errand, Order};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tmux_sockets::judge::{Reason, State, Verdict};
use tmux_sockets::kernel::Processes;
use tmux_sockets::kernel::Role;
use tmux_sockets::kernel::{Mount, Mounts, Walk};
use tmux_sockets::report::Outcome;
use tmux_sockets::report::{DirectoryReport, Entry, Report};
use tmux_sockets::sweep::{Act, Far, Pass, RefuseFar, Target};
use tmux_sockets::tmux::{Rule, whereabouts};
use tmux_sockets::witness::Witness;

/// How long a mount is waited for.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Where mounts are that did not answer this process.
static SILENT: Mutex<Vec<Mount>> = Mutex::new(Vec::new());

/// The name of such a process, by which one that hangs is found.
const NAME: &std::ffi::CStr = c"janitor-apart";

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
fn send(orders: &[Order], input: Option<&File>) -> Vec<Option<Vec<u8>>> {
    let deadline = Instant::now() + PATIENCE;
    let mut sent: Vec<Sent> = orders
        .iter()
        .map(|order| {
            start(order, input, deadline).unwrap_or(Sent { child: None, pipe: None, answer: Vec::new() })
        })
        .collect();
    while let left = deadline.saturating_duration_since(Instant::now())
        && !left.is_zero()
    {
        let mut fds: Vec<PollFd<'_>> = sent
            .iter()
            .filter_map(|sent| sent.pipe.as_ref())
            .map(|pipe| PollFd::new(pipe, PollFlags::IN))
            .collect();
        if fds.is_empty() {
            break;
        }
        // A millisecond more, so as not to come too early again and again.
        let timeout = Timespec::try_from(left + Duration::from_millis(1)).ok();
        let _ = rustix::event::poll(&mut fds, timeout.as_ref());
        sent.iter_mut().for_each(Sent::hear);
    }
    sent.into_iter().map(Sent::end).collect()
}

/// Starts a child, unless an earlier one still hangs there.
fn start(order: &Order, input: Option<&File>, deadline: Instant) -> Option<Sent> {
    if hangs(&order.point, deadline) {
        return None;
    }
    // The very program that runs now, whatever stands at its path by now.
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
    let user = rustix::process::getuid().as_raw();
    let is_one = |process: &tmux_sockets::kernel::Process| {
        process.comm().is_some_and(|comm| comm == NAME.to_bytes())
            && process.command_line().is_some_and(|line| Order::is_for(&line, point))
    };
    let Ok(processes) = Processes::open() else {
        return false;
    };
    let earlier: Vec<i32> =
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
            // It closed its stdout and ends; what hangs closes nothing.
            let ended = child.wait().ok()?;
            return ended.success().then_some(self.answer);
        }
        // One that hangs in the kernel does not even end then. Nobody waits for it.
        let _ = child.kill();
        let _ = child.try_wait();
        None
    }
}

/// They are looked at by a process of its own for each mount. Of a mount that does not answer that is said, and what the
/// table alone tells of it.
#[derive(Debug, Clone, Copy)]
pub struct Apart;

impl Far for Apart {
    fn look(
        &self,
        user: u32,
        witness: &Witness,
        far: Vec<(Target, PathBuf)>,
        mounts: &Mounts,
        report: &mut Report,
    ) {
        let mut orders: Vec<(Mount, Order)> = Vec::new();
        for (target, path) in far {
            let Some(mount) = mounts.covering(&path) else { continue };
            let target = Target { path, ..target };
            let same = orders.iter_mut().find(|(known, _)| known == mount);
            if let Some((_, Order { errand: Errand::Look(targets), .. })) = same {
                targets.push(target);
            } else {
                let order = Order { point: mount.point.clone(), errand: Errand::Look(vec![target]) };
                orders.push((mount.clone(), order));
            }
        }
        let (sought, orders): (Vec<Mount>, Vec<Order>) = orders.into_iter().unzip();
        for ((answer, mount), order) in send(&orders, None).into_iter().zip(sought).zip(orders) {
            let Errand::Look(targets) = order.errand else { continue };
            let told = answer
                .and_then(|answer| READER.lock().ok()?.get_or_insert_default().read(&answer, user).ok());
            if let Some(told) = told {
                trust(&mount);
                report.append(told.report);
            } else {
                distrust(&mount);
                for target in &targets {
                    unanswered(report, user, witness, target, &mount);
                }
            }
        }
    }
}

/// Enters a directory on a mount that did not answer, with what the table alone tells of it: who is bound there
/// and listens is alive.
fn unanswered(report: &mut Report, user: u32, witness: &Witness, target: &Target, mount: &Mount) {
    let directory = report.directories.len();
    let error = Some(crate::words::no_answer(mount));
    report.directories.push(DirectoryReport { path: target.path.clone(), error });
    let listeners = witness.table().iter().filter(|bound| {
        bound.role == Role::Listening
            && bound.owner == Some(user)
            && bound.name.parent() == Some(target.path.as_path())
    });
    for (bound, label) in listeners.filter_map(|bound| Some((bound, bound.name.file_name()?))) {
        if target.only.as_ref().is_none_or(|only| only.iter().any(|name| name == label)) {
            report.entries.push(Entry {
                directory,
                elsewhere: None,
                label: label.to_owned(),
                uid: user,
                verdict: Verdict::new(State::Live, Reason::Listening),
                outcome: Outcome::Kept,
                server_pid: None,
                panes: Vec::new(),
                socket: Some(bound.socket),
            });
        }
    }
}

/// Has a mount that answered count as one that does: from now on it is used directly, and whoever waits for this process
/// is told so.
fn trust(mount: &Mount) {
    if let Ok(mut silent) = SILENT.lock() {
        silent.retain(|known| known != mount);
    }
    guard::tell(&mount.point);
    tmux_sockets::kernel::trust(mount.point.clone());
}

fn distrust(mount: &Mount) {
    if let Ok(mut silent) = SILENT.lock()
        && !silent.contains(mount)
    {
        silent.push(mount.clone());
    }
}

/// The mounts that were asked here and did not answer.
pub fn silent() -> Vec<Mount> {
    SILENT.lock().map(|silent| silent.clone()).unwrap_or_default()
}

/// Asks the mount that a directory is to be used on whether it answers, if it is one that may not; from then on it is
/// used directly. One that did not is not asked again.
///
/// # Errors
/// One sentence: it does not answer.
pub fn vouch(dir: &Path, user: u32) -> Result<(), String> {
    let mounts = Mounts::read();
    ask(&mounts, whereabouts(dir, user, &mounts))
}

/// The same for any path: whether it can be looked at. For runs that end: an answer holds as long as they do.
pub fn answers(path: &Path) -> bool {
    reach(path).is_ok()
}

/// [`answers`], and why not.
///
/// # Errors
/// One sentence: it does not answer.
pub fn reach(path: &Path) -> Result<(), String> {
    let mounts = Mounts::read();
    if mounts.has_far() { ask(&mounts, mounts.walk(path)) } else { Ok(()) }
}

fn ask(mounts: &Mounts, walk: Walk) -> Result<(), String> {
    let Walk::Far(path) = walk else { return Ok(()) };
    let Some(mount) = mounts.covering(&path) else { return Ok(()) };
    if !silent().contains(mount) {
        if has_answered(mount, path) {
            trust(mount);
            return Ok(());
        }
        distrust(mount);
    }
    Err(crate::words::no_answer(mount))
}

/// Whether a mount answers now, by a path on it.
fn has_answered(mount: &Mount, path: PathBuf) -> bool {
    let target = Target { path, only: Some(Vec::new()), rule: Rule::LookedAt };
    let order = Order { point: mount.point.clone(), errand: Errand::Look(vec![target]) };
    send(&[order], None).pop().flatten().is_some()
}

/// What a reader has heard it keeps for good: one for the whole process.
static READER: Mutex<Option<wire::Reader>> = Mutex::new(None);

/// Reads a file that lies on a mount that may not answer, as [`crate::config`] reads it; `None`: it can be read here.
pub fn read(path: &Path, is_named: bool) -> Option<std::io::Result<Vec<u8>>> {
    let mounts = Mounts::read();
    let Walk::Far(path) = mounts.walk(path) else { return None };
    Some(fetch(&mounts, &path, Errand::Read { path: path.clone(), is_named }, None))
}

/// Replaces a file, as [`replace::replace`] does, wherever it lies.
///
/// # Errors
/// Those of [`replace::replace`], and where the mount does not answer.
pub fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mounts = Mounts::read();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (Walk::Far(parent), Some(name)) = (mounts.walk(parent), path.file_name()) else {
        return replace::replace(path, text, metrics::MODE);
    };
    let mut input = crate::child::memory_file()?;
    input.write_all(text)?;
    input.rewind()?;
    let path = parent.join(name);
    fetch(&mounts, &path, Errand::Replace(path.clone()), Some(&input)).map(drop)
}

fn fetch(mounts: &Mounts, path: &Path, errand: Errand, input: Option<&File>) -> std::io::Result<Vec<u8>> {
    let Some(mount) = mounts.covering(path) else {
        return Err(Errno::NOENT.into());
    };
    let order = Order { point: mount.point.clone(), errand };
    let answer = send(&[order], input).pop().flatten();
    match answer.as_deref().and_then(<[u8]>::split_first) {
        Some((b'+', text)) => Ok(text.to_vec()),
        Some((b'E', number)) => {
            let errno = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
            Err(std::io::Error::from_raw_os_error(errno.unwrap_or(libc::EIO)))
        }
        Some((b'T', text)) => Err(std::io::Error::other(String::from_utf8_lossy(text).into_owned())),
        Some(_) | None => Err(std::io::Error::other(crate::words::no_answer(mount))),
    }
}

/// What the child does. Its message goes to stdout.
pub fn carry_out(order: &Order) -> Vec<u8> {
    // Who sent us may be killed; nobody else would.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let _ = rustix::thread::set_name(NAME);
    tmux_sockets::kernel::trust(order.point.clone());
    let told = match &order.errand {
        Errand::Look(targets) => return wire::write(&Run::of(look_there(targets))),
        Errand::Read { path, is_named } => crate::config::read_bytes(path, *is_named),
        Errand::Replace(path) => {
            let mut text = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut text);
            read.and_then(|_| replace::replace(path, &text, metrics::MODE)).map(|()| Vec::new())
        }
    };
    match told {
        Ok(text) => [b"+", text.as_slice()].concat(),
        Err(error) => match error.raw_os_error() {
            Some(number) => format!("E{number}").into_bytes(),
            None => format!("T{error}").into_bytes(),
        },
    }
}

fn look_there(targets: &[Target]) -> Report {
    let (user, settings) = (rustix::process::getuid().as_raw(), Settings::default());
    let mut witness = Witness::new(user);
    Pass { policy: &settings, far: &RefuseFar, user, act: Act::Look }.run(&mut witness, targets)
}
