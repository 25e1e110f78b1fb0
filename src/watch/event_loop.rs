//! What the daemon waits for, in one place: one thread on tokio, and nothing that is asked again and
//! again.

use super::causes::Causes;
use super::deaths::Deaths;
use super::directories::Directories;
use super::ghosts::Ghosts;
use super::line_writer::LineWriter;
use super::readiness::Descriptor;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::future::{pending, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{unconstrained, yield_now};

/// How many events are taken at a time before the loop goes on.
const AT_ONCE: u32 = 1024;

/// The length of a `signalfd_siginfo` (signalfd(2)).
const SIGNAL: usize = 128;

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// inotify has something to read.
    Names,
    /// A signal has come.
    Signal,
    /// Something was mounted or unmounted.
    Mounts,
    /// Standard output has room again, or its reader has gone.
    Output,
    /// Processes have ended.
    Deaths,
    /// How processes ended can be told.
    Causes,
    /// The rescue of ghosts has come to its end.
    Rescued,
}

/// The one thread's event loop. Whatever waits is made inside.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .event_interval(AT_ONCE)
        .max_io_events_per_tick(AT_ONCE as usize)
        .build()
}

/// The parts of the daemon that are waited for.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    pub(super) directories: &'a Directories,
    pub(super) deaths: &'a mut Deaths,
    pub(super) causes: &'a mut Causes,
    pub(super) ghosts: &'a mut Ghosts,
    pub(super) output: Option<&'a LineWriter>,
}

/// What is waited for besides: signals, mounts, the clock.
#[derive(Debug)]
pub(super) struct EventLoop {
    /// Blocked, so they interrupt nothing that we do, and each with its own descriptor: which one has come is
    /// known without reading it. Not `tokio::signal`: its handler's pipe panics where it cannot be made or read.
    signals: Vec<(Signal, Descriptor)>,
    come: Vec<Signal>,
    /// `/proc/self/mountinfo`: poll(2) tells when the table has changed (proc(5)).
    mounts: Option<Descriptor>,
    clock: Clock,
}

impl EventLoop {
    /// Begins to wait for `signals`, which then do nothing else, and for mounts.
    pub(super) fn new(signals: &[Signal]) -> io::Result<Self> {
        signals.iter().copied().collect::<SigSet>().thread_block()?;
        let listen = |signal: &Signal| {
            let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
            let descriptor = SignalFd::with_flags(&SigSet::from_iter([*signal]), flags)?;
            Ok((*signal, Descriptor::new(descriptor.into(), Interest::READABLE)?))
        };
        let signals = signals.iter().map(listen).collect::<io::Result<_>>()?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mounts = rustix::fs::open("/proc/self/mountinfo", flags, Mode::empty()).ok();
        Ok(Self {
            signals,
            come: Vec::new(),
            // If it cannot be had, the rescan finds mounts.
            mounts: mounts.and_then(|mounts| Descriptor::new(mounts, Interest::PRIORITY).ok()),
            clock: Clock::new()?,
        })
    }

    /// Waits until something happens, at most until `deadline`.
    pub(super) async fn wait(&mut self, deadline: Option<Instant>, sources: Sources<'_>) -> Vec<Wake> {
        let Sources { directories, deaths, causes, ghosts, output } = sources;
        let is_idle = deadline.is_none_or(|at| at > Instant::now()) && !directories.has_more_hints();
        let Self { signals, come, mounts, clock } = self;
        clock.set(deadline);
        let mut mounted = pin!(changed(mounts.as_ref()));
        let mut wakes = Vec::new();
        let mut look = |cx: &mut Context<'_>| {
            let mut once = |wake: Wake, is_so: bool| {
                if is_so && !wakes.contains(&wake) {
                    wakes.push(wake);
                }
            };
            take_signals(signals, come, cx);
            once(Wake::Signal, !come.is_empty());
            once(Wake::Names, directories.poll(cx).is_ready());
            once(Wake::Output, output.is_some_and(|output| output.poll(cx).is_ready()));
            if mounted.as_mut().poll(cx).is_ready() {
                once(Wake::Mounts, true);
                mounted.set(changed(mounts.as_ref()));
            }
            once(Wake::Rescued, ghosts.poll(cx).is_ready());
            once(Wake::Deaths, deaths.poll(cx).is_ready());
            once(Wake::Causes, causes.poll(cx).is_ready());
            clock.poll(cx).is_ready() || !wakes.is_empty()
        };
        // Without tokio's budget for a task: everything that is ready is to be seen.
        unconstrained(async {
            if is_idle {
                poll_fn(|cx| if look(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
            }
            // What has happened by now is looked at together, such as a server's end and the next start at its name.
            // The first yield lets tokio ask the kernel, the second lets the waiting tasks run.
            yield_now().await;
            yield_now().await;
            poll_fn(|cx| Poll::Ready(look(cx))).await;
        })
        .await;
        wakes
    }

    /// Waits until the reader has taken something, or a signal has come.
    pub(super) async fn wait_for_reader(&mut self, output: &LineWriter) {
        poll_fn(|cx| {
            take_signals(&self.signals, &mut self.come, cx);
            if self.come.is_empty() { output.poll(cx) } else { Poll::Ready(()) }
        })
        .await;
    }

    /// The signals that have come.
    pub(super) fn signals(&mut self) -> Vec<Signal> {
        std::mem::take(&mut self.come)
    }
}

fn take_signals(signals: &[(Signal, Descriptor)], come: &mut Vec<Signal>, cx: &mut Context<'_>) {
    for (signal, descriptor) in signals {
        while let Poll::Ready(Ok(mut told)) = descriptor.poll_read_ready(cx) {
            match rustix::io::read(descriptor.get_ref(), &mut [0_u8; SIGNAL]) {
                Ok(_) => come.push(*signal),
                Err(Errno::AGAIN) => told.clear_ready(),
                Err(Errno::INTR) => {}
                // A signal has come, even if it cannot be read.
                Err(_) => {
                    come.push(*signal);
                    told.clear_ready();
                }
            }
        }
    }
}

/// Ends when the mounts have changed. Being told of it is all that there is to read.
async fn changed(mounts: Option<&Descriptor>) {
    match mounts {
        Some(mounts) => match mounts.ready(Interest::PRIORITY).await {
            Ok(mut told) => told.clear_ready(),
            Err(_) => pending().await,
        },
        None => pending().await,
    }
}

/// The next time at which something is due. Not `tokio::time`: on the way to a far time its wheel wakes
/// us at one or two others (the ends of its 4 s and 64 ms slots), which is polling by another name. What that
/// would cost stands in Cargo.toml.
#[derive(Debug)]
struct Clock {
    timer: Descriptor,
    at: Option<Instant>,
}

impl Clock {
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self { timer: Descriptor::new(timer, Interest::READABLE)?, at: None })
    }

    /// When to wake; `None`: never.
    fn set(&mut self, at: Option<Instant>) {
        if self.at == at {
            return;
        }
        self.at = at;
        // Zero would turn the timer off.
        let left = |at: Instant| at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let left = at.map_or(Duration::ZERO, left);
        let value = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let wanted = Itimerspec { it_interval: never, it_value: value };
        // It fails only for an invalid descriptor or time.
        let _ = rustix::time::timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &wanted);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.at.is_some_and(|at| at <= Instant::now()) {
            return Poll::Ready(());
        }
        match self.timer.poll_read_ready(cx) {
            // The count of expirations is not read: setting the timer anew clears it.
            Poll::Ready(Ok(mut rung)) => {
                rung.clear_ready();
                self.at = None;
                Poll::Ready(())
            }
            _ => Poll::Pending,
        }
    }
}
