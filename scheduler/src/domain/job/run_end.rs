//! `run_end`: what the outcome of an attempt is, and how long its parts took.

use std::time::Duration;

use super::{Completion, EndCause, State};

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With exit code 0.
    Succeeded,
    /// With another exit code, by a signal, without all of its output, or it could not be
    /// launched.
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
/// ended by itself and whose output is here whole, and nothing else.
pub fn run_end(completion: &Completion) -> Outcome {
    let whole = completion.lost_output.is_empty();
    match completion.cause {
        EndCause::Exited if completion.exit_code == Some(0) && whole => Outcome::Succeeded,
        EndCause::Exited | EndCause::Signaled | EndCause::LaunchFailed | EndCause::OutputLimit => {
            Outcome::Failed
        }
        EndCause::Cancelled => Outcome::Cancelled,
        EndCause::TimedOut => Outcome::TimedOut,
        EndCause::Lost => Outcome::Lost,
    }
}

/// When something has happened to a job, or to an attempt, in microseconds since the Unix
/// epoch; none if it has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// The job was created; none for an attempt, which is a part of a job.
    pub created: Option<i64>,
    /// It entered the queue.
    pub queued: Option<i64>,
    /// The process was started.
    pub started: Option<i64>,
    /// It ended.
    pub ended: Option<i64>,
    /// How long the process ran by its agent's clock; none if that has not said. Who was to
    /// be told of its end may have been away for longer.
    pub ran: Option<Duration>,
}

/// How long the parts of a life took; none for a part that is not over. A database's clock
/// that was set back makes a part shorter, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// In the queue, until the process was started.
    pub queued: Option<Duration>,
    /// Of the process: what its agent says, else from its start to the end.
    pub run: Option<Duration>,
    /// From the job's creation to its end.
    pub total: Option<Duration>,
}

impl From<Times> for Durations {
    fn from(times: Times) -> Self {
        let between = |from: Option<i64>, to: Option<i64>| {
            let microseconds = to?.saturating_sub(from?);
            Some(Duration::from_micros(u64::try_from(microseconds).unwrap_or(0)))
        };
        Self {
            queued: between(times.queued, times.started),
            run: times.ended.and(times.ran).or(between(times.started, times.ended)),
            total: between(times.created, times.ended),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ids::{AttemptKey, Fence, JobId},
        job::LostOutput,
    };

    #[test]
    fn a_success_without_its_output_is_none_and_other_ends_stay_what_they_are() {
        let key = AttemptKey { job: JobId(1), number: 1, fence: Fence(1) };
        let outcomes = |cause, exit_code| {
            let lost = Completion::lost(key, 9, String::new());
            let whole = Completion { cause, exit_code, ..lost };
            let reason = "gone".to_owned();
            let lost_output = vec![LostOutput { from: 0, to: 9, reason }];
            let lost = Completion { lost_output, ..whole.clone() };
            [run_end(&whole), run_end(&lost)]
        };
        assert_eq!(outcomes(EndCause::Exited, Some(0)), [Outcome::Succeeded, Outcome::Failed]);
        for (cause, exit_code, outcome) in [
            (EndCause::Exited, Some(1), Outcome::Failed),
            (EndCause::Signaled, None, Outcome::Failed),
            (EndCause::TimedOut, Some(0), Outcome::TimedOut),
            (EndCause::Cancelled, Some(0), Outcome::Cancelled),
            (EndCause::Lost, None, Outcome::Lost),
        ] {
            assert_eq!(outcomes(cause, exit_code), [outcome; 2], "{cause:?}");
        }
    }

    #[test]
    fn each_part_of_a_life_has_its_length_once_it_is_over() {
        let micros = |count| Some(Duration::from_micros(count));
        let mut times = Times { created: Some(10), queued: Some(100), ..Times::default() };
        assert_eq!(Durations::from(times), Durations::default());
        times.started = Some(1100);
        let queued = micros(1000);
        assert_eq!(Durations::from(times), Durations { queued, ..Durations::default() });
        times.ended = Some(1_001_100);
        let (run, total) = (micros(1_000_000), micros(1_001_090));
        assert_eq!(Durations::from(times), Durations { queued, run, total });
        times.created = None;
        assert_eq!(Durations::from(times), Durations { queued, run, total: None });
    }

    #[test]
    fn how_long_a_process_ran_is_its_agents_word() {
        let ran = Some(Duration::from_secs(3));
        let (started, ended) = (Some(0), Some(16_000_000));
        let mut times = Times { started, ended, ran, ..Times::default() };
        assert_eq!(Durations::from(times).run, ran);
        times.ran = None;
        assert_eq!(Durations::from(times).run, Some(Duration::from_secs(16)));
    }

    #[test]
    fn a_job_that_never_started_has_no_time_of_running() {
        let times = Times { queued: Some(1), ended: Some(9), ..Times::default() };
        assert_eq!(Durations::from(times), Durations::default());
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_negative_time() {
        let [created, queued, started, ended] = [9, 7, 5, i64::MIN].map(Some);
        let times = Times { created, queued, started, ended, ran: None };
        let none = Some(Duration::ZERO);
        assert_eq!(Durations::from(times), Durations { queued: none, run: none, total: none });
    }
}
