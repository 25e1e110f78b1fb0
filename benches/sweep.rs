//! What a sweep costs, beside what people use instead. `cargo bench --bench sweep` prints the table.

mod measure;

fn main() {
    measure::main(measure::sweep::measure);
}
