//! What the service manager is told (`sd_notify(3)`). Without one, and when it does not listen,
//! nothing is told: it is never fatal. One that does not read is not waited for: its queue has room for a few messages
//! (`net.unix.max_dgram_qlen`), and then whoever sends waits for good.

use sd_notify::NotifyState;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// How long a manager whose queue is full is given to take what it must not miss: that we are ready, or end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the manager is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// For [`PATIENCE`].
    Awaited,
    /// Not at all: another will follow.
    Passing,
}

/// The way to the service manager.
#[derive(Debug, Default)]
pub(crate) struct ServiceManager {
    heard: bool,
    watchdog: Option<Duration>,
    /// When it was last told that we turn.
    pinged: Option<Instant>,
    status: String,
}

impl ServiceManager {
    /// That of this process, from `$NOTIFY_SOCKET` and `$WATCHDOG_USEC`.
    pub(crate) fn of_this_process() -> Self {
        let heard = std::env::var_os("NOTIFY_SOCKET").is_some();
        Self { heard, watchdog: sd_notify::watchdog_enabled(), ..Self::default() }
    }

    /// Whether there is somebody to tell.
    pub(crate) fn is_heard(&self) -> bool {
        self.heard
    }

    /// When it must hear that we turn, after the first time: twice in the span after which it gives us up.
    pub(crate) fn next_ping(&self) -> Option<Instant> {
        Some(self.pinged? + self.watchdog? / 2)
    }

    /// The event loop has turned. The manager is told as often as it must be.
    pub(crate) fn turned(&mut self, now: Instant) {
        if self.watchdog.is_some() && self.next_ping().is_none_or(|at| at <= now) {
            tell(&[NotifyState::Watchdog], Weight::Passing);
            self.pinged = Some(now);
        }
    }

    /// The first complete look is done, or the reload.
    pub(crate) fn ready(&mut self, status: &str) {
        status.clone_into(&mut self.status);
        tell(&[NotifyState::Ready, NotifyState::Status(&one_line(status))], Weight::Awaited);
    }

    /// The configuration is being read anew. The time goes into the same message: the manager pairs
    /// them (`sd_notify(3)`, `RELOADING=1`).
    #[expect(clippy::unused_self, reason = "it is told like the rest")]
    pub(crate) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now], Weight::Awaited),
            Err(_) => tell(&[NotifyState::Reloading], Weight::Awaited),
        };
    }

    /// One line for `systemctl status`, if it is another than the last that was told.
    pub(crate) fn status(&mut self, status: &str) {
        if self.status != status && tell(&[NotifyState::Status(&one_line(status))], Weight::Passing) {
            status.clone_into(&mut self.status);
        }
    }

    /// We are about to end.
    #[expect(clippy::unused_self, reason = "it is told like the rest")]
    pub(crate) fn stopping(&self) {
        tell(&[NotifyState::Stopping], Weight::Awaited);
    }
}

/// A newline would begin another assignment.
fn one_line(status: &str) -> String {
    tmux_sockets::kernel::escape::escaped(status).to_string()
}

/// Whether it was told.
fn tell(state: &[NotifyState<'_>], weight: Weight) -> bool {
    let told = send(state, weight);
    if let Err(error) = &told {
        tracing::debug!("the service manager was not told: {}", tmux_sockets::kernel::text::io_text(error));
    }
    told.is_ok()
}

/// Not `sd_notify::notify`: it waits.
fn send(state: &[NotifyState<'_>], weight: Weight) -> io::Result<()> {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let mut message = String::new();
    state.iter().try_for_each(|state| writeln!(message, "{state}")).map_err(io::Error::other)?;
    let socket = UnixDatagram::unbound()?;
    match weight {
        // If that fails, the message is sent all the same, and may have to wait.
        Weight::Awaited => drop(socket.set_write_timeout(Some(PATIENCE))),
        Weight::Passing => socket.set_nonblocking(true)?,
    }
    socket.connect_addr(&address(&name)?)?;
    socket.send(message.as_bytes())?;
    Ok(())
}

/// A path, or after an `@` an abstract name.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}
