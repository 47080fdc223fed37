//! What can be said of a run template, when it is made and later.

use std::time::Duration;

use clap::{Args, ValueEnum};
use multiflexi_proto::v1::{self, RetryPolicy};

use crate::arguments;

/// A timeout that is none.
pub const NO_LIMIT: prost_types::Duration = prost_types::Duration { seconds: 0, nanos: 0 };

/// Settings of a run template; what is not given is the default, or stays as it is.
#[derive(Debug, Args)]
pub struct Settings {
    /// How long a job may run; 0s for no limit [default: no limit]
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL [default: 10s]
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    grace: Option<Duration>,
    /// How long a job is waited for whose agent is away [default: 10min]
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    lost_after: Option<Duration>,
    #[command(flatten)]
    retries: Retries,
    /// What happens to a job whose output does not fit into its agent's spool, because the
    /// scheduler is away or a disk is full: it waits, goes on with beginning and end kept, or
    /// fails [default: block]
    #[arg(long, value_name = "WHAT")]
    overflow: Option<Overflow>,
    /// Its jobs' priority: of those that wait, the higher runs first; jobs that are there
    /// keep theirs [default: 0]
    #[arg(long, value_name = "N",
        value_parser = arguments::number::<i32>(-1000..=1000))]
    priority: Option<i32>,
    /// Most of its jobs that run at once; 0 for no limit [default: no limit]
    #[arg(long, value_name = "N", value_parser = arguments::number::<i32>(0..=1_000_000))]
    max_running: Option<i32>,
    #[command(flatten)]
    kept: Kept,
    /// What runs its jobs: Native, processes on the agent's host
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    executor: String,
}

/// Settings as the protocol has them.
pub struct Given {
    /// How long a job may run.
    pub timeout: Option<prost_types::Duration>,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Option<prost_types::Duration>,
    /// How long an unreachable job is waited for.
    pub lost_after: Option<prost_types::Duration>,
    /// When a job is run again by itself.
    pub retry: Option<RetryPolicy>,
    /// What happens when output does not fit.
    pub overflow: v1::OutputOverflow,
    /// What runs first.
    pub priority: Option<i32>,
    /// Most jobs at once.
    pub max_running: Option<i32>,
    /// What is kept of ended jobs.
    pub keep: Option<v1::Keep>,
    /// What runs jobs.
    pub executor: String,
}

impl Settings {
    /// What was given.
    pub fn read(self) -> Given {
        Given {
            timeout: self.timeout.map(multiflexi_proto::duration),
            grace: self.grace.map(multiflexi_proto::duration),
            lost_after: self.lost_after.map(multiflexi_proto::duration),
            retry: self.retries.policy(),
            overflow: self.overflow.map_or(v1::OutputOverflow::Unspecified, Into::into),
            priority: self.priority,
            max_running: self.max_running,
            keep: self.kept.limits(),
            executor: self.executor,
        }
    }
}

/// How much of ended jobs is kept.
#[derive(Debug, Args)]
struct Kept {
    /// How long its ended jobs are kept, such as 90d; 0s for ever [default: as the
    /// scheduler does]
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    keep_age: Option<Duration>,
    /// How many of its ended jobs are kept, the newest; 0 for all
    #[arg(long, value_name = "N", value_parser = arguments::number::<i64>(0..))]
    keep_count: Option<i64>,
    /// How much of their output and artifacts is kept, such as 10GiB or 500MB; 0 for all
    #[arg(long, value_name = "SIZE", value_parser = arguments::bytes)]
    keep_bytes: Option<i64>,
}

impl Kept {
    /// The limits, if one is given.
    fn limits(&self) -> Option<v1::Keep> {
        let Self { keep_age, keep_count: count, keep_bytes: bytes } = *self;
        let given = keep_age.is_some() || count.is_some() || bytes.is_some();
        given.then(|| v1::Keep { age: keep_age.map(multiflexi_proto::duration), count, bytes })
    }
}

/// When a job is run again by itself.
#[derive(Debug, Args)]
struct Retries {
    /// Most attempts each time that a job is run; more than 1 retries by itself [default: 1]
    #[arg(long, value_name = "N", value_parser = arguments::number::<i32>(1..=1000))]
    max_attempts: Option<i32>,
    /// What is retried: failed, exit:CODE, signaled, launch_failed, timed_out, lost,
    /// output_lost; may be given again [default: failed, launch_failed, timed_out, lost]. An exit
    /// code that the application declares with "retry": true is retried besides; one with false
    /// is not, unless exit:CODE names it
    #[arg(long, value_name = "CAUSE", requires = "max_attempts")]
    retry_on: Vec<String>,
    /// How the pause before a retry grows [default: exponential]
    #[arg(long, value_name = "BACKOFF", requires = "max_attempts")]
    retry_backoff: Option<Backoff>,
    /// The first pause [default: 10s]
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION", requires = "max_attempts")]
    retry_min_gap: Option<Duration>,
    /// The longest pause [default: 1h]
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION", requires = "max_attempts")]
    retry_max_gap: Option<Duration>,
}

impl Retries {
    /// The policy, if one is given.
    fn policy(self) -> Option<RetryPolicy> {
        Some(RetryPolicy {
            max_attempts: self.max_attempts?,
            on: self.retry_on,
            backoff: self.retry_backoff.map_or(v1::Backoff::Unspecified, Into::into).into(),
            min_gap: self.retry_min_gap.map(multiflexi_proto::duration),
            max_gap: self.retry_max_gap.map(multiflexi_proto::duration),
        })
    }
}

/// What happens to output, as people name it.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Overflow {
    Block,
    HeadTail,
    Fail,
}

impl From<Overflow> for v1::OutputOverflow {
    fn from(overflow: Overflow) -> Self {
        match overflow {
            Overflow::Block => Self::Block,
            Overflow::HeadTail => Self::HeadTail,
            Overflow::Fail => Self::Fail,
        }
    }
}

/// How a pause grows, as people name it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Backoff {
    None,
    Fixed,
    Linear,
    Exponential,
}

impl From<Backoff> for v1::Backoff {
    fn from(backoff: Backoff) -> Self {
        match backoff {
            Backoff::None => Self::None,
            Backoff::Fixed => Self::Fixed,
            Backoff::Linear => Self::Linear,
            Backoff::Exponential => Self::Exponential,
        }
    }
}
