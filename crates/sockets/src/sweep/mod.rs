//! One pass over directories of sockets.

mod close_look;
pub mod discover;
mod follow;
mod litter;
mod pass;
mod policy;
mod servers;
mod sheet;
mod target;

pub use follow::{Done, Follower};
pub use pass::{Glance, Pass};
pub use policy::{Far, Policy, RefuseFar, SpareNothing};
pub use target::{Act, Target};
