//! Not stopped by a terminal while start locks are held.
//!
//! Ctrl-Z (SIGTSTP), and SIGTTIN and SIGTTOU, which a terminal sends to jobs in the background, would stop us with
//! tmux's start locks in our hands, and every start of their labels for as long as that lasts. While a lock is held they
//! are only noted (sigaction(2)), in all threads; when the last one is let go, what was noted is sent once more and
//! does what it always does. Not with a mask: another thread would take the signal, and children would inherit it.
//! SIGTTIN and SIGTTOU are masked besides: the kernel tries a write whose SIGTTOU is only caught again and again.
//!
//! SIGSTOP, a frozen cgroup and a debugger cannot be held back: [`crate::tmux::stuck`] names their victims.
#![expect(unsafe_code, reason = "what a signal does can be changed by no safe call")]

use libc::{SIGTSTP, SIGTTIN, SIGTTOU, c_int, sigaction, sigset_t};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What stops a process and can be held back.
const SIGNALS: [c_int; 3] = [SIGTSTP, SIGTTIN, SIGTTOU];

/// Those that have come meanwhile: a bit for each.
static NOTED: AtomicU32 = AtomicU32::new(0);

static HOLDERS: Mutex<HeldSignals> = Mutex::new(HeldSignals { count: 0, before: Vec::new() });

/// Who holds them back.
struct HeldSignals {
    count: usize,
    /// What the signals did before.
    before: Vec<(c_int, sigaction)>,
}

/// As long as this is kept, nothing from a terminal stops this process.
#[derive(Debug)]
pub struct Unstopped {
    /// The mask of this thread before.
    mask: Option<sigset_t>,
    /// A mask belongs to a thread.
    of_thread: PhantomData<*const ()>,
}

impl Unstopped {
    /// Holds the signals back from now on.
    pub fn begin() -> Self {
        let mut holders = holders();
        if holders.count == 0 {
            let install = |signal| noting(signal).map(|before| (signal, before));
            holders.before = SIGNALS.into_iter().filter_map(install).collect();
        }
        holders.count += 1;
        Self { mask: mask(&[SIGTTIN, SIGTTOU]), of_thread: PhantomData }
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
                unsafe { libc::sigaction(signal, &raw const before, ptr::null_mut()) };
            }
            noted = NOTED.swap(0, Ordering::Relaxed);
        }
        drop(holders);
        if let Some(mask) = &self.mask {
            // SAFETY: it was this thread's mask before, and it stays this thread's: `of_thread`.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const *mask, ptr::null_mut()) };
        }
        for signal in SIGNALS.into_iter().filter(|signal| noted & bit(*signal) != 0) {
            // SAFETY: it does to this process what it would have done without us.
            unsafe { libc::raise(signal) };
        }
    }
}

fn holders() -> MutexGuard<'static, HeldSignals> {
    HOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has a signal only noted. What it did before; `None`: it cannot be changed.
fn noting(signal: c_int) -> Option<sigaction> {
    let mut before = MaybeUninit::<sigaction>::uninit();
    // SAFETY: of zeros it is valid: no flags, nobody masked. The handler does nothing but change an atomic number, which
    // may be done at any moment. `before` is written where the call returns 0.
    unsafe {
        let mut anew: sigaction = MaybeUninit::zeroed().assume_init();
        anew.sa_sigaction = note as extern "C" fn(c_int) as usize;
        anew.sa_flags = libc::SA_RESTART;
        (libc::sigaction(signal, &raw const anew, before.as_mut_ptr()) == 0).then(|| before.assume_init())
    }
}

/// Has signals wait, in this thread. Its mask before; `None`: nothing was changed.
fn mask(signals: &[c_int]) -> Option<sigset_t> {
    let (mut wanted, mut before) = (MaybeUninit::<sigset_t>::uninit(), MaybeUninit::<sigset_t>::uninit());
    // SAFETY: sigemptyset(3) makes a whole set; `before` is written where the call returns 0.
    unsafe {
        libc::sigemptyset(wanted.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(wanted.as_mut_ptr(), *signal);
        }
        let done = libc::pthread_sigmask(libc::SIG_BLOCK, wanted.as_ptr(), before.as_mut_ptr());
        (done == 0).then(|| before.assume_init())
    }
}

extern "C" fn note(signal: i32) {
    NOTED.fetch_or(bit(signal), Ordering::Relaxed);
}

fn bit(signal: i32) -> u32 {
    1 << signal
}
