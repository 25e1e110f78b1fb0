//! See tests/properties/config.rs.
#![no_main]

#[path = "../../tests/properties/config.rs"]
mod config;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| config::check(bytes));
