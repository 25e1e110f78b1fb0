//! What `spawn` costs beside plain `tmux new-session -d`. `cargo bench --bench spawn` prints the table.

mod measure;

fn main() {
    measure::main(measure::spawn::measure);
}
