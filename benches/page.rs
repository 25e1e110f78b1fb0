//! Everything that is promised, measured side by side: `cargo bench --bench page` writes the tables of
//! docs/benchmarks.md and its plots. Some minutes; as root, else what needs it is left out.

mod measure;

use measure::{spawn, sweep, users, watch};

fn main() {
    measure::page::main(&[
        ("sweep", sweep::measure),
        ("users", users::measure),
        ("watch", watch::measure),
        ("spawn", spawn::measure),
    ]);
}
