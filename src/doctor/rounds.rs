//! Who sweeps by itself here, and when next.

use crate::host::systemd::{Instance, Systemd};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tmux_sockets::kernel::Uid;

/// Who comes by to sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounds {
    /// A timer, in so long; `None`: a sweep is under way.
    Timer(Option<Duration>),
    /// The watcher, at each death.
    Watcher,
    /// Nobody: neither a timer nor the watcher is active.
    Nobody,
    /// Nobody, and the user's manager has no timer of ours.
    NoTimer,
    /// Nobody, and there is no systemd that could.
    NoSystemd,
    /// systemd does not answer.
    Unknown,
}

/// Asks the managers of the user and of the machine.
pub(crate) fn rounds(user: Uid, runtime_dir: Option<PathBuf>) -> Rounds {
    if !Systemd::is_here() {
        return Rounds::NoSystemd;
    }
    let systemd = Systemd::new(user, runtime_dir);
    let units = ["tmux-janitor-watch.service", "tmux-janitor.timer"];
    let mut nobody = Rounds::Unknown;
    for manager in [Instance::User, Instance::System] {
        let Some(shown) = systemd.show(manager, &units, "Id,ActiveState,LoadState") else { continue };
        let is =
            |id: &str, what, state| shown.iter().any(|unit| unit.get("Id") == id && unit.get(what) == state);
        let is_active = |id: &str| is(id, "ActiveState", "active");
        if manager == Instance::User && is(units[1], "LoadState", "loaded") {
            nobody = Rounds::Nobody;
        } else if nobody == Rounds::Unknown {
            nobody = Rounds::NoTimer;
        }
        if is_active(units[0]) {
            return Rounds::Watcher;
        }
        if is_active(units[1]) {
            let listed =
                systemd.systemctl(manager, &["list-timers", "--output=json", "--", "tmux-janitor.timer"]);
            return Rounds::Timer(listed.and_then(|text| next(&text, SystemTime::now())));
        }
    }
    nobody
}

/// When the first timer of `systemctl list-timers --output=json` elapses. Its times are microseconds since 1970.
fn next(text: &str, now: SystemTime) -> Option<Duration> {
    let timers: serde_json::Value = serde_json::from_str(text).ok()?;
    let at = timers.get(0)?.get("next")?.as_u64().filter(|at| *at > 0)?;
    Some((SystemTime::UNIX_EPOCH + Duration::from_micros(at)).duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_read() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let timer = |next: &str| format!("[{{\"next\":{next},\"left\":1,\"unit\":\"tmux-janitor.timer\"}}]");
        assert_eq!(next(&timer("103500000"), now), Some(Duration::from_millis(3500)));
        assert_eq!(next(&timer("99000000"), now), Some(Duration::ZERO));
        for none in [timer("null"), timer("0"), "[]".to_owned(), "?".to_owned()] {
            assert_eq!(next(&none, now), None, "{none}");
        }
    }
}
