//! The cause of a death, and the events that wait for it.
//!
//! The kernel tells how a process ended when its parent has waited for it: a moment after the end itself, which is when
//! the socket is looked at. Removals and other deaths wait for nothing here; only what is told of the same path does, so
//! that it keeps its order.

use super::readiness::Descriptor;
use crate::host::memory::Kills;
use crate::view::cause::Cause;
use crate::view::events::Event;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};
use tmux_sockets::kernel::PidFdInfo;

/// How long the end of a process may go without being waited for by its parent, before it is told without its cause. A
/// parent that never waits leaves it a zombie for ever; some that are process 1 wait for others every two seconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many events may wait for a cause, or behind one. Beyond that all are told with what is known.
const MOST: usize = 1024;

/// A process that has ended, or is about to.
#[derive(Debug, Clone)]
pub(super) struct EndedProcess {
    pidfd: Arc<Descriptor>,
    /// Whether it was killed for lack of memory, if it was killed in the group of this number.
    oom: Option<(u64, bool)>,
}

impl EndedProcess {
    /// `kills`: what was counted when it was last looked at. Of one that has not ended: nothing.
    pub(super) fn new(pidfd: Arc<Descriptor>, kills: Option<&Kills>) -> Self {
        Self { pidfd, oom: kills.and_then(|kills| Some((kills.group, kills.have_risen()?))) }
    }
}

/// Events in their order.
#[derive(Debug, Default)]
pub(super) struct Causes {
    held: Vec<HeldEvent>,
    /// The paths of those whose cause is waited for.
    waiting: HashSet<PathBuf>,
    /// Some of them need not wait any longer.
    is_due: bool,
}

/// One of them.
#[derive(Debug)]
struct HeldEvent {
    event: Event,
    time: SystemTime,
    /// Whose end it tells, while its cause is not known, and until when that is waited for.
    awaited: Option<(EndedProcess, Instant)>,
}

impl HeldEvent {
    /// Asks the kernel.
    fn ask(&mut self) {
        let Some((EndedProcess { pidfd, oom }, _)) = &self.awaited else { return };
        // An older kernel does not know the question, and never will.
        if let Ok(info) = PidFdInfo::of(pidfd.get_ref()) {
            let Some(status) = info.end else { return };
            let oom = oom.filter(|(group, _)| info.cgroup == Some(*group)).map(|(_, oom)| oom);
            self.event.cause = Cause::of(status, oom);
        }
        self.awaited = None;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut asked = false;
        loop {
            let Some((ended, _)) = &self.awaited else { return Poll::Ready(()) };
            let pidfd = Arc::clone(&ended.pidfd);
            match pidfd.poll_read_ready(cx) {
                Poll::Pending => return Poll::Pending,
                // Its parent has waited for it, but the kernel has not kept how it ended: the pidfd would be ready for
                // ever.
                Poll::Ready(Ok(_)) if asked => self.awaited = None,
                Poll::Ready(Ok(mut told)) => {
                    self.ask();
                    told.clear_ready();
                    asked = true;
                }
                Poll::Ready(Err(_)) => self.awaited = None,
            }
        }
    }
}

impl Causes {
    /// Something has happened. `ended`: the process whose end it tells. It comes back, with the time of now, where it
    /// need not wait.
    pub(super) fn enter(&mut self, event: Event, ended: Option<EndedProcess>) -> Option<(Event, SystemTime)> {
        let until = Instant::now() + PATIENCE;
        let mut held =
            HeldEvent { event, time: SystemTime::now(), awaited: ended.map(|ended| (ended, until)) };
        held.ask();
        if held.awaited.is_some() {
            self.waiting.insert(held.event.path.clone());
        } else if !self.waiting.contains(&held.event.path) {
            return Some((held.event, held.time));
        }
        self.held.push(held);
        if self.held.len() > MOST {
            self.give_up();
        }
        None
    }

    /// Ready when there may be something in [`Self::take`].
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for held in self.held.iter_mut().filter(|held| held.awaited.is_some()) {
            self.is_due |= held.poll(cx).is_ready();
        }
        if self.is_due { Poll::Ready(()) } else { Poll::Pending }
    }

    /// When the next one is not waited for any longer.
    pub(super) fn next(&self) -> Option<Instant> {
        self.held.iter().filter_map(|held| held.awaited.as_ref().map(|(_, until)| *until)).min()
    }

    /// What can be told now, and when it was noticed.
    pub(super) fn take(&mut self, now: Instant) -> Vec<(Event, SystemTime)> {
        if !std::mem::take(&mut self.is_due) && self.next().is_none_or(|next| next > now) {
            return Vec::new();
        }
        let mut waiting = HashSet::new();
        let (told, held) = std::mem::take(&mut self.held).into_iter().partition(|held: &HeldEvent| {
            let is_awaited = held.awaited.as_ref().is_some_and(|(_, until)| *until > now);
            if is_awaited {
                waiting.insert(held.event.path.clone());
            }
            !is_awaited && !waiting.contains(&held.event.path)
        });
        (self.held, self.waiting) = (held, waiting);
        let told: Vec<HeldEvent> = told;
        told.into_iter().map(|held| (held.event, held.time)).collect()
    }

    /// Nothing is waited for any longer: all is told with what is known by now.
    pub(super) fn give_up(&mut self) {
        for held in &mut self.held {
            held.ask();
            held.awaited = None;
        }
        self.is_due = true;
    }
}
