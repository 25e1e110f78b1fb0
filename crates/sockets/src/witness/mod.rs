//! The witnesses: who is asked whether a socket's server lives.

mod connect;
mod elsewhere;
mod listed;
mod servers;
mod sight;

pub use connect::Asker;
pub use sight::Witness;
