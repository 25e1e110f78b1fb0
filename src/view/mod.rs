//! A run as it is shown: to people, to programs, to monitoring.

pub mod events;
pub mod json;
pub mod people;
