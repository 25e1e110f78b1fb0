//! One socket: what it is, and who is behind it.

pub mod connect;
pub mod directory;
mod elsewhere;
pub mod file_id;
pub mod file_system;
pub mod kernel_table;
pub mod moves;
pub mod shared;
pub mod sight;
pub mod verdict;
pub mod wire;
