//! What an agent says of an attempt that has ended.

use std::time::Duration;

use crate::domain::ids::AttemptKey;

/// Why an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// The process exited by itself.
    Exited,
    /// A signal ended it that neither a cancel nor a timeout sent.
    Signaled,
    /// It could not be launched.
    LaunchFailed,
    /// It was cancelled.
    Cancelled,
    /// It ran longer than allowed.
    TimedOut,
    /// The agent lost it.
    Lost,
}

/// What the attempt's processes used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode.
    pub user_cpu: Duration,
    /// CPU time in the kernel.
    pub system_cpu: Duration,
    /// Largest resident set of one process, in bytes.
    pub peak_memory_bytes: i64,
}

/// Size and hash of one output stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamSummary {
    /// Bytes written.
    pub bytes: i64,
    /// SHA-256 of them.
    pub sha256: [u8; 32],
}

/// A process that outlived the attempt's main process and was killed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Leftover {
    /// Its process id.
    pub pid: i64,
    /// Its program's name.
    pub name: String,
}

/// A result file that could not be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedArtifact {
    /// Its name within the working directory.
    pub filename: String,
    /// Why, as a sentence.
    pub reason: String,
}

/// The final record of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The attempt.
    pub key: AttemptKey,
    /// Why it ended.
    pub cause: EndCause,
    /// Exit code, if the process exited or could not be launched.
    pub exit_code: Option<i32>,
    /// Number of the signal that ended the process, if one did.
    pub signal: Option<i32>,
    /// The process id; none if no process was started.
    pub pid: Option<i64>,
    /// How long it ran.
    pub elapsed: Duration,
    /// What it used.
    pub usage: Usage,
    /// What it wrote to stdout and to stderr.
    pub streams: [StreamSummary; 2],
    /// Length of its whole log, in bytes with framing.
    pub log_length: i64,
    /// Processes that were killed after the main one had ended.
    pub leftovers: Vec<Leftover>,
    /// Result files that could not be kept.
    pub failed_artifacts: Vec<FailedArtifact>,
    /// What went wrong on the agent; empty if nothing did.
    pub trouble: String,
}
