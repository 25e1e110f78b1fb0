//! The removal, the only one.

mod pin;
mod reaper;
mod shared;

pub use reaper::{Audience, Next, Reaped, Reaper};
