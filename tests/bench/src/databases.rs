//! The same batch on each database, in turns on one machine: what a server costs, in place of
//! a file.

use std::path::Path;

use multiflexi_fixture::{SchedulerOptions, postgres::Postgres};

use crate::{
    batch::{self, PROGRAM, WARM_UP},
    options::{Options, Part},
    report::{Measure, Report, Target},
    system::System,
};

/// How often each takes its turn: the median counts.
const ROUNDS: usize = 3;

/// What SQLite reaches: the limit that the others stand beside.
const SQLITE: &str = "jobs on SQLite";

/// The share of it that PostgreSQL is to reach.
const SHARE: f64 = 70.0;

/// Runs the part.
pub async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let mut postgres = Postgres::start();
    let (mut file, mut server) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        file.push(one(options, SchedulerOptions::default()).await?);
        let environment = postgres.database().environment;
        let on_server = SchedulerOptions { environment, ..SchedulerOptions::default() };
        server.push(one(options, on_server).await?);
    }
    let measure = |what: &str, rates| Measure::new(Part::Databases, what, median(rates), "jobs/s");
    report.add(measure(SQLITE, file));
    report.add(
        measure("jobs on PostgreSQL", server).limit(SQLITE).target(Target::ShareAtLeast(SHARE)),
    );
    Ok(())
}

/// The one in the middle.
fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// Jobs a second of one batch on a new system.
async fn one(options: &Options, scheduler: SchedulerOptions) -> anyhow::Result<f64> {
    let system = System::start_with(options, scheduler).await?;
    let template = system.template(Path::new(PROGRAM), "").await?;
    batch::run_one(&system, template, WARM_UP).await?;
    let batch = batch::run_one(&system, template, options.jobs).await?;
    system.ensure_succeeded(WARM_UP + options.jobs).await?;
    Ok(batch.jobs_per_s)
}
