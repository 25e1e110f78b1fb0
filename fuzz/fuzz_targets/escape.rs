//! See tests/properties/escape.rs.
#![no_main]

#[path = "../../tests/properties/escape.rs"]
mod escape;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| escape::check(bytes));
