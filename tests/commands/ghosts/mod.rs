//! Ghosts: live servers whose socket was deleted or replaced, found and rescued. Real tmux.

mod alarms;
mod aside;
mod lacking;
mod promised;
mod refused;
mod rescued;
pub(crate) mod scene;
mod storm;
mod tmpfiles;
mod told;
