//! Retries: whether an attempt that ended is followed by another by itself, and when.

use std::{fmt, str::FromStr, time::Duration};

use super::{
    application::Definition,
    job::{Completion, EndCause},
};

/// How the pause before an attempt grows with the retries before it. The names are
/// the PHP MultiFlexi's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backoff {
    /// There is none.
    None,
    /// It is always the same.
    Fixed,
    /// It grows by itself each time: 1, 2, 3 times the gap.
    Linear,
    /// It doubles each time: 1, 2, 4 times the gap.
    #[default]
    Exponential,
}

/// What is followed by another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Any exit code but 0, and a signal.
    Failed,
    /// This exit code.
    ExitCode(i32),
    /// A signal that nobody here sent.
    Signaled,
    /// It could not be launched.
    LaunchFailed,
    /// It ran too long.
    TimedOut,
    /// Its agent did not come back, or came back without it.
    Lost,
}

/// A text that is no cause of a retry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is nothing that can be retried: take failed, exit:CODE, signaled, launch_failed, \
     timed_out or lost"
)]
pub struct NoCause(String);

/// A text that is no backoff.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no backoff: take none, fixed, linear or exponential")]
pub struct NoBackoff(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => f.write_str("failed"),
            Self::ExitCode(code) => write!(f, "exit:{code}"),
            Self::Signaled => f.write_str("signaled"),
            Self::LaunchFailed => f.write_str("launch_failed"),
            Self::TimedOut => f.write_str("timed_out"),
            Self::Lost => f.write_str("lost"),
        }
    }
}

impl FromStr for Cause {
    type Err = NoCause;

    fn from_str(text: &str) -> Result<Self, NoCause> {
        let code = text.strip_prefix("exit:").and_then(|code| code.parse().ok());
        match (text, code) {
            (_, Some(code)) if (1..=255).contains(&code) => Ok(Self::ExitCode(code)),
            ("failed", _) => Ok(Self::Failed),
            ("signaled", _) => Ok(Self::Signaled),
            ("launch_failed", _) => Ok(Self::LaunchFailed),
            ("timed_out", _) => Ok(Self::TimedOut),
            ("lost", _) => Ok(Self::Lost),
            _ => Err(NoCause(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Fixed => "fixed",
            Self::Linear => "linear",
            Self::Exponential => "exponential",
        })
    }
}

impl FromStr for Backoff {
    type Err = NoBackoff;

    fn from_str(text: &str) -> Result<Self, NoBackoff> {
        match text {
            "none" => Ok(Self::None),
            "fixed" => Ok(Self::Fixed),
            "linear" => Ok(Self::Linear),
            "exponential" => Ok(Self::Exponential),
            _ => Err(NoBackoff(text.chars().take(40).collect())),
        }
    }
}

/// Most attempts that a run template can ask for.
pub const MAX_ATTEMPTS: i32 = 1000;

/// A run template's wish for retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Most attempts, from 1 (no retry) on, each time that a job is run.
    pub max_attempts: u32,
    /// What is retried.
    pub on: Vec<Cause>,
    /// How the pause grows.
    pub backoff: Backoff,
    /// The first pause.
    pub min_gap: Duration,
    /// The longest pause.
    pub max_gap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 1,
            on: vec![Cause::Failed, Cause::LaunchFailed, Cause::TimedOut, Cause::Lost],
            backoff: Backoff::default(),
            min_gap: Duration::from_secs(10),
            max_gap: Duration::from_secs(3600),
        }
    }
}

/// The decision to retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How long from now.
    pub pause: Duration,
    /// Why, as a sentence.
    pub why: String,
}

impl RetryPolicy {
    /// Whether an attempt that ended so is followed by another, after `retries` that
    /// were made before. Besides the causes of the policy, an exit code is one that the
    /// application declares so. `random` spreads the pauses of jobs that fail together.
    pub fn decide(
        &self,
        end: &Completion,
        application: &Definition,
        retries: u32,
        random: u32,
    ) -> Option<Retry> {
        let declared = || {
            let code = end.exit_code.filter(|_| matches!(end.cause, EndCause::Exited))?;
            application.exit_codes.get(&code)?.retry.then_some(Cause::ExitCode(code))
        };
        let named = self.on.iter().find(|cause| cause.covers(end)).copied();
        let cause = named.or_else(declared)?;
        let next = retries.saturating_add(2);
        let pause = self.again(retries.saturating_add(1), random)?;
        let why = format!(
            "{cause} is retried: this will be try {next} of {}, after {:.1} s",
            self.max_attempts,
            pause.as_secs_f64()
        );
        Some(Retry { pause, why })
    }

    /// The pause before another try after `tries` were made; none if those were all.
    pub fn again(&self, tries: u32, random: u32) -> Option<Duration> {
        (tries < self.max_attempts).then(|| self.pause(tries.saturating_sub(1), random))
    }

    /// The pause after `retries` retries: up to a quarter longer than the backoff says.
    fn pause(&self, retries: u32, random: u32) -> Duration {
        let times = match self.backoff {
            Backoff::None => 0,
            Backoff::Fixed => 1,
            Backoff::Linear => retries.saturating_add(1),
            Backoff::Exponential => 2_u32.saturating_pow(retries),
        };
        let pause = self.min_gap.saturating_mul(times).min(self.max_gap);
        pause + pause.mul_f64(f64::from(random) / f64::from(u32::MAX) / 4.0)
    }
}

impl Cause {
    fn covers(self, end: &Completion) -> bool {
        let exited = matches!(end.cause, EndCause::Exited);
        let signaled = matches!(end.cause, EndCause::Signaled);
        match self {
            Self::Failed => signaled || (exited && end.exit_code != Some(0)),
            Self::ExitCode(code) => exited && end.exit_code == Some(code),
            Self::Signaled => signaled,
            Self::LaunchFailed => matches!(end.cause, EndCause::LaunchFailed),
            Self::TimedOut => matches!(end.cause, EndCause::TimedOut),
            Self::Lost => matches!(end.cause, EndCause::Lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{AttemptKey, Fence, JobId};
    use proptest::prelude::*;

    fn end(cause: EndCause, exit_code: Option<i32>) -> Completion {
        let key = AttemptKey { job: JobId(1), number: 1, fence: Fence(1) };
        Completion { cause, exit_code, ..Completion::lost(key, 0, String::new()) }
    }

    #[test]
    fn tries_are_counted_and_the_pause_between_them_grows() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let max_gap = Duration::from_secs(30);
        let policy = RetryPolicy { max_attempts: 5, max_gap, ..RetryPolicy::default() };
        let pauses = [1, 2, 3, 4, 5, 6].map(|tries| policy.again(tries, 0));
        assert_eq!(pauses, [seconds(10), seconds(20), seconds(30), seconds(30), None, None]);
        assert_eq!(RetryPolicy::default().again(1, 0), None, "one try is all unless it says more");
    }

    fn policy(on: &[&str]) -> RetryPolicy {
        let on = on.iter().map(|cause| cause.parse().unwrap()).collect();
        RetryPolicy { max_attempts: 3, on, ..RetryPolicy::default() }
    }

    fn application() -> Definition {
        Definition::new("a", "true", "").unwrap()
    }

    #[test]
    fn an_exit_code_that_the_application_declares_so_is_retried() {
        let application = crate::domain::application::parse(
            r#"{"name": "a", "description": "", "executable": "a", "environment": {},
                "exitCodes": {"75": {"description": "try later", "severity": "warning",
                "retry": true}, "2": {"description": "no", "severity": "error"}}}"#,
        );
        let (application, policy) = (application.unwrap(), policy(&["lost"]));
        let retried = |end: &Completion| policy.decide(end, &application, 0, 0).is_some();
        assert!(retried(&end(EndCause::Exited, Some(75))));
        assert!(!retried(&end(EndCause::Exited, Some(2))));
        assert!(!retried(&end(EndCause::Cancelled, Some(75))), "it did not end by itself");
        let once = RetryPolicy { max_attempts: 1, ..policy.clone() };
        assert!(once.decide(&end(EndCause::Exited, Some(75)), &application, 0, 0).is_none());
    }

    #[test]
    fn only_what_is_named_is_retried() {
        let retried = |policy: &RetryPolicy, end: &Completion| {
            policy.decide(end, &application(), 0, 0).is_some()
        };
        let exit = |code| end(EndCause::Exited, Some(code));
        let on_75 = policy(&["exit:75", "lost"]);
        assert!(retried(&on_75, &exit(75)) && retried(&on_75, &end(EndCause::Lost, None)));
        assert!(!retried(&on_75, &exit(1)) && !retried(&on_75, &end(EndCause::TimedOut, None)));
        let on_failed = policy(&["failed"]);
        assert!(retried(&on_failed, &exit(1)));
        assert!(retried(&on_failed, &end(EndCause::Signaled, None)));
        for never in [exit(0), end(EndCause::Cancelled, Some(1)), end(EndCause::Cancelled, None)] {
            let all = policy(&["failed", "signaled", "launch_failed", "timed_out", "lost"]);
            assert!(!retried(&all, &never), "{never:?}");
        }
        assert!(!retried(&RetryPolicy::default(), &exit(1)), "without a wish there is no retry");
    }

    #[test]
    fn the_number_of_attempts_is_bounded() {
        let policy = policy(&["failed"]);
        let failed = end(EndCause::Exited, Some(1));
        assert!(policy.decide(&failed, &application(), 0, 0).is_some());
        assert!(policy.decide(&failed, &application(), 1, 0).is_some());
        assert!(policy.decide(&failed, &application(), 2, 0).is_none());
    }

    #[test]
    fn pauses_grow_as_the_backoff_says() {
        let pauses = |backoff| {
            let policy = RetryPolicy { backoff, ..RetryPolicy::default() };
            [0, 1, 2, 40].map(|retries| policy.pause(retries, 0).as_secs())
        };
        assert_eq!(pauses(Backoff::None), [0, 0, 0, 0]);
        assert_eq!(pauses(Backoff::Fixed), [10, 10, 10, 10]);
        assert_eq!(pauses(Backoff::Linear), [10, 20, 30, 410]);
        assert_eq!(pauses(Backoff::Exponential), [10, 20, 40, 3600]);
    }

    proptest! {
        #[test]
        fn pauses_are_spread_within_a_quarter(retries in 0_u32..2000, random in any::<u32>()) {
            let policy = RetryPolicy::default();
            let (least, pause) = (policy.pause(retries, 0), policy.pause(retries, random));
            prop_assert!(pause >= least && pause <= least.mul_f64(1.2500001));
        }
    }

    #[test]
    fn names_return_unchanged() {
        for name in ["failed", "exit:75", "signaled", "launch_failed", "timed_out", "lost"] {
            assert_eq!(name.parse::<Cause>().unwrap().to_string(), name);
        }
        for name in ["none", "fixed", "linear", "exponential"] {
            assert_eq!(name.parse::<Backoff>().unwrap().to_string(), name);
        }
        for bad in ["", "exit:", "exit:0", "exit:256", "exit:x", "cancelled"] {
            assert!(bad.parse::<Cause>().is_err(), "{bad:?}");
        }
        assert!("quadratic".parse::<Backoff>().is_err());
    }
}
