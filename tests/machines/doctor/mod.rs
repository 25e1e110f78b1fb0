//! The doctor, on a machine: what it finds there, and each of its cures.

mod lasting;
mod on_a_machine;
