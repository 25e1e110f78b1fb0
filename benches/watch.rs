//! What the watcher costs, beside the polling that it replaces. `cargo bench --bench watch` prints the table.

mod measure;

fn main() {
    measure::main(measure::watch::measure);
}
