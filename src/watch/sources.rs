//! What the daemon waits for, in one place: one thread on tokio, and nothing that is asked again and
//! again.
//!
//! tokio is told of each change once (`EPOLLET`) and remembers it until somebody says that nothing is
//! left. So who reads says that, and only after the kernel has said it ([`nothing_left`]).

use super::births::Births;
use super::outlet::Outlet;
use inotify::Inotify;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};
use std::future::{pending, poll_fn};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdRegisterError};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet, unconstrained, yield_now};

/// How many events are taken at a time, and how many ends of processes before the loop goes on.
const AT_ONCE: u32 = 1024;

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// inotify has something to read.
    Names,
    /// A signal has come.
    Signal,
    /// Something was mounted or unmounted.
    Mounts,
    /// Standard output has room again, or its reader has gone.
    Output,
    /// A process has ended.
    Process(i32),
    /// The rescue of ghosts has come to its end.
    Rescued,
}

/// The one thread's event loop. Whatever waits is made inside.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .event_interval(AT_ONCE)
        .max_io_events_per_tick(AT_ONCE as usize)
        .build()
}

/// What is waited for all the time, and the ends of processes.
#[derive(Debug)]
pub struct Sources {
    /// Blocked, so they interrupt nothing that we do, and each with its own descriptor: which one has come is
    /// known without reading it. Not `tokio::signal`: its handler's pipe panics where it cannot be made or read.
    signals: Vec<(Signal, AsyncFd<SignalFd>)>,
    come: Vec<Signal>,
    /// `/proc/self/mountinfo`: poll(2) tells when the table has changed (proc(5)).
    mounts: Option<AsyncFd<OwnedFd>>,
    ends: JoinSet<i32>,
    rescued: Arc<Notify>,
    clock: Clock,
}

/// The end of a process is waited for as long as this is kept.
#[derive(Debug)]
pub struct Ending {
    pidfd: Arc<OwnedFd>,
    waits: AbortHandle,
}

impl Sources {
    /// Begins to wait for `signals`, which then do nothing else, and for mounts.
    pub fn open(signals: &[Signal]) -> io::Result<Self> {
        signals.iter().copied().collect::<SigSet>().thread_block()?;
        let listen = |signal: &Signal| {
            let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
            let descriptor = SignalFd::with_flags(&SigSet::from_iter([*signal]), flags)?;
            Ok((*signal, told_of(descriptor, Interest::READABLE)?))
        };
        let signals = signals.iter().map(listen).collect::<io::Result<_>>()?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mounts = rustix::fs::open("/proc/self/mountinfo", flags, Mode::empty()).ok();
        Ok(Self {
            signals,
            come: Vec::new(),
            // Without it, the rescan finds what was mounted over.
            mounts: mounts.and_then(|mounts| told_of(mounts, Interest::PRIORITY).ok()),
            ends: JoinSet::new(),
            rescued: Arc::default(),
            clock: Clock::new()?,
        })
    }

    /// Waits for the end of a process.
    pub fn add_process(&mut self, pidfd: OwnedFd, pid: i32) -> io::Result<Ending> {
        let pidfd = Arc::new(pidfd);
        let waiting = told_of(Arc::clone(&pidfd), Interest::READABLE)?;
        let waits = self.ends.spawn(async move {
            while let Ok(mut told) = waiting.readable().await {
                // Of one that has ended and cannot be asked, its end is told for ever.
                if ask(&waiting) != Ok(0) {
                    break;
                }
                told.clear_ready();
            }
            pid
        });
        Ok(Ending { pidfd, waits })
    }

    /// Where another thread tells that its rescue has come to its end.
    pub fn rescued(&self) -> Arc<Notify> {
        Arc::clone(&self.rescued)
    }

    /// Waits until something happens, at most until `deadline`.
    pub async fn wait(
        &mut self,
        deadline: Option<Instant>,
        names: &Births,
        output: Option<&Outlet>,
    ) -> Vec<Wake> {
        let is_idle = deadline.is_none_or(|at| at > Instant::now()) && !names.has_more();
        let Self { signals, come, mounts, ends, rescued, clock } = self;
        clock.set(deadline);
        let mut mounted = pin!(changed(mounts.as_ref()));
        let mut rescued = pin!(rescued.notified());
        let (mut wakes, mut is_rescued) = (Vec::new(), false);
        let mut look = |cx: &mut Context<'_>| {
            let mut once = |wake: Wake, is_so: bool| {
                if is_so && !wakes.contains(&wake) {
                    wakes.push(wake);
                }
            };
            take_signals(signals, come, cx);
            once(Wake::Signal, !come.is_empty());
            once(Wake::Names, names.poll(cx).is_ready());
            once(Wake::Output, output.is_some_and(|output| output.poll(cx).is_ready()));
            if mounted.as_mut().poll(cx).is_ready() {
                once(Wake::Mounts, true);
                mounted.set(changed(mounts.as_ref()));
            }
            if !is_rescued && rescued.as_mut().poll(cx).is_ready() {
                is_rescued = true;
                once(Wake::Rescued, true);
            }
            while let Poll::Ready(Some(end)) = ends.poll_join_next(cx) {
                // One that is not waited for any more is told of too.
                wakes.extend(end.ok().map(Wake::Process));
            }
            clock.poll(cx).is_ready() || !wakes.is_empty()
        };
        // All that there is, and not what would be a task's fair share.
        unconstrained(async {
            if is_idle {
                poll_fn(|cx| if look(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
            }
            // Whatever the kernel knows by now belongs together: a name that is used again and the end of
            // its last server. Once for the kernel to tell, once for those who wait to hear it.
            yield_now().await;
            yield_now().await;
            poll_fn(|cx| Poll::Ready(look(cx))).await;
        })
        .await;
        wakes
    }

    /// Waits until the reader has taken something, or a signal has come.
    pub async fn wait_for_reader(&mut self, output: &Outlet) {
        poll_fn(|cx| {
            take_signals(&self.signals, &mut self.come, cx);
            if self.come.is_empty() { output.poll(cx) } else { Poll::Ready(()) }
        })
        .await;
    }

    /// The signals that have come.
    pub fn signals(&mut self) -> Vec<Signal> {
        std::mem::take(&mut self.come)
    }
}

impl AsFd for Ending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.waits.abort();
    }
}

/// Whether the process of a pidfd has ended.
pub fn has_ended(pidfd: &impl AsFd) -> bool {
    matches!(ask(pidfd), Ok(1..))
}

/// 1: it has ended; 0: it has not.
fn ask(pidfd: &impl AsFd) -> Result<usize, rustix::io::Errno> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    retry_on_intr(|| poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&now)))
}

/// What owns a descriptor: it stays open, and the same, until its owner is dropped.
pub trait Owner: AsRawFd {}
impl Owner for OwnedFd {}
impl Owner for Arc<OwnedFd> {}
impl Owner for Inotify {}
impl Owner for SignalFd {}

/// Begins to be told of a descriptor.
#[expect(
    deprecated,
    reason = "tokio wants an unsafe promise since 1.54; `Owner` makes it, and unsafe has its one room"
)]
pub fn told_of<T: Owner>(owner: T, interest: Interest) -> Result<AsyncFd<T>, AsyncFdRegisterError<T>> {
    AsyncFd::try_with_interest(owner, interest)
}

/// To be said after the kernel has said so: only what comes from now on is waited for.
pub fn nothing_left<T: AsRawFd>(fd: &AsyncFd<T>, interest: Interest) {
    let _: io::Result<()> = fd.try_io(interest, |_| Err(io::ErrorKind::WouldBlock.into()));
}

fn take_signals(signals: &[(Signal, AsyncFd<SignalFd>)], come: &mut Vec<Signal>, cx: &mut Context<'_>) {
    for (signal, descriptor) in signals {
        while let Poll::Ready(Ok(mut told)) = descriptor.poll_read_ready(cx) {
            match descriptor.get_ref().read_signal() {
                Ok(Some(_)) => come.push(*signal),
                Ok(None) => told.clear_ready(),
                Err(Errno::EINTR) => {}
                // It has come, whether it can be read or not.
                Err(_) => {
                    come.push(*signal);
                    told.clear_ready();
                }
            }
        }
    }
}

/// Ends when the mounts have changed. Being told of it is all that there is to read.
async fn changed(mounts: Option<&AsyncFd<OwnedFd>>) {
    match mounts {
        Some(mounts) => match mounts.ready(Interest::PRIORITY).await {
            Ok(mut told) => told.clear_ready(),
            Err(_) => pending().await,
        },
        None => pending().await,
    }
}

/// The next time at which something is due. Not `tokio::time`: on the way to a far time its wheel wakes
/// us at one or two others (the ends of its 4 s and 64 ms slots), which is polling by another name.
#[derive(Debug)]
struct Clock {
    timer: AsyncFd<OwnedFd>,
    at: Option<Instant>,
}

impl Clock {
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self { timer: told_of(timer, Interest::READABLE)?, at: None })
    }

    /// When to wake; `None`: never.
    fn set(&mut self, at: Option<Instant>) {
        if self.at == at {
            return;
        }
        self.at = at;
        // Nothing at all would be never.
        let left = |at: Instant| at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let left = at.map_or(Duration::ZERO, left);
        let value = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let wanted = Itimerspec { it_interval: never, it_value: value };
        // Fails for no valid descriptor and time.
        let _ = rustix::time::timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &wanted);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.at.is_some_and(|at| at <= Instant::now()) {
            return Poll::Ready(());
        }
        match self.timer.poll_read_ready(cx) {
            // How often it rang is not asked: to set it anew is to forget that.
            Poll::Ready(Ok(mut rung)) => {
                rung.clear_ready();
                self.at = None;
                Poll::Ready(())
            }
            _ => Poll::Pending,
        }
    }
}
