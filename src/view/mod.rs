//! A run as it is shown: to people, to programs, to monitoring.

pub mod json;
pub mod metrics;
pub mod people;
