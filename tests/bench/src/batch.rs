//! Many jobs that do nothing, submitted in one call: how many a second run, and
//! what each costs.

use std::{path::Path, time::Instant};

use crate::{
    follow::all_ended,
    limits::SPAWNS,
    options::{Options, Part},
    report::{Measure, Report, Target},
    system::System,
    usage::{self, Cpu},
};

/// The program of the jobs.
pub const PROGRAM: &str = "/bin/true";

/// Jobs that run before anything is measured: caches are filled, threads started.
pub const WARM_UP: u32 = 50;

/// The share of the limit that is to be reached.
const SHARE: f64 = 50.0;

/// One batch.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Milliseconds until the jobs were created.
    pub submit_ms: f64,
    /// Jobs a second, from before they were submitted until the last has ended.
    pub jobs_per_s: f64,
    /// CPU time that they took.
    pub cpu: Cpu,
}

/// Runs one batch on a system that does nothing else.
pub async fn run_one(system: &System, template: i64, jobs: u32) -> anyhow::Result<Batch> {
    let (cpu, begun) = (Cpu::of(system)?, Instant::now());
    let ids = system.submit(template, jobs).await?;
    let submitted = begun.elapsed();
    let ended = all_ended(system, &ids).await?;
    Ok(Batch {
        submit_ms: submitted.as_secs_f64() * 1000.0,
        jobs_per_s: f64::from(jobs) / (ended - begun).as_secs_f64(),
        cpu: Cpu::of(system)?.since(cpu),
    })
}

/// Runs the part.
pub async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let system = System::start(options).await?;
    let template = system.template(Path::new(PROGRAM), "").await?;
    run_one(&system, template, WARM_UP).await?;
    let batch = run_one(&system, template, options.jobs).await?;
    system.ensure_succeeded(WARM_UP + options.jobs).await?;

    let measure = |what: &str, value, unit| Measure::new(Part::Batch, what, value, unit);
    let jobs = format!("{PROGRAM} jobs, {} in one call, durable, captured", options.jobs);
    report.add(
        measure(&jobs, batch.jobs_per_s, "jobs/s")
            .limit(SPAWNS)
            .target(Target::ShareAtLeast(SHARE)),
    );
    report.add(measure("until that call is answered", batch.submit_ms, "ms"));
    let each = |time: std::time::Duration| time.as_secs_f64() * 1000.0 / f64::from(options.jobs);
    for (name, time) in usage::NAMES.into_iter().zip(batch.cpu.own) {
        report.add(measure(&format!("CPU per job, {name}"), each(time), "ms"));
    }
    report.add(measure("CPU per job, the job's process", each(batch.cpu.jobs), "ms"));
    usage::report_peaks(report, Part::Batch, &system, None)
}
