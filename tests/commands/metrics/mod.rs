//! The health row for fleets: the text, the file, and what Prometheus makes of it.
#![allow(clippy::float_cmp, reason = "counts are exact")]

mod fleet;
mod shipped;
mod status;
mod watch;
