//! The rules of the system, pure: no I/O, no clock, no SQL, no gRPC. Everything
//! here is a function of its arguments, and everything else asks here.

pub mod action;
pub mod application;
pub mod command_line;
pub mod credential_type;
pub mod definition;
pub mod environment;
pub mod exit_code;
pub mod ids;
pub mod job;
pub mod names;
pub mod performance;
pub mod retention;
pub mod retry;
pub mod schedule;
pub mod script;
