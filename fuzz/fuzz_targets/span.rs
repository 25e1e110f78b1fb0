//! See tests/properties/span.rs.
#![no_main]

#[path = "../../tests/properties/span.rs"]
mod span;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| span::check(bytes));
