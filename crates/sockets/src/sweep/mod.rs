//! One pass over directories of sockets.

pub mod discover;
mod follow;
mod pass;
mod policy;

pub use follow::Follower;
pub use pass::{Act, Glance, Pass, Target};
pub use policy::{Far, Policy, RefuseFar, SpareNothing};
