//! What the service manager is told (`sd_notify(3)`). Without one, and when it does not listen,
//! nothing is told: it is never fatal.

use sd_notify::NotifyState;
use std::time::Duration;

/// The way to the service manager.
#[derive(Debug, Default)]
pub struct Service {
    heard: bool,
    watchdog: Option<Duration>,
    status: String,
}

impl Service {
    /// That of this process, from `$NOTIFY_SOCKET` and `$WATCHDOG_USEC`.
    pub fn of_this_process() -> Self {
        let heard = std::env::var_os("NOTIFY_SOCKET").is_some();
        Self { heard, watchdog: sd_notify::watchdog_enabled(), status: String::new() }
    }

    /// Whether there is somebody to tell.
    pub fn is_heard(&self) -> bool {
        self.heard
    }

    /// How often [`Self::ping`] is wanted: twice in the span after which the manager gives us up.
    pub fn ping_interval(&self) -> Option<Duration> {
        self.watchdog.map(|span| span / 2)
    }

    /// The event loop has turned.
    pub fn ping(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// The first complete look is done, or the reload.
    pub fn ready(&mut self, status: &str) {
        status.clone_into(&mut self.status);
        tell(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
    }

    /// The configuration is being read anew. The time goes into the same message: the manager pairs
    /// them (`sd_notify(3)`, `RELOADING=1`).
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    /// One line for `systemctl status`, if it is another than the last.
    pub fn status(&mut self, status: &str) {
        if self.status != status {
            status.clone_into(&mut self.status);
            tell(&[NotifyState::Status(&one_line(status))]);
        }
    }

    /// We are about to end.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }
}

/// A newline would begin another assignment.
fn one_line(status: &str) -> String {
    crate::escape::escaped(status).to_string()
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("the service manager was not told: {}", crate::words::io_text(&error));
    }
}
