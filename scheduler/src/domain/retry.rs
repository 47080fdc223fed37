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
    /// Its process exited with 0, and its output is not here whole.
    OutputLost,
}

/// A text that is no cause of a retry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is nothing that can be retried: take failed, exit:CODE, signaled, launch_failed, \
     timed_out, lost or output_lost"
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
            Self::OutputLost => f.write_str("output_lost"),
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
            ("output_lost", _) => Ok(Self::OutputLost),
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

/// The decision about another attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is another.
    Retry {
        /// How long from now.
        pause: Duration,
        /// Why, as a sentence.
        why: String,
    },
    /// There would be another, but the application says that it does not help.
    Forbidden {
        /// Who says so, and what to do about it, as a sentence.
        why: String,
    },
    /// Nobody asks for another, or those that were allowed are made.
    Nothing,
}

impl RetryPolicy {
    /// Whether an attempt that ended so is followed by another, after `retries` that
    /// were made before. Who says it more exactly is heard first: the policy that names the exit
    /// code, then the application that declares it, then the policy's other causes. `random`
    /// spreads the pauses of jobs that fail together.
    pub fn decide(
        &self,
        end: &Completion,
        application: &Definition,
        retries: u32,
        random: u32,
    ) -> Verdict {
        let code = end.exit_code.filter(|code| end.cause == EndCause::Exited && *code != 0);
        let declared = code.and_then(|code| application.exit_codes.get(&code)?.retry);
        let named = |exactly: bool| {
            let mut causes = self.on.iter().copied().filter(|cause| cause.covers(end));
            causes.find(|cause| matches!(cause, Cause::ExitCode(_)) == exactly)
        };
        let declared_so = || code.filter(|_| declared == Some(true)).map(Cause::ExitCode);
        let cause = named(true).or_else(declared_so).or_else(|| named(false));
        let (Some(cause), Some(pause)) = (cause, self.again(retries.saturating_add(1), random))
        else {
            return Verdict::Nothing;
        };
        if let (Cause::Failed, Some(false), Some(code)) = (cause, declared, code) {
            let why = format!(
                "its application declares that exit code {code} is not to be retried; \
                 --retry-on exit:{code} of the run template would"
            );
            return Verdict::Forbidden { why };
        }
        let next = retries.saturating_add(2);
        let why = format!(
            "{cause} is retried: this will be try {next} of {}, after {:.1} s",
            self.max_attempts,
            pause.as_secs_f64()
        );
        Verdict::Retry { pause, why }
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
            // The work is done: it is not done again unless that is asked for.
            Self::OutputLost => exited && end.exit_code == Some(0) && !end.lost_output.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests;
