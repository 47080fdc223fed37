//! What each of our programs does before and around its work: it reads
//! environment files, writes logs to stderr, and stops when it is told to.

pub mod environment_files;
pub mod log;
pub mod shutdown;
