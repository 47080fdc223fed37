//! The life of a job, in the seed's words: `perform_job` is [`run_begin`] (the
//! command line and the environment), `launch_job` (on an agent), [`run_end`]
//! (what the outcome is) and `create_job_artifacts`.

mod completion;
mod run_begin;
mod run_end;
mod secrets;
mod state;
mod template;
mod variables;

pub use completion::{
    Completion, EndCause, FailedArtifact, Leftover, LostOutput, StreamSummary, Usage,
};
pub use run_begin::{Launch, RunBeginError, run_begin};
pub use run_end::{Durations, Outcome, Times, run_end};
pub use secrets::{MASK, Secrets};
pub use state::{Refused, State, Transition};
pub use template::{Credential, Executor, GRACE, LOST_AFTER, Overflow, Template};
pub use variables::environment_of;
