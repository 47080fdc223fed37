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
    /// Its output did not fit into the agent's spool.
    OutputLimit,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSummary {
    /// Bytes written.
    pub bytes: i64,
    /// SHA-256 of them.
    pub sha256: [u8; 32],
}

impl StreamSummary {
    /// A stream to which nothing was written.
    pub const EMPTY: Self = Self {
        bytes: 0,
        sha256: [
            0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f,
            0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b,
            0x78, 0x52, 0xb8, 0x55,
        ],
    };
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
    /// What it wrote to stdout and to stderr; none if the agent does not know.
    pub streams: Option<[StreamSummary; 2]>,
    /// Length of its whole log, in bytes with framing.
    pub log_length: i64,
    /// Processes that were killed after the main one had ended.
    pub leftovers: Vec<Leftover>,
    /// Result files that could not be kept.
    pub failed_artifacts: Vec<FailedArtifact>,
    /// What went wrong on the agent; empty if nothing did.
    pub trouble: String,
}

impl Completion {
    /// The final record of an attempt of which nobody knows how it ended.
    pub fn lost(key: AttemptKey, log_length: i64, trouble: String) -> Self {
        Self {
            key,
            cause: EndCause::Lost,
            exit_code: None,
            signal: None,
            pid: None,
            elapsed: Duration::ZERO,
            usage: Usage::default(),
            streams: None,
            log_length,
            leftovers: Vec::new(),
            failed_artifacts: Vec::new(),
            trouble,
        }
    }

    /// Compares what the agent counted with what has arrived: empty if they agree
    /// or the agent does not know, else a sentence.
    pub fn difference(&self, arrived: &[StreamSummary; 2]) -> String {
        let Some(said) = &self.streams else { return String::new() };
        let mut faults = Vec::new();
        for ((name, here), said) in ["stdout", "stderr"].into_iter().zip(arrived).zip(said) {
            if here.bytes != said.bytes {
                faults.push(format!(
                    "{name} has {} bytes here and had {} on the agent",
                    here.bytes, said.bytes
                ));
            } else if here.sha256 != said.sha256 {
                faults.push(format!("{name} is not the same here as on the agent"));
            }
        }
        faults.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{Fence, JobId};

    #[test]
    fn what_differs_is_named() {
        let key = AttemptKey { job: JobId(1), number: 1, fence: Fence(1) };
        let mut completion = Completion::lost(key, 0, String::new());
        let arrived = [StreamSummary::EMPTY, StreamSummary { bytes: 3, sha256: [1; 32] }];
        assert_eq!(completion.difference(&arrived), "", "an agent that does not know is believed");
        completion.streams = Some(arrived.clone());
        assert_eq!(completion.difference(&arrived), "");
        completion.streams = Some([
            StreamSummary { bytes: 1, sha256: [0; 32] },
            StreamSummary { bytes: 3, sha256: [2; 32] },
        ]);
        assert_eq!(
            completion.difference(&arrived),
            "stdout has 0 bytes here and had 1 on the agent; \
             stderr is not the same here as on the agent"
        );
    }
}
