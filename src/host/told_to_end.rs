//! Told to end: SIGTERM, SIGINT and SIGHUP while something is done that should come to an orderly end.
//!
//! As long as [`ToldToEnd`] is kept they are only taken note of; whoever keeps it looks now and then, does what has to
//! be done, and drops it: the first that came does what it always does then. A signal that is ignored (nohup(1)) stays
//! ignored. Nothing that may wait for ever belongs between the two.

use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd};

/// What ends a run.
const SIGNALS: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// The signals are held back as long as this is kept.
#[derive(Debug)]
pub(crate) struct ToldToEnd {
    file: SignalFd,
    held: Vec<Signal>,
    before: SigSet,
    came: Option<Signal>,
}

impl ToldToEnd {
    /// Holds them back from now on. `None`: that cannot be done, and they end the run at once.
    pub(crate) fn begin() -> Option<Self> {
        let ignored = ignored();
        let held: Vec<Signal> = SIGNALS.into_iter().filter(|signal| ignored & bit(*signal) == 0).collect();
        let mask: SigSet = held.iter().copied().collect();
        let file = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).ok()?;
        let before = mask.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok()?;
        Some(Self { file, held, before, came: None })
    }

    /// From now on another one ends the run at once.
    pub(crate) fn release(&mut self) {
        let _ = self.before.thread_set_mask();
    }

    /// Holds them back again.
    pub(crate) fn hold(&mut self) {
        let held: SigSet = self.held.iter().copied().collect();
        let _ = held.thread_block();
    }

    /// Whether one has come.
    pub(crate) fn is_told(&mut self) -> bool {
        if self.came.is_none() {
            if let Ok(Some(about)) = self.file.read_signal() {
                self.came =
                    i32::try_from(about.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
            }
        }
        self.came.is_some()
    }
}

impl AsFd for ToldToEnd {
    /// Can be read when one has come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for ToldToEnd {
    fn drop(&mut self) {
        // A pending signal that nobody has read is delivered now.
        let _ = self.before.thread_set_mask();
        if let Some(signal) = self.came {
            let _ = raise(signal);
        }
    }
}

/// The signals that are ignored, bit N-1 for signal N: `SigIgn` of `proc_pid_status(5)`.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn bit(signal: Signal) -> u64 {
    1 << (signal as i32 - 1)
}
