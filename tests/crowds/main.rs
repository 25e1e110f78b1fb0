//! Everybody at once: more to do than any machine can. Run it by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]
#![allow(clippy::print_stdout, reason = "the figures are the result")]

#[path = "../common/mod.rs"]
mod common;

mod race;
mod soak;
