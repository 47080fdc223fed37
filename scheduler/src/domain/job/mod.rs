//! The life of a job, in the seed's words: `perform_job` is [`run_begin`] (the
//! command line and the environment), `launch_job` (on an agent), [`run_end`]
//! (what the outcome is) and `create_job_artifacts`.

mod completion;
mod run_begin;
mod run_end;
mod state;

pub use completion::{Completion, EndCause, FailedArtifact, Leftover, StreamSummary, Usage};
pub use run_begin::{
    Launch, MASK, Overflow, RunBeginError, Template, environment_of, run_begin, secrets_of,
    without_secrets,
};
pub use run_end::{Outcome, run_end};
pub use state::{Refused, State, Transition};
