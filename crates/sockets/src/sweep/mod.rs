//! One pass over directories of sockets.

mod close_look;
pub mod discover;
mod follow;
mod litter;
mod pass;
mod policy;
mod servers;
mod sheet;
mod sweeper;
mod target;

pub use follow::Follower;
pub use pass::{Glance, Pass, left_alone};
pub use policy::{Far, Policy, RefuseFar, SpareNothing};
pub use sheet::Done;
pub use sweeper::Sweeper;
pub use target::{Act, Target};
