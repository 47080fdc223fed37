//! The executor agent: takes jobs over gRPC, launches their processes, streams
//! their output back live, and uploads what they leave.
//!
//! It is two processes of one program. The *session* speaks gRPC and can be
//! restarted at any time; the *supervisor* has the processes and outlives it.

pub mod arguments;
#[doc(hidden)]
pub mod link;
mod session;
mod spool;
mod supervisor;
mod work;

use std::path::Path;

pub use session::{Config, Error, SpoolLimits, run};
pub use supervisor::SupervisorError;

/// Runs the supervisor process in `directory` until nothing needs it any more.
pub fn supervise(directory: &Path) -> Result<(), SupervisorError> {
    supervisor::run(directory)
}
