//! How long one job takes on an idle system: until its first output is at a
//! follower, and until it has ended.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use multiflexi_proto::v1::LogStream;

use crate::{
    follow::follow,
    options::{Options, Part},
    percentile::p50_p99,
    report::{Measure, Report, Target},
    system::System,
};

/// Runs before anything is measured.
const WARM_UP: u32 = 10;

/// Milliseconds to the first output that are to be reached: the median, and the
/// 99th percentile.
const FIRST_OUTPUT: [f64; 2] = [2.5, 6.0];

/// What the jobs run, and what it writes.
const PROGRAM: [&str; 3] = ["echo", "hi", "hi\n"];

/// Times of one job, from before it was submitted.
#[derive(Clone, Copy, Debug)]
struct Times {
    created: Duration,
    first_output: Duration,
    ended: Duration,
}

/// Times of many jobs, one after the other.
#[derive(Clone, Debug)]
pub struct Latency(Vec<Times>);

impl Latency {
    /// Runs so many jobs, one after the other, of [`template`].
    pub async fn measure(system: &System, template: i64, runs: u32) -> anyhow::Result<Self> {
        let mut times = Vec::with_capacity(runs as usize);
        for _ in 0..runs {
            times.push(run_one(system, template).await?);
        }
        Ok(Self(times))
    }

    /// Median and 99th percentile until the first output, in milliseconds.
    pub fn first_output(&self) -> [f64; 2] {
        self.percentiles(|times| times.first_output)
    }

    fn percentiles(&self, pick: impl Fn(&Times) -> Duration) -> [f64; 2] {
        p50_p99(self.0.iter().map(pick).collect())
    }
}

/// The run template of the jobs.
pub async fn template(system: &System) -> anyhow::Result<i64> {
    system.template(Path::new(PROGRAM[0]), PROGRAM[1]).await
}

async fn run_one(system: &System, template: i64) -> anyhow::Result<Times> {
    let begun = Instant::now();
    let job = system.submit_one(template).await?;
    let created = begun.elapsed();
    let followed = follow(system.jobs(), job, LogStream::Unspecified).await?;
    let first = followed.first.with_context(|| format!("job {job} has no output"))?;
    let written = followed.attempt.stdout.unwrap_or_default().size_bytes;
    ensure!(written == PROGRAM[2].len() as i64, "job {job} wrote {written} bytes");
    Ok(Times { created, first_output: first - begun, ended: followed.ended - begun })
}

/// Runs the part.
pub async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let system = System::start(options).await?;
    let template = template(&system).await?;
    Latency::measure(&system, template, WARM_UP).await?;
    let latency = Latency::measure(&system, template, options.runs).await?;
    system.ensure_succeeded(WARM_UP + options.runs).await?;

    let mut add = |what: &str, times: [f64; 2], targets: Option<[f64; 2]>| {
        for (i, name) in ["p50", "p99"].into_iter().enumerate() {
            let measure = Measure::new(Part::Latency, &format!("{what}, {name}"), times[i], "ms");
            report.add(match targets {
                Some(targets) => measure.target(Target::AtMost(targets[i])),
                None => measure,
            });
        }
    };
    add("submit to answer, idle", latency.percentiles(|times| times.created), None);
    add("submit to first output", latency.first_output(), Some(FIRST_OUTPUT));
    add("submit to end", latency.percentiles(|times| times.ended), None);
    Ok(())
}
