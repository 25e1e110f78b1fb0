//! The removal, the only one, and what it would fail at.

mod audience;
mod batch;
mod forecast;
mod pin;
mod reaper;
mod shared;

pub use audience::{Audience, Next, Reaped};
pub use forecast::Forecast;
pub use reaper::Reaper;
