//! What the benchmarks share: the sections of docs/benchmarks.md, each measured in a room of its own.
//!
//! Every figure stands beside a peer's that was measured in the same run, the two sides in turn, because machines are
//! noisy: what counts is the ratio.
#![allow(dead_code, reason = "each benchmark uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark that fails says so"
)]

pub(crate) mod page;
pub(crate) mod plot;
pub(crate) mod scene;
pub(crate) mod section;
pub(crate) mod spawn;
pub(crate) mod sweep;
pub(crate) mod users;
pub(crate) mod watch;

use section::{Measure, scale};

/// One section, printed: the main function of a benchmark.
pub(crate) fn main(measure: Measure) {
    if scene::played_a_part() || users::played_a_part() {
        return;
    }
    println!("{}", measure(scale()).markdown());
}
