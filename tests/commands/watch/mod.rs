//! The daemon and the event stream, with real tmux servers on the real kernel.

mod beginning;
mod causes;
mod deaths;
mod elsewhere;
pub(crate) mod events;
mod fake;
mod limits;
mod places;
mod renamed;
mod rescues;
mod service;
mod stream;
mod told;
mod unread;
