//! One job that writes much text: how fast it is captured, sent, hashed and stored,
//! and in how much memory.

use std::time::Instant;

use anyhow::ensure;
use multiflexi_proto::v1::LogStream;

use crate::{
    follow::follow,
    generator::{BLOCK, text_hash},
    limits::TEXT,
    options::{Options, Part},
    page_cache,
    report::{Measure, Report, Target},
    system::System,
    usage::{self, Cpu},
};

/// MiB a second that are to be reached.
const RATE: f64 = 300.0;

/// MiB that the scheduler and the agent may each have at most.
const MEMORY: f64 = 64.0;

/// Runs the part.
pub async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let system = System::start(options).await?;
    let template = system.generator("write-text", options.mib).await?;
    page_cache::touch(system.folder(), options.mib)?;
    let (cpu, begun) = (Cpu::of(&system)?, Instant::now());
    let job = system.submit_one(template).await?;
    // stderr is empty: this waits for the end and costs no traffic.
    let followed = follow(system.jobs(), job, LogStream::Stderr).await?;
    let time = followed.ended - begun;
    let cpu = Cpu::of(&system)?.since(cpu);

    let stored = system.artifact(job, "stdout.txt").await?;
    let size = options.mib * BLOCK as u64;
    ensure!(stored.size_bytes.unsigned_abs() == size, "{size} bytes were written: {stored:?}");
    ensure!(stored.sha256 == text_hash(options.mib), "another text was written: {stored:?}");

    let what = format!("{} MiB of text on stdout, submit to end", options.mib);
    let rate = options.mib as f64 / time.as_secs_f64();
    report.add(
        Measure::new(Part::Stdout, &what, rate, "MiB/s").limit(TEXT).target(Target::AtLeast(RATE)),
    );
    usage::report_cpu_per_gib(report, Part::Stdout, cpu, options.mib);
    usage::report_peaks(report, Part::Stdout, &system, Some(MEMORY))
}
