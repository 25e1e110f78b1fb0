//! See tests/properties/label.rs.
#![no_main]

#[path = "../../tests/properties/label.rs"]
mod label;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| label::check(bytes));
