//! The supervisor as a process of its own, over its socket and with real jobs.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

mod ends;
mod harness;
mod output;
mod overflow;
mod sessions;
mod trees;
