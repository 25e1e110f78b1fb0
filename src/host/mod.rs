//! What tells this program about its host and acts on it: tmux's own program.

pub mod client;
pub mod held;
pub mod inherited;
pub mod quote;
