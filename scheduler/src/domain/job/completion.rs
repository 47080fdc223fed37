//! What an agent says of an attempt that has ended.

use std::{fmt, time::Duration};

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

/// Output of an attempt that is nowhere any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostOutput {
    /// Where it begins in the attempt's log, in bytes with framing.
    pub from: i64,
    /// Where it ends.
    pub to: i64,
    /// Why it is lost, as a sentence.
    pub reason: String,
}

impl fmt::Display for LostOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its log is lost from byte {} to byte {}: {}", self.from, self.to, self.reason)
    }
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
    /// What of its output is lost; nothing if all of it is here.
    pub lost_output: Vec<LostOutput>,
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
            lost_output: Vec::new(),
        }
    }

    /// How much of its log comes from the agent, in bytes with framing: all of it, but for
    /// what the agent has lost.
    pub fn comes(&self) -> i64 {
        let lost = self.lost_output.iter().map(|lost| lost.from).min();
        lost.unwrap_or(self.log_length).min(self.log_length)
    }

    /// Whether what has `arrived` is what the agent counted, if it has.
    pub fn agrees(&self, arrived: &[StreamSummary; 2]) -> bool {
        self.streams.as_ref().is_none_or(|said| said == arrived)
    }

    /// The record of an attempt of which this has `arrived`, `length` bytes with framing, and
    /// `lost` was lost here. What its agent has lost since it came is not lost. What differs
    /// from what the agent counted is, wherever that is.
    pub fn arrived(
        mut self,
        arrived: &[StreamSummary; 2],
        length: i64,
        lost: Vec<LostOutput>,
    ) -> Self {
        self.lost_output.retain_mut(|lost| {
            lost.from = lost.from.max(length);
            lost.from < lost.to
        });
        self.lost_output.extend(lost);
        if self.lost_output.is_empty() {
            let reason = self.difference(arrived);
            if !reason.is_empty() {
                let (from, to) = (0, self.log_length);
                self.lost_output.push(LostOutput { from, to, reason });
            }
        }
        self
    }

    /// What is wrong with its output of which this has `arrived`, as a sentence; empty if
    /// nothing is.
    pub fn fault(&self, arrived: &[StreamSummary; 2]) -> String {
        if self.lost_output.is_empty() {
            return String::new();
        }
        let mut faults: Vec<String> = self.lost_output.iter().map(ToString::to_string).collect();
        let difference = self.difference(arrived);
        if self.lost_output.iter().all(|lost| lost.reason != difference) {
            faults.extend(Some(difference).filter(|difference| !difference.is_empty()));
        }
        format!("its output is not whole: {}", faults.join("; "))
    }

    /// Compares what the agent counted with what has arrived: empty if they agree
    /// or the agent does not know, else a sentence.
    fn difference(&self, arrived: &[StreamSummary; 2]) -> String {
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
    fn what_is_lost_is_said_and_no_more_of_the_log_is_waited_for() {
        let key = AttemptKey { job: JobId(1), number: 1, fence: Fence(1) };
        let written = [StreamSummary { bytes: 30, sha256: [1; 32] }, StreamSummary::EMPTY];
        let arrived = [StreamSummary { bytes: 10, sha256: [2; 32] }, StreamSummary::EMPTY];
        let mut whole = Completion::lost(key, 100, String::new());
        whole.streams = Some(written.clone());
        assert_eq!((whole.comes(), whole.fault(&written)), (100, String::new()));
        assert_eq!(whole.clone().arrived(&written, 100, Vec::new()), whole);

        let reason = "gone".to_owned();
        let lost = LostOutput { from: 40, to: 100, reason };
        let told = Completion { lost_output: vec![lost.clone()], ..whole.clone() };
        assert_eq!(told.comes(), 40);
        let lost_with = |length| told.clone().arrived(&arrived, length, Vec::new()).lost_output;
        assert_eq!(lost_with(40), std::slice::from_ref(&lost));
        assert_eq!(lost_with(60), [LostOutput { from: 60, ..lost.clone() }]);
        assert_eq!(told.clone().arrived(&written, 100, Vec::new()), whole, "it is all here");
        assert_eq!(
            told.fault(&arrived),
            "its output is not whole: its log is lost from byte 40 to byte 100: gone; stdout has \
             10 bytes here and had 30 on the agent"
        );
        let here = LostOutput { from: 0, to: 20, ..lost.clone() };
        assert_eq!(told.arrived(&arrived, 40, vec![here.clone()]).lost_output, [lost, here]);

        let other = whole.arrived(&arrived, 100, Vec::new());
        assert_eq!(
            other.fault(&arrived),
            "its output is not whole: its log is lost from byte 0 to byte 100: stdout has 10 \
             bytes here and had 30 on the agent"
        );
    }

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
