//! What each of our programs does before and around its work: it reads arguments and
//! environment files, writes logs to stderr, stops when it is told to, and takes no
//! more memory than it uses.

pub mod arguments;
pub mod environment_files;
pub mod log;
pub mod memory;
pub mod shutdown;
mod words;

pub use words::counted;
