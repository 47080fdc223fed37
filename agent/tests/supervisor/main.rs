//! The supervisor as a process of its own, over its socket and with real jobs.

mod ends;
mod harness;
mod output;
mod sessions;
mod trees;
