//! Not stopped by a terminal while start locks are held.
//!
//! Ctrl-Z (SIGTSTP), and SIGTTIN and SIGTTOU, which a terminal sends to jobs in the background, would stop us with
//! tmux's start locks in our hands, and every start of their labels for as long as that lasts. While a lock is held they
//! are only noted (sigaction(2)), in all threads; when the last one is let go, what was noted is sent once more and
//! does what it always does. Not with a mask: another thread would take the signal, and children would inherit it.
//! SIGTTIN and SIGTTOU are masked besides: the kernel tries a write whose SIGTTOU is only caught again and again.
//!
//! SIGSTOP, a frozen cgroup and a debugger cannot be held back: [`super::stuck`] names their victims.
#![expect(unsafe_code, reason = "what a signal does can be changed by no safe call")]

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, raise, sigaction};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What stops a process and can be held back.
const SIGNALS: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];

/// Those that have come meanwhile: a bit for each.
static NOTED: AtomicU32 = AtomicU32::new(0);

static HOLDERS: Mutex<Holders> = Mutex::new(Holders { count: 0, before: Vec::new() });

/// Who holds them back.
struct Holders {
    count: usize,
    /// What the signals did before.
    before: Vec<(Signal, SigAction)>,
}

/// As long as this is kept, nothing from a terminal stops this process.
#[derive(Debug)]
pub struct Unstopped {
    /// The mask of this thread before.
    mask: Option<SigSet>,
    /// A mask belongs to a thread.
    of_thread: PhantomData<*const ()>,
}

impl Unstopped {
    /// Holds the signals back from now on.
    pub fn begin() -> Self {
        let mut holders = holders();
        if holders.count == 0 {
            let note = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
            let install = |signal: Signal| {
                // SAFETY: the handler does nothing but change an atomic number, which may be done at any moment.
                unsafe { sigaction(signal, &note) }.ok().map(|before| (signal, before))
            };
            holders.before = SIGNALS.into_iter().filter_map(install).collect();
        }
        holders.count += 1;
        let mask = SigSet::from_iter([Signal::SIGTTIN, Signal::SIGTTOU]);
        Self { mask: mask.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok(), of_thread: PhantomData }
    }

    /// Whether somebody wants this process to stop. Whoever can should let go of his locks, all of them.
    pub fn is_asked_to_stop() -> bool {
        NOTED.load(Ordering::Relaxed) != 0
    }
}

impl Drop for Unstopped {
    fn drop(&mut self) {
        let mut holders = holders();
        holders.count -= 1;
        let mut noted = 0;
        if holders.count == 0 {
            for (signal, before) in holders.before.drain(..) {
                // SAFETY: it was in force before, as it is put back.
                let _ = unsafe { sigaction(signal, &before) };
            }
            noted = NOTED.swap(0, Ordering::Relaxed);
        }
        drop(holders);
        if let Some(mask) = &self.mask {
            let _ = mask.thread_set_mask();
        }
        for signal in SIGNALS.into_iter().filter(|signal| noted & bit(*signal as i32) != 0) {
            let _ = raise(signal);
        }
    }
}

fn holders() -> MutexGuard<'static, Holders> {
    HOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn note(signal: i32) {
    NOTED.fetch_or(bit(signal), Ordering::Relaxed);
}

fn bit(signal: i32) -> u32 {
    1 << signal
}
