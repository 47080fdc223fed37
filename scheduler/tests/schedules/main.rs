//! Schedules fire when an independent calculation says so: over changes of the clocks,
//! restarts, downtimes, and with several schedulers.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

mod oracle;
mod rhythm;
mod simulation;
