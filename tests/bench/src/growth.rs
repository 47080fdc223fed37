//! Whether many finished jobs make the next ones slower or dearer: the same round
//! of jobs is run again and again, and the last is compared with the first.

use std::{path::Path, time::Duration};

use crate::{
    batch::{self, Batch, PROGRAM, WARM_UP},
    latency::{self, Latency},
    options::{Options, Part},
    report::{Measure, Report, Target},
    system::System,
    usage,
};

/// Jobs of a round.
const ROUND: u32 = 2_000;

/// Jobs whose latency is measured after the first and after the last round.
const RUNS: u32 = 50;

/// What counts as equal, as a factor: two rounds on an idle machine differ by less.
const NOISE: f64 = 1.1;

/// Runs the part.
pub async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let system = System::start(options).await?;
    let template = system.template(Path::new(PROGRAM), "").await?;
    let echo = latency::template(&system).await?;
    batch::run_one(&system, template, WARM_UP).await?;
    let rounds = options.growth_jobs / ROUND;
    let first = round(&system, template, echo).await?;
    for number in 2..rounds {
        let batch = batch::run_one(&system, template, ROUND).await?;
        let [scheduler, session, supervisor] = batch.cpu.own.map(each);
        eprintln!(
            "growth: round {number} of {rounds}, {:.0} jobs/s, CPU per job of scheduler, session \
             and supervisor {scheduler:.3}, {session:.3}, {supervisor:.3} ms",
            batch.jobs_per_s
        );
    }
    let last = round(&system, template, echo).await?;
    system.ensure_succeeded(WARM_UP + rounds * ROUND + 2 * RUNS).await?;

    let mut compare = |what: &str, first: f64, last: f64, unit| {
        let measure = |what: String, value, unit| Measure::new(Part::Growth, &what, value, unit);
        report.add(measure(format!("{what}, first {ROUND} of {}", rounds * ROUND), first, unit));
        report.add(measure(format!("{what}, last {ROUND}"), last, unit));
        last / first
    };
    let speed = compare("jobs in one call", first.0.jobs_per_s, last.0.jobs_per_s, "jobs/s");
    for (i, name) in usage::NAMES.into_iter().enumerate() {
        let [first, last] = [first.0, last.0].map(|batch| each(batch.cpu.own[i]));
        compare(&format!("CPU per job, {name}"), first, last, "ms");
    }
    let [before, after] = [first.0, last.0].map(|batch| each(batch.cpu.total()));
    let cpu = compare("CPU per job, all three", before, after, "ms");
    let latency = compare("submit to first output, p50", first.1, last.1, "ms");
    let mut factor = |what: &str, value, target| {
        report.add(Measure::new(Part::Growth, what, value, "×").target(target));
    };
    factor("speed, last to first", speed, Target::AtLeast(1.0 / NOISE));
    factor("CPU per job, last to first", cpu, Target::AtMost(NOISE));
    factor("latency, last to first", latency, Target::AtMost(NOISE));
    Ok(())
}

/// A round, and after it the median until the first output of a job.
async fn round(system: &System, template: i64, echo: i64) -> anyhow::Result<(Batch, f64)> {
    let batch = batch::run_one(system, template, ROUND).await?;
    let [median, _] = Latency::measure(system, echo, RUNS).await?.first_output();
    Ok((batch, median))
}

/// CPU time of a round for each of its jobs, in milliseconds.
fn each(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0 / f64::from(ROUND)
}
