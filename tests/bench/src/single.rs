//! Jobs that do nothing, submitted one by one by one client over one connection:
//! the next call is made when the last is answered.

use std::{path::Path, time::Instant};

use crate::{
    batch::{self, PROGRAM, WARM_UP},
    follow::all_ended,
    limits::{COMMITS, SPAWNS},
    options::{Options, Part},
    report::{Measure, Report, Target},
    system::System,
};

/// Jobs a second that are to be reached.
const RATE: f64 = 1200.0;

/// Runs the part.
pub async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let system = System::start(options).await?;
    let template = system.template(Path::new(PROGRAM), "").await?;
    batch::run_one(&system, template, WARM_UP).await?;

    let (mut jobs, begun) = (Vec::with_capacity(options.jobs as usize), Instant::now());
    for _ in 0..options.jobs {
        jobs.push(system.submit_one(template).await?);
    }
    let submitted = begun.elapsed();
    let ended = all_ended(&system, &jobs).await?.max(begun + submitted) - begun;
    system.ensure_succeeded(WARM_UP + options.jobs).await?;

    let rate = |time: std::time::Duration| f64::from(options.jobs) / time.as_secs_f64();
    let calls = format!("{} jobs submitted one by one, durable", options.jobs);
    report.add(
        Measure::new(Part::Single, &calls, rate(submitted), "calls/s")
            .limit(COMMITS)
            .target(Target::AtLeast(RATE)),
    );
    report.add(
        Measure::new(Part::Single, "the same, until the last has ended", rate(ended), "jobs/s")
            .limit(SPAWNS)
            .target(Target::AtLeast(RATE)),
    );
    Ok(())
}
