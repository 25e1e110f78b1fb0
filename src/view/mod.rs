//! A run as it is shown: to people, to programs, to monitoring.

pub(crate) mod advice;
pub(crate) mod cause;
mod columns;
pub(crate) mod events;
pub(crate) mod json;
pub(crate) mod people;
pub(crate) mod table;
