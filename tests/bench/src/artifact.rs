//! One job that leaves a large file: how fast it is hashed, uploaded and stored,
//! and in how much memory.

use anyhow::{Context as _, ensure};
use multiflexi_proto::v1::LogStream;

use crate::{
    follow::follow,
    generator::{BLOCK, FILE, file_hash},
    limits::COPY,
    options::{Options, Part},
    page_cache,
    report::{Measure, Report, Target},
    system::System,
    usage::{self, Cpu},
};

/// MiB a second that are to be reached.
const RATE: f64 = 500.0;

/// MiB that the scheduler and the agent may each have at most.
const MEMORY: f64 = 64.0;

/// Runs the part.
pub async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let system = System::start(options).await?;
    let template = system.generator("write-file", options.mib).await?;
    page_cache::touch(system.folder(), options.mib)?;
    let cpu = Cpu::of(&system)?;
    let job = system.submit_one(template).await?;
    // The job says a word when the file is there: what follows is the upload.
    let followed = follow(system.jobs(), job, LogStream::Unspecified).await?;
    let written = followed.first.context("the job did not say that its file is there")?;
    let time = followed.ended - written;
    let cpu = Cpu::of(&system)?.since(cpu);

    let stored = system.artifact(job, FILE).await?;
    let size = options.mib * BLOCK as u64;
    ensure!(stored.size_bytes.unsigned_abs() == size, "{size} bytes were written: {stored:?}");
    ensure!(stored.sha256 == file_hash(options.mib), "another file was written: {stored:?}");

    let what = format!("artifact of {} MiB, file written to end", options.mib);
    let rate = options.mib as f64 / time.as_secs_f64();
    report.add(
        Measure::new(Part::Artifact, &what, rate, "MiB/s")
            .limit(COPY)
            .target(Target::AtLeast(RATE)),
    );
    usage::report_cpu_per_gib(report, Part::Artifact, cpu, options.mib);
    usage::report_peaks(report, Part::Artifact, &system, Some(MEMORY))
}
