//! The removal, the only one.

mod audience;
mod batch;
mod pin;
mod reaper;
mod shared;

pub use audience::{Audience, Next, Reaped};
pub use reaper::Reaper;
