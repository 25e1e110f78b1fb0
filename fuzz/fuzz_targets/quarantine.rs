//! See tests/properties/quarantine.rs.
#![no_main]

#[path = "../../tests/properties/quarantine.rs"]
mod quarantine;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quarantine::check(bytes));
