//! The judgement, the only one: plain facts in, a state and a reason out. Pure.

mod plight;
mod sentences;
mod verdict;

pub use plight::{Bar, Plight, RescueFailure, Standing, Way};
pub use verdict::{
    Anchor, Blindness, ConnectSays, Facts, Judgement, LockSays, Reason, State, TableSays, Verdict, judge,
};
