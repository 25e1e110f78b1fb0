//! What the daemon waits for, in one place: one epoll, and nothing that is asked again and again.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How many events are taken at a time.
const AT_ONCE: usize = 1024;

/// Above every pid: what is no process.
const OTHERS: u64 = 1 << 32;

/// What there is besides processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Source {
    /// inotify has something to read.
    Names = OTHERS,
    /// A signal has come.
    Signal,
    /// Something was mounted or unmounted.
    Mounts,
    /// Standard output has room again, or its reader has gone.
    Output,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// One of the few.
    Of(Source),
    /// A process has ended.
    Process(i32),
}

/// The epoll and what belongs to it for good.
pub struct Sources {
    epoll: OwnedFd,
    signals: SignalFd,
    /// `/proc/self/mountinfo`: poll(2) tells when the table has changed (proc(5)).
    mounts: Option<OwnedFd>,
    ready: Vec<epoll::Event>,
}

impl Sources {
    /// Begins to wait for `signals`, which are then no longer delivered otherwise, and for mounts.
    pub fn open(signals: &[Signal]) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let set: SigSet = signals.iter().copied().collect();
        set.thread_block()?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mounts = rustix::fs::open("/proc/self/mountinfo", flags, Mode::empty()).ok();
        let ready = Vec::with_capacity(AT_ONCE);
        let mut sources = Self { epoll, signals, mounts: None, ready };
        sources.add(sources.signals.as_fd(), Source::Signal, EventFlags::IN)?;
        if let Some(mounts) = mounts {
            // Without it, the rescan finds what was mounted over.
            let _ = sources.add(mounts.as_fd(), Source::Mounts, EventFlags::PRI);
            sources.mounts = Some(mounts);
        }
        Ok(sources)
    }

    /// Waits for one more thing.
    pub fn add(&self, fd: BorrowedFd<'_>, source: Source, events: EventFlags) -> Result<(), Errno> {
        epoll::add(&self.epoll, fd, EventData::new_u64(source as u64), events)
    }

    /// Changes what is waited for.
    pub fn change(&self, fd: BorrowedFd<'_>, source: Source, events: EventFlags) -> Result<(), Errno> {
        epoll::modify(&self.epoll, fd, EventData::new_u64(source as u64), events)
    }

    /// Waits for the end of a process. Closing the handle ends that.
    pub fn add_process(&self, pidfd: BorrowedFd<'_>, pid: i32) -> Result<(), Errno> {
        epoll::add(&self.epoll, pidfd, EventData::new_u64(u64::from(pid.unsigned_abs())), EventFlags::IN)
    }

    /// Waits until something happens, at most until `deadline`.
    pub fn wait(&mut self, deadline: Option<Instant>) -> io::Result<Vec<Wake>> {
        let timeout = deadline.map(|at| {
            // In whole milliseconds, as epoll_wait(2) has them; never before the time.
            let left = at.saturating_duration_since(Instant::now());
            let whole = Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
            if whole < left { whole + Duration::from_millis(1) } else { whole }
        });
        // A longer time than the system call knows is as good as none.
        let timeout = timeout.filter(|left| left.as_secs() < 86_400);
        let timeout = timeout.and_then(|left| rustix::event::Timespec::try_from(left).ok());
        self.ready.clear();
        let room = rustix::buffer::spare_capacity(&mut self.ready);
        match epoll::wait(&self.epoll, room, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(self.ready.iter().filter_map(|event| wake(event.data.u64())).collect())
    }

    /// The signals that have come.
    pub fn signals(&self) -> Vec<Signal> {
        std::iter::from_fn(|| self.signals.read_signal().ok().flatten())
            .filter_map(|info| Signal::try_from(info.ssi_signo.cast_signed()).ok())
            .collect()
    }

    /// Where signals can be waited for.
    pub fn signal_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

fn wake(data: u64) -> Option<Wake> {
    let few = [Source::Names, Source::Signal, Source::Mounts, Source::Output];
    match i32::try_from(data) {
        Ok(pid) => Some(Wake::Process(pid)),
        Err(_) => few.into_iter().find(|source| *source as u64 == data).map(Wake::Of),
    }
}
