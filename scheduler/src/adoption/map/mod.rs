//! From rows of a source to what is stored here. Nothing in here reads or writes anything.

pub mod action;
pub mod application;
pub mod credential_type;
pub mod job;
pub mod merge;
pub mod names;
pub mod precedence;
mod repair;
pub mod schedule;
pub mod variables;
