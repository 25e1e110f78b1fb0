//! How many sockets are locked and looked at together.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// How many sockets are locked and looked at together. More saves little, and each is a start that
/// has to wait.
pub(super) const BATCH: usize = 32;

/// How long a look at the table may take for so many, and how many times as long as its processor time: on a machine that
/// is busy all that is done under the locks takes longer, too.
const QUICK: Duration = Duration::from_millis(10);
const STRETCHED: u128 = 8;

/// How many sockets are locked together where a look at the table takes that long, and that much processor time: each is
/// a start that may have to wait, and as much longer as the machine is busy. A table that is long takes as long for one
/// socket as for many.
pub(super) fn most_together(look: Duration, processor: Duration) -> usize {
    let stretch = look.as_micros() / processor.as_micros().max(1) / STRETCHED;
    let times = (look.as_micros() / QUICK.as_micros()).min(stretch);
    BATCH / usize::try_from(times).unwrap_or(BATCH).clamp(1, BATCH)
}

/// What this thread has used of the processors.
pub(super) fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_the_machine_the_fewer_starts_have_to_wait() {
        let after = |millis| most_together(Duration::from_millis(millis), Duration::from_micros(100));
        assert_eq!([0, 9, 19].map(after), [BATCH; 3]);
        assert_eq!([20, 40, 319, 320, 100_000].map(after), [16, 8, 1, 1, 1]);
    }

    #[test]
    fn a_long_table_is_read_for_many_sockets_and_not_for_each() {
        let long = |times: u64| most_together(Duration::from_millis(400 * times), Duration::from_millis(400));
        assert_eq!([1, 15, 16, 80, 1000].map(long), [BATCH, BATCH, 16, 3, 1]);
    }
}
