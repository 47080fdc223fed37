//! Measures what this machine allows and, in the same run, what the system reaches
//! on it. It judges results (counts, sizes, hashes), never speed: numbers are for
//! people to compare, and a slow machine is no error.

#![allow(clippy::print_stderr, reason = "a person waits for the figures")]

mod artifact;
mod batch;
mod databases;
mod follow;
mod generator;
mod growth;
mod idle;
mod latency;
mod limits;
mod million;
mod options;
mod page_cache;
mod percentile;
mod report;
mod schedules;
mod single;
mod stdout;
mod system;
mod usage;
mod write_lock;

use anyhow::Context as _;
use clap::Parser as _;

use options::{Options, Part};
use report::Report;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(generator) = &options.generator {
        return generator.run();
    }
    std::fs::create_dir_all(&options.dir)
        .with_context(|| format!("--dir {} cannot be made", options.dir.display()))?;
    let parts = options.parts();
    if parts.iter().any(|part| *part != Part::Limits) {
        eprintln!("bringing the programs up to date");
        multiflexi_fixture::programs::scheduler();
    }
    let mut report = Report::new(&options);
    for part in parts {
        eprintln!("{part}");
        run(part, &options, &mut report).with_context(|| format!("{part} failed"))?;
    }
    report.print(options.json.as_deref())
}

fn run(part: Part, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    if part == Part::Limits {
        return limits::run(options, report);
    }
    // The client must not take a processor from the system under test: one thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match part {
            Part::Limits => Ok(()),
            Part::Batch => batch::run(options, report).await,
            Part::Single => single::run(options, report).await,
            Part::Latency => latency::run(options, report).await,
            Part::Stdout => stdout::run(options, report).await,
            Part::Artifact => artifact::run(options, report).await,
            Part::Idle => idle::run(options, report).await,
            Part::Databases => databases::run(options, report).await,
            Part::Schedules => schedules::run(options, report).await,
            Part::Growth => growth::run(options, report).await,
            Part::Million => million::run(options, report).await,
        }
    })
}
