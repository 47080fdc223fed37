//! `run_end`: what the outcome of an attempt is.

use super::{Completion, EndCause, State};

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With exit code 0.
    Succeeded,
    /// With another exit code, by a signal, or it could not be launched.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It ran longer than allowed.
    TimedOut,
    /// The agent lost it.
    Lost,
}

impl Outcome {
    /// The terminal state of an attempt that ended so.
    pub fn state(self) -> State {
        match self {
            Self::Succeeded => State::Succeeded,
            Self::Failed => State::Failed,
            Self::Cancelled => State::Cancelled,
            Self::TimedOut => State::TimedOut,
            Self::Lost => State::Lost,
        }
    }
}

/// The outcome of a completed attempt. Success is exit code 0 of a process that
/// ended by itself, and nothing else.
pub fn run_end(completion: &Completion) -> Outcome {
    match completion.cause {
        EndCause::Exited if completion.exit_code == Some(0) => Outcome::Succeeded,
        EndCause::Exited | EndCause::Signaled | EndCause::LaunchFailed | EndCause::OutputLimit => {
            Outcome::Failed
        }
        EndCause::Cancelled => Outcome::Cancelled,
        EndCause::TimedOut => Outcome::TimedOut,
        EndCause::Lost => Outcome::Lost,
    }
}
