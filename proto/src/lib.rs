//! The protocol `multiflexi.v1` and nothing else: the generated messages and
//! services, the framing of logs, and the conversions that every side needs.
//! No rule of the system lives here.

pub mod frame;
mod time;

pub use time::{duration, std_duration, timestamp, timestamp_micros};

/// The generated messages, clients and servers of package `multiflexi.v1`.
#[allow(missing_docs, clippy::all, unused_qualifications)]
pub mod v1 {
    tonic::include_proto!("multiflexi.v1");

    impl ActionMode {
        /// The mode's name as people and JSON see it.
        pub fn name(self) -> &'static str {
            match self {
                Self::Unspecified => "unspecified",
                Self::Success => "success",
                Self::Fail => "fail",
                Self::Always => "always",
                Self::Condition => "condition",
            }
        }
    }

    impl ScheduleOverlap {
        /// The overlap's name as people and JSON see it.
        pub fn name(self) -> &'static str {
            match self {
                Self::Unspecified => "unspecified",
                Self::Skip => "skip",
                Self::Queue => "queue",
                Self::Allow => "allow",
                Self::Replace => "replace",
            }
        }
    }

    impl SlotOutcome {
        /// The outcome's name as people and JSON see it.
        pub fn name(self) -> &'static str {
            match self {
                Self::Unspecified => "unspecified",
                Self::Fired => "fired",
                Self::CaughtUp => "caught_up",
                Self::Skipped => "skipped",
                Self::Missed => "missed",
            }
        }
    }

    impl PerformedActionState {
        /// The state's name as people and JSON see it.
        pub fn name(self) -> &'static str {
            match self {
                Self::Unspecified => "unspecified",
                Self::Pending => "pending",
                Self::Running => "running",
                Self::Succeeded => "succeeded",
                Self::Failed => "failed",
                Self::Cancelled => "cancelled",
            }
        }
    }

    impl JobState {
        /// Whether a job in this state has ended for good (until it is run again).
        pub fn is_terminal(self) -> bool {
            matches!(
                self,
                Self::Succeeded | Self::Failed | Self::Cancelled | Self::TimedOut | Self::Lost
            )
        }

        /// The state's name as people and JSON see it: `succeeded`, `timed_out`.
        pub fn name(self) -> &'static str {
            match self {
                Self::Unspecified => "unspecified",
                Self::Loaded => "loaded",
                Self::Queued => "queued",
                Self::Offered => "offered",
                Self::Running => "running",
                Self::Unreachable => "unreachable",
                Self::Finishing => "finishing",
                Self::Succeeded => "succeeded",
                Self::Failed => "failed",
                Self::Cancelled => "cancelled",
                Self::TimedOut => "timed_out",
                Self::Lost => "lost",
            }
        }
    }
}

/// The protocol's descriptors, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The version of the agent protocol that this crate describes. A scheduler
/// refuses an agent of another version with a sentence that names both.
pub const PROTOCOL: i32 = 1;

/// Largest message, in bytes, that either side accepts: a batch of offers whose
/// environments are large, or a batch of log records.
pub const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// Most bytes of a definition of an application or of a type of credentials.
pub const MAX_DEFINITION: usize = 4 * 1024 * 1024;
