//! Running a command under strace, and everything else that starts a process here.
//!
//! A child between fork and exec holds everything that is open, also a lock file just made, which is then
//! in use by somebody. So nobody is started while a scene is set.

use crate::common::wait::DEADLINE;
use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

static STARTING: Mutex<()> = Mutex::new(());

/// While it is held, no process is started.
pub(crate) fn quiet() -> MutexGuard<'static, ()> {
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a command.
pub(crate) fn begin(command: &mut Command) -> Child {
    let _quiet = quiet();
    command.stdin(Stdio::null()).spawn().unwrap()
}

/// Runs a command to its end; at the deadline it is killed.
pub(crate) fn run(command: &mut Command) -> Output {
    let mut child = begin(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    // What it says fits into a pipe.
    wait(&mut child, DEADLINE);
    child.wait_with_output().unwrap()
}

/// How a run under strace ended.
pub(crate) struct Traced {
    /// `None`: by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// What strace wrote: a line per call.
    pub(crate) lines: Vec<String>,
}

impl Traced {
    /// Whether the fault came to pass.
    pub(crate) fn is_struck(&self) -> bool {
        self.code.is_none() || self.lines.iter().any(|line| line.contains("INJECTED"))
    }
}

/// The same command under strace. Its children are not followed.
pub(crate) fn wrap(command: &Command, log: &Path, options: &[String]) -> Command {
    let mut traced = Command::new("strace");
    traced.args(["-qq", "-e", "signal=none", "-o"]).arg(log);
    for option in options {
        traced.arg("-e").arg(option);
    }
    traced.arg("--").arg(command.get_program()).args(command.get_args()).env_clear();
    let envs = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    traced.envs(envs.collect::<Vec<(&OsStr, &OsStr)>>());
    traced
}

/// Runs a command under strace in a folder for its output; a run that does not end is a failure.
pub(crate) fn trace(command: &Command, scratch: &Path, options: &[String]) -> Result<Traced, String> {
    trace_while(command, scratch, options, |_| {})
}

/// The same, and something is done meanwhile.
pub(crate) fn trace_while(
    command: &Command,
    scratch: &Path,
    options: &[String],
    meanwhile: impl FnOnce(&mut Child),
) -> Result<Traced, String> {
    let [log, out, err] = ["log", "out", "err"].map(|name| scratch.join(name));
    let mut traced = wrap(command, &log, options);
    traced.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
    let mut child = begin(&mut traced);
    meanwhile(&mut child);
    let status = wait(&mut child, DEADLINE).ok_or("it does not end")?;
    let text = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let lines = text(&log).lines().map(str::to_owned).collect();
    Ok(Traced { code: status.code(), stdout: text(&out), stderr: text(&err), lines })
}

/// The end of a child; at the deadline it is killed, and what it traces with it.
fn wait(child: &mut Child, most: Duration) -> Option<std::process::ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if started.elapsed() > most {
            for traced in children_of(child.id()) {
                let _ = rustix::process::kill_process(traced, rustix::process::Signal::KILL);
            }
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The children of a process of ours.
pub(crate) fn children_of(pid: u32) -> Vec<rustix::process::Pid> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?)).collect()
}

/// Whether strace is there and may trace.
pub(crate) fn works() -> bool {
    Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
