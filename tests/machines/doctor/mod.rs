//! The doctor: for each check something that has the fault, and something that has not.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "../machine/mod.rs"]
mod machine;

mod here;
mod lasting;
mod on_a_machine;

// What `machine` calls by this name.
use common::{reader, skip};
