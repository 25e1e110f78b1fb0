//! When a process was started, as a time of day.

use super::{Process, stat};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime};

/// How finely the kernel tells it: a tick of `/proc`, which is a hundredth of a second (`USER_HZ`, time(7)).
const TICK: Duration = Duration::from_millis(10);

/// The place of `starttime` among the fields behind the name (proc(5), `/proc/PID/stat`: field 22, the first behind
/// the name being 3).
const PLACE: usize = 22 - 3;

/// How often the clocks are read against each other: between two of them we may be made to wait.
const READINGS: usize = 3;

impl Process {
    /// When it was started, to a hundredth of a second, by the clock that people set. `None`: it has gone, or that
    /// cannot be read from here.
    ///
    /// The kernel counts from boot (`/proc/PID/stat`, `starttime`, proc(5)), suspension included, in the time namespace
    /// of whoever reads. The answer is the same at each call, until somebody sets the clock.
    pub fn started(&self) -> Option<SystemTime> {
        let ticks = ticks(&self.read("stat")?)?;
        let nanos =
            u128::from(ticks) * 1_000_000_000 / u128::from(rustix::param::clock_ticks_per_second().max(1));
        boot()?.checked_add(Duration::from_nanos(u64::try_from(nanos).ok()?))
    }
}

/// How many ticks after boot a process was started.
fn ticks(text: &[u8]) -> Option<u64> {
    stat::fields(text)?.nth(PLACE)?.parse().ok()
}

/// When the machine was booted. Both clocks run at the same rate (`clock_gettime(2)`), so the tick that is nearest to
/// their difference is always the same.
fn boot() -> Option<SystemTime> {
    let now = |clock| {
        let now = clock_gettime(clock);
        let (seconds, nanos) = (u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?);
        Some(Duration::new(seconds, nanos))
    };
    let reading = || {
        let before = now(ClockId::Boottime)?;
        let day = now(ClockId::Realtime)?;
        let after = now(ClockId::Boottime)?;
        let took = after.checked_sub(before)?;
        Some((took, day.checked_sub(before + took / 2)?))
    };
    let (_, difference) = (0..READINGS).filter_map(|_| reading()).min()?;
    let ticks = (difference + TICK / 2).as_millis() / TICK.as_millis();
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(ticks * TICK.as_millis()).ok()?))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use crate::kernel::{Pid, Processes};
    use std::process::Stdio;

    #[test]
    fn a_start_is_the_field_that_proc_says() {
        let stat = b"7 (a) 9 (b) t 2 3 4 34816 99 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(ticks(stat), Some(4711));
        assert_eq!(ticks(b"7 (a) S 1 2"), None);
    }

    #[test]
    fn a_process_was_started_between_before_and_after() {
        let before = SystemTime::now();
        // Of a test that fails, too, nothing is left that holds the runner's pipe.
        let mut command = std::process::Command::new("sleep");
        let mut child = command.arg("60").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let after = SystemTime::now();
        let pid = Pid::new(i32::try_from(child.id()).unwrap());
        let process = Processes::open().unwrap().by_pid(pid).unwrap();
        let started = process.started();
        let wavers = (0..100).any(|_| process.started() != started);
        child.kill().unwrap();
        child.wait().unwrap();
        // Start times are cut to a clock tick, and so is the time of the boot.
        let started = started.unwrap();
        assert!(before - 2 * TICK <= started && started <= after + TICK, "{before:?} {started:?} {after:?}");
        assert!(!wavers);
        assert_eq!(process.started(), None, "nobody's place is taken by another");
    }
}
